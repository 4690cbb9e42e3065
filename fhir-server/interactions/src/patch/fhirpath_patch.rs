//! FHIRPath Patch: <https://hl7.org/fhir/R4/fhirpatch.html>
//!
//! Operations apply one after the other, each to what the one before made. A `Parameters` that is not a patch is
//! invalid; an operation that does not fit the resource breaks a rule.

use fhir_model::fhirpath::{self, Context, Item};
use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::types::Types;
use fhir_model::{Error, Kind, Result};
use serde_json::Value;

use super::content::{NamedElement, content, is_primitive};
use super::element_path::{ElementPath, Slot, Step, steps};
use super::exact;
use super::{BYTES_MAX, OPERATIONS_MAX, same_resource, too_costly, too_many_operations};

/// Steps that the evaluation of one `path` may take.
const PATH_STEPS_MAX: u64 = 100_000;

/// Applies the operations of a `Parameters` to a resource; gives its new JSON text.
///
/// # Errors
///
/// `Invalid` or `Structure` for a malformed patch, `Rule` for an operation that does not fit the resource,
/// `TooCostly` beyond [`OPERATIONS_MAX`](super::OPERATIONS_MAX) and [`BYTES_MAX`](super::BYTES_MAX).
pub fn fhirpath_patch(current: &Doc, parameters: &Doc, types: &dyn Types) -> Result<String> {
    let root = parameters.root();
    if root.get_str("resourceType").as_deref() != Some("Parameters") {
        return Err(Error::invalid("a FHIRPath Patch is a Parameters resource"));
    }
    let operations: Vec<_> = root.get("parameter").into_iter().flat_map(Ref::items).collect();
    if operations.len() > OPERATIONS_MAX {
        return Err(too_many_operations());
    }
    let mut text = current.root().to_json();
    // Each operation reads the whole resource.
    let mut budget = BYTES_MAX.max(text.len() + parameters.text().len());
    for (index, operation) in operations.into_iter().enumerate() {
        budget = budget.checked_sub(text.len()).ok_or_else(too_costly)?;
        let at = |e: Error| e.at(format!("Parameters.parameter[{index}]"));
        let doc = Doc::parse(text, JsonLimits::default())?;
        text = Operation { parameter: operation, doc: &doc, types }.apply().map_err(at)?;
    }
    same_resource(current, &text)
}

struct Operation<'o> {
    parameter: Ref<'o>,
    doc: &'o Doc,
    types: &'o dyn Types,
}

impl<'o> Operation<'o> {
    fn apply(&self) -> Result<String> {
        if self.parameter.get_str("name").as_deref() != Some("operation") {
            return Err(Error::invalid("every parameter of a FHIRPath Patch is named `operation`"));
        }
        let mut root = exact::read(self.doc.root());
        match &*self.string("type")? {
            "add" => self.add(&mut root)?,
            "insert" => self.insert(&mut root)?,
            "delete" => self.delete(&mut root)?,
            "replace" => self.replace(&mut root)?,
            "move" => self.reorder(&mut root)?,
            other => {
                let text =
                    format!("`type` is `{other}`, which is not one of add, insert, delete, replace and move");
                return Err(Error::invalid(text));
            }
        }
        Ok(exact::write(&root))
    }

    /// A new element of the object at `path`; at the end, if it repeats.
    fn add(&self, root: &mut Value) -> Result<()> {
        let mut parent = self.only(self.found()?)?;
        let name = self.string("name")?;
        let type_name = self.type_of(&parent)?;
        let primitive = is_primitive(self.types, &type_name);
        let type_name = if primitive { "Element" } else { &*type_name };
        let named = NamedElement::find(self.types, type_name, &name).ok_or_else(|| {
            Error::invalid(format!("`name` is `{name}`, which is not an element of `{type_name}`"))
        })?;
        let (key, slot) = content(self.part("value")?, &named, self.types)?;
        let many = named.element.many;
        if primitive {
            make_twin(root, &mut parent);
        }
        let place = ElementPath { parent, key };
        let mut keys = named.keys().map(|key| ElementPath { parent: place.parent.clone(), key });
        if !many && keys.any(|place| place.is_filled(root)) {
            return Err(unfit(format!("`{name}` is there already and cannot repeat; it can be replaced")));
        }
        let mut slots = place.take(root);
        slots.push(slot);
        place.put(root, slots, many);
        Ok(())
    }

    /// A new item of the list at `path`, before the one that has the `index` now.
    fn insert(&self, root: &mut Value) -> Result<()> {
        let (place, named, mut slots) = self.list(root)?;
        let (_, slot) = content(self.part("value")?, &named, self.types)?;
        let index = self.number("index", slots.len() + 1)?;
        slots.insert(index, slot);
        place.put(root, slots, true);
        Ok(())
    }

    /// What is at `path` goes, if there is anything.
    fn delete(&self, root: &mut Value) -> Result<()> {
        let found = self.found()?;
        if found.is_empty() {
            return Ok(());
        }
        let (place, index) = self.element(self.only(found)?)?;
        let mut slots = place.take(root);
        if index.unwrap_or(0) < slots.len() {
            slots.remove(index.unwrap_or(0));
        }
        place.put(root, slots, index.is_some());
        place.prune(root);
        Ok(())
    }

    /// What is at `path` gets another value; a choice may get another type.
    fn replace(&self, root: &mut Value) -> Result<()> {
        let target = self.only(self.found()?)?;
        let (place, index) = self.element(target)?;
        let named = self.named(&place)?;
        let free = NamedElement { type_name: named.type_name.filter(|_| !named.element.choice), ..named };
        let (key, slot) = content(self.part("value")?, &free, self.types)?;
        let mut slots = place.take(root);
        if let Some(old) = slots.get_mut(index.unwrap_or(0)) {
            *old = slot;
        }
        if key != place.key {
            place.put(root, Vec::new(), false);
        }
        ElementPath { parent: place.parent, key }.put(root, slots, index.is_some());
        Ok(())
    }

    /// An item of the list at `path` goes from `source` to `destination`, counted without it.
    fn reorder(&self, root: &mut Value) -> Result<()> {
        let (place, _, mut slots) = self.list(root)?;
        let source = self.number("source", slots.len())?;
        let destination = self.number("destination", slots.len())?;
        let moved = slots.remove(source);
        slots.insert(destination, moved);
        place.put(root, slots, true);
        Ok(())
    }

    /// The elements at `path`, as steps from the root.
    fn found(&self) -> Result<Vec<Vec<Step>>> {
        let path = self.string("path")?;
        let unusable = |e: Error| Error { text: format!("`path` ({path}) is not usable: {}", e.text), ..e };
        let expression = fhirpath::parse(&path).map_err(|e| unusable(e.into()))?;
        // Strict, as a misspelt element would else be found to be absent.
        let context = Context::new(self.types, self.doc.root()).strict().steps_max(PATH_STEPS_MAX);
        let items = fhirpath::evaluate(&expression, context.root_item(), &context);
        let items = items.map_err(|e| unusable(e.into()))?;
        let place = |item: &Item<'_>| {
            let node = item.as_node()?;
            Some(steps(self.doc.root(), node.json().or(node.sibling())?))
        };
        let found: Option<Vec<_>> = items.iter().map(place).collect();
        found.ok_or_else(|| unfit(format!("`path` ({path}) gives values, not elements of the resource")))
    }

    fn only(&self, mut found: Vec<Vec<Step>>) -> Result<Vec<Step>> {
        match (found.pop(), found.len()) {
            (Some(one), 0) => Ok(one),
            (None, _) => {
                Err(unfit(format!("`path` ({}) finds nothing in the resource", self.string("path")?)))
            }
            (_, more) => {
                let path = self.string("path")?;
                Err(unfit(format!("`path` ({path}) finds {} elements, where there must be one", more + 1)))
            }
        }
    }

    /// The path of an element that may be changed.
    fn element(&self, steps: Vec<Step>) -> Result<(ElementPath, Option<usize>)> {
        let (place, index) = ElementPath::from_steps(steps)
            .ok_or_else(|| unfit("`path` is the resource itself, which a patch cannot take away"))?;
        if place.parent.is_empty() && matches!(&*place.key, "id" | "resourceType") {
            return Err(unfit(format!("a patch cannot change the `{}` of a resource", place.key)));
        }
        Ok((place, index))
    }

    /// The list that `path` is, all items of one repeating element; its items are taken out.
    fn list(&self, root: &mut Value) -> Result<(ElementPath, NamedElement<'o>, Vec<Slot>)> {
        let found = self.found()?;
        let count = found.len();
        let path = self.string("path")?;
        let first = found
            .first()
            .cloned()
            .ok_or_else(|| unfit(format!("`path` ({path}) finds nothing in the resource")))?;
        let (place, _) = self.element(first)?;
        let named = self.named(&place)?;
        let in_order = found.into_iter().enumerate().all(|(i, steps)| {
            ElementPath::from_steps(steps).is_some_and(|(p, index)| p == place && index == Some(i))
        });
        let slots = place.take(root);
        if !named.element.many || !in_order || slots.len() != count {
            return Err(unfit(format!("`path` ({path}) is not a list: all items of one repeating element")));
        }
        Ok((place, named, slots))
    }

    /// The definition of the element at a path.
    fn named(&self, place: &ElementPath) -> Result<NamedElement<'o>> {
        let parent = self.type_of(&place.parent)?;
        let parent = if is_primitive(self.types, &parent) { "Element" } else { &*parent };
        NamedElement::find(self.types, parent, &place.key)
            .ok_or_else(|| unfit(format!("`{}` is not an element of `{parent}`", place.key)))
    }

    /// The type of what the steps lead to.
    fn type_of(&self, steps: &[Step]) -> Result<String> {
        let mut at = self.doc.root();
        let mut type_name = at.get_str("resourceType").unwrap_or_default().into_owned();
        for step in steps {
            let named = NamedElement::find(self.types, &type_name, &step.key);
            let found = named.as_ref().and_then(|n| n.type_name);
            type_name = found
                .ok_or_else(|| unfit(format!("`{}` is not an element of `{type_name}`", step.key)))?
                .to_owned();
            let key = if step.twin { format!("_{}", step.key) } else { step.key.clone() };
            let next = at.get(&key).and_then(|v| v.items().nth(step.index.unwrap_or(0)));
            at = next.ok_or_else(|| unfit("`path` finds nothing in the resource"))?;
            if type_name == "Resource" {
                type_name = at.get_str("resourceType").unwrap_or_default().into_owned();
            }
            if step.twin {
                type_name = "Element".to_owned();
            }
        }
        Ok(type_name)
    }

    fn part(&self, name: &str) -> Result<Ref<'o>> {
        let mut parts = self.parameter.get("part").into_iter().flat_map(Ref::items);
        let found = parts.by_ref().find(|p| p.get_str("name").as_deref() == Some(name));
        let found = found.ok_or_else(|| Error::invalid(format!("the operation has no part `{name}`")))?;
        if parts.any(|p| p.get_str("name").as_deref() == Some(name)) {
            return Err(Error::invalid(format!("the operation has more than one part `{name}`")));
        }
        Ok(found)
    }

    /// The text of a part, whichever of FHIR's string types it has.
    fn string(&self, name: &str) -> Result<String> {
        let part = self.part(name)?;
        let value = part.children().find(|c| c.key().starts_with("value")).and_then(Ref::str);
        let value =
            value.ok_or_else(|| Error::invalid(format!("the part `{name}` has no string as its value")))?;
        Ok(value.into_owned())
    }

    /// A part that counts from 0 to less than `end`.
    fn number(&self, name: &str, end: usize) -> Result<usize> {
        let part = self.part(name)?;
        let value = part.children().find(|c| c.key().starts_with("value")).and_then(Ref::number);
        let number: i64 = value
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| Error::invalid(format!("the part `{name}` has no integer as its value")))?;
        let number = usize::try_from(number).ok().filter(|n| *n < end);
        number.ok_or_else(|| unfit(format!("`{name}` is outside of the list: it may be 0 to {}", end - 1)))
    }
}

/// Leads the steps to a primitive into its twin, made if it is not there yet.
fn make_twin(root: &mut Value, steps: &mut [Step]) {
    let Some((place, index)) = ElementPath::from_steps(steps.to_vec()) else { return };
    let mut slots = place.take(root);
    if let Some(slot) = slots.get_mut(index.unwrap_or(0)) {
        slot.twin.get_or_insert_with(|| Value::Object(Default::default()));
    }
    place.put(root, slots, index.is_some());
    if let Some(last) = steps.last_mut() {
        last.twin = true;
    }
}

fn unfit(text: impl Into<String>) -> Error {
    Error::new(Kind::Rule, text)
}
