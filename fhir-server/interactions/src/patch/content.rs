//! The `value` part of an operation: what it says for an element of a type.

use fhir_model::json::Ref;
use fhir_model::types::{Element, Types};
use fhir_model::{Error, Result};
use serde_json::{Map, Value};

use super::element_path::{ElementPath, Slot};
use super::exact;
use super::primitive::{is_compatible, is_valid};

/// An element of a type by the name a patch gives it: `birthDate`, `deceased`, `deceased[x]`, `deceasedBoolean`.
pub(super) struct NamedElement<'t> {
    pub(super) element: &'t Element,
    /// The type, unless the name leaves open which of several.
    pub(super) type_name: Option<&'t str>,
}

impl<'t> NamedElement<'t> {
    pub(super) fn find(types: &'t dyn Types, type_name: &str, name: &str) -> Option<NamedElement<'t>> {
        if let Some(element) = types.element(type_name, name.trim_end_matches("[x]")) {
            let type_name = element.types.first().filter(|_| !element.choice).map(|t| &**t);
            return (element.choice || !name.ends_with(']')).then_some(NamedElement { element, type_name });
        }
        types.elements(type_name).iter().filter(|e| e.choice).find_map(|element| {
            let suffix = name.strip_prefix(&*element.name)?;
            let type_name = element.types.iter().find(|t| capitalised(t) == suffix)?;
            Some(NamedElement { element, type_name: Some(type_name) })
        })
    }

    /// The JSON key of the element when it has this type.
    fn key(&self, type_name: &str) -> String {
        if self.element.choice {
            format!("{}{}", self.element.name, capitalised(type_name))
        } else {
            self.element.name.to_string()
        }
    }

    /// All keys it can have.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        self.element.types.iter().map(|t| self.key(t))
    }

    /// The type that a value named `value<suffix>` has here.
    fn accept(&self, types: &'t dyn Types, suffix: &str) -> Option<&'t str> {
        let exact =
            self.element.types.iter().map(|t| &**t).filter(|t| self.type_name.is_none_or(|own| own == *t));
        if let Some(found) = exact.clone().find(|t| capitalised(t) == suffix) {
            return Some(found);
        }
        // A choice is made by the type alone. Elsewhere `valueString` is good enough for a code, as FHIRPath knows no
        // difference, and a Quantity for an Age.
        let own = self.type_name?;
        let near = if is_primitive(types, own) {
            is_compatible(own, &uncapitalised(suffix))
        } else {
            types.is_a(own, suffix)
        };
        near.then_some(own)
    }
}

/// The content of a `value` part: its JSON key, and the value.
pub(super) fn content(part: Ref<'_>, named: &NamedElement<'_>, types: &dyn Types) -> Result<(String, Slot)> {
    let name = &named.element.name;
    if let Some(resource) = part.get("resource") {
        if named.type_name != Some("Resource") {
            return Err(Error::invalid(format!("`{name}` cannot be a resource")));
        }
        return Ok((name.to_string(), Slot { value: Some(exact::read(resource)), twin: None }));
    }
    if let Some(parts) = part.get("part") {
        let type_name = named.type_name.filter(|t| !is_primitive(types, t)).ok_or_else(|| {
            Error::invalid(format!(
                "the value of `{name}` must be a `value[x]`, as its parts do not say its type"
            ))
        })?;
        let value = Value::Object(object(parts, type_name, types)?);
        return Ok((named.key(type_name), Slot { value: Some(value), twin: None }));
    }
    let find = |prefix: &str| part.children().find(|c| c.key().starts_with(prefix));
    let (value, twin) = (find("value"), find("_value"));
    let key = value.or(twin).map(Ref::key).unwrap_or_default();
    let suffix = key.trim_start_matches('_').strip_prefix("value").filter(|s| !s.is_empty());
    let suffix = suffix.ok_or_else(|| Error::invalid(format!("there is no value for `{name}`")))?;
    let type_name = named
        .accept(types, suffix)
        .ok_or_else(|| Error::invalid(format!("`{name}` cannot be of the type of `value{suffix}`")))?;
    if let Some(value) = value {
        let fits =
            if is_primitive(types, type_name) { is_valid(type_name, value) } else { value.is_object() };
        if !fits {
            return Err(Error::invalid(format!("the value of `{name}` is not a {type_name}")));
        }
    }
    Ok((named.key(type_name), Slot { value: value.map(exact::read), twin: twin.map(exact::read) }))
}

/// An object of a type from parts: each names an element and gives its value, or again parts.
fn object(parts: Ref<'_>, type_name: &str, types: &dyn Types) -> Result<Map<String, Value>> {
    let mut object = Value::Object(Map::new());
    for part in parts.items() {
        let name = part.get_str("name").unwrap_or_default();
        let named = NamedElement::find(types, type_name, &name)
            .ok_or_else(|| Error::invalid(format!("`{type_name}` has no element `{name}`")))?;
        let (key, slot) = content(part, &named, types)?;
        let place = ElementPath { parent: Vec::new(), key };
        let mut slots = place.take(&mut object);
        if !slots.is_empty() && !named.element.many {
            return Err(Error::invalid(format!(
                "`{name}` is given twice, but `{type_name}` has it once at most"
            )));
        }
        slots.push(slot);
        place.put(&mut object, slots, named.element.many);
    }
    match object {
        Value::Object(members) if !members.is_empty() => Ok(members),
        _ => Err(Error::invalid(format!("the parts of a `{type_name}` are empty"))),
    }
}

/// True for primitives, and for `id` and `Extension.url`, whose type is FHIRPath's string.
pub(super) fn is_primitive(types: &dyn Types, type_name: &str) -> bool {
    types.is_primitive(type_name) || type_name.ends_with("System.String") || type_name == "xhtml"
}

fn capitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_ascii_uppercase().to_string()).unwrap_or_default() + chars.as_str()
}

fn uncapitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_ascii_lowercase().to_string()).unwrap_or_default() + chars.as_str()
}
