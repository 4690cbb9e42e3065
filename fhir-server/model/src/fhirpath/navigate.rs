//! From a node to its children: FHIR's elements over JSON's keys.

use std::borrow::Cow;

use super::item::{Item, Node};
use crate::json::{Children, Ref};
use crate::types::{Element, Types};

/// What a type's definition says of a name.
#[derive(PartialEq, Eq)]
pub(super) enum ElementLookup {
    Yes,
    /// The type is known and has no such element.
    No,
}

impl<'a> Node<'a> {
    /// Appends the children with this name.
    pub(super) fn child(&self, types: &'a dyn Types, name: &str, out: &mut Vec<Item<'a>>) -> ElementLookup {
        let primitive = types.is_primitive(&self.type_name);
        // The element `value` of a primitive is its System value.
        if primitive && name == "value" {
            out.extend(self.to_value(types).map(Item::Value));
            return ElementLookup::Yes;
        }
        let element = types.element(&self.type_name, name);
        let declared = match element {
            Some(element) if element.choice => {
                self.holder().inspect(|holder| choice(*holder, element, out));
                return ElementLookup::Yes;
            }
            Some(element) => Some(only_type(element)),
            None if primitive && name == "extension" => Some("Extension"),
            None if primitive && name == "id" => Some("string"),
            // Of an unknown type JSON's word is taken.
            None if types.elements(&self.type_name).is_empty() => None,
            None => return ElementLookup::No,
        };
        if let Some(holder) = self.holder() {
            let (value, sibling) = pair(holder, name);
            push(value, sibling, declared.unwrap_or_else(|| guessed_type(value)), out);
        }
        ElementLookup::Yes
    }

    /// Appends all children, in the order of the JSON text.
    pub(super) fn children(&self, types: &'a dyn Types, out: &mut Vec<Item<'a>>) {
        let Some(holder) = self.holder() else { return };
        let unknown = types.elements(&self.type_name).is_empty();
        for member in holder.children() {
            let key = member.key();
            let (name, value, sibling) = match key.strip_prefix('_') {
                // Met already, with its value.
                Some(name) if holder.get(name).is_some() => continue,
                Some(name) => (name, None, Some(member)),
                None => (&*key, Some(member), pair_of(holder, &key)),
            };
            if let Some((element, type_name)) = element_of_key(types, &self.type_name, name) {
                let type_name = type_name.unwrap_or_else(|| only_type(element));
                push(value, sibling, type_name, out);
            } else if name == "extension" && types.is_primitive(&self.type_name) {
                push(value, sibling, "Extension", out);
            } else if unknown && name != "resourceType" {
                push(value, sibling, guessed_type(value), out);
            }
        }
    }

    /// The object whose members are the children: for primitives that of the id and extensions.
    fn holder(&self) -> Option<Ref<'a>> {
        self.value.filter(|value| value.is_object()).or(self.sibling)
    }
}

/// The element that a JSON key stands for, and for choices the type the key says.
pub(super) fn element_of_key<'a>(
    types: &'a dyn Types,
    type_name: &str,
    key: &str,
) -> Option<(&'a Element, Option<&'a str>)> {
    if let Some(element) = types.element(type_name, key).filter(|element| !element.choice) {
        return Some((element, None));
    }
    let mut choices = types.elements(type_name).iter().filter(|element| element.choice);
    choices.find_map(|element| Some((element, Some(chosen_type(element, key)?))))
}

/// The type that `valueQuantity` says of `value[x]`.
fn chosen_type<'a>(element: &'a Element, key: &str) -> Option<&'a str> {
    let suffix = key.strip_prefix(&*element.name)?;
    element.types.iter().map(|name| &**name).find(|name| {
        let (mut name, mut suffix) = (name.bytes(), suffix.bytes());
        name.next().map(|first| first.to_ascii_uppercase()) == suffix.next() && name.eq(suffix)
    })
}

fn choice<'a>(holder: Ref<'a>, element: &'a Element, out: &mut Vec<Item<'a>>) {
    let mut found: Option<(&str, Option<Ref<'a>>, Option<Ref<'a>>)> = None;
    for member in holder.children() {
        let key = member.key();
        let (name, is_sibling) = key.strip_prefix('_').map_or((&*key, false), |name| (name, true));
        if !name.starts_with(&*element.name) {
            continue;
        }
        let Some(type_name) = chosen_type(element, name) else { continue };
        let (_, value, sibling) = found.get_or_insert((type_name, None, None));
        *(if is_sibling { sibling } else { value }) = Some(member);
    }
    if let Some((type_name, value, sibling)) = found {
        push(value, sibling, type_name, out);
    }
}

/// The members `name` and `_name`.
fn pair<'a>(holder: Ref<'a>, name: &str) -> (Option<Ref<'a>>, Option<Ref<'a>>) {
    let (mut value, mut sibling) = (None, None);
    for member in holder.children() {
        if member.key_is(name) {
            value = Some(member);
        } else if member.key().strip_prefix('_') == Some(name) {
            sibling = Some(member);
        }
    }
    (value, sibling)
}

fn pair_of<'a>(holder: Ref<'a>, name: &str) -> Option<Ref<'a>> {
    holder.children().find(|member| member.key().strip_prefix('_') == Some(name))
}

/// One item per repetition; a `null` is a gap whose other half may still be there.
fn push<'a>(value: Option<Ref<'a>>, sibling: Option<Ref<'a>>, type_name: &'a str, out: &mut Vec<Item<'a>>) {
    let mut values = value.map(Ref::items);
    let mut siblings = sibling.map(Ref::items);
    let next = |items: &mut Option<Children<'a>>| items.as_mut().and_then(Iterator::next);
    loop {
        let (value, sibling) = (next(&mut values), next(&mut siblings));
        if value.is_none() && sibling.is_none() {
            return;
        }
        let value = value.filter(|value| !value.is_null());
        let sibling = sibling.filter(|sibling| sibling.is_object());
        if value.is_some() || sibling.is_some() {
            let type_name = match value.and_then(|value| resource_type(value, type_name)) {
                Some(name) => name,
                None => Cow::Borrowed(type_name),
            };
            out.push(Item::Node(Node { value, sibling, type_name }));
        }
    }
}

/// The type of a resource within a resource.
fn resource_type<'a>(value: Ref<'a>, declared: &str) -> Option<Cow<'a, str>> {
    matches!(declared, "Resource" | "DomainResource").then(|| value.get_str("resourceType")).flatten()
}

/// The type of an element that is no choice. Some definitions name the types of ids and of primitives' values by
/// their place in FHIRPath; in FHIR they are strings.
fn only_type(element: &Element) -> &str {
    let name = element.types.first().map_or("", |name| &**name);
    if name.starts_with("http://hl7.org/fhirpath/") { "string" } else { name }
}

fn guessed_type(value: Option<Ref<'_>>) -> &'static str {
    use crate::json::Kind;
    match value.and_then(|value| value.items().next()).map(Ref::kind) {
        Some(Kind::Boolean) => "boolean",
        Some(Kind::Number) => "decimal",
        Some(Kind::String) => "string",
        _ => "Element",
    }
}
