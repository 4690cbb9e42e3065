//! Where an element stands in the JSON of a resource, and its repetitions as one list.
//!
//! A primitive stands under two keys, `given` and `_given`; every change goes through [`ElementPath`], so that the two
//! lists stay in step.

use fhir_model::fhirpath::location::ancestors;
use fhir_model::json::Ref;
use serde_json::{Map, Value};

/// One step down from an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The key, without the underscore of a twin.
    pub(super) key: String,
    /// The item, where the key holds an array.
    pub(super) index: Option<usize>,
    /// The step goes into `_key`: what follows are extensions or the id of a primitive.
    pub(super) twin: bool,
}

/// The steps from the root to a value.
pub(super) fn steps(root: Ref<'_>, target: Ref<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let nodes = ancestors(root, target);
    for (holder, node) in nodes.iter().zip(nodes.iter().skip(1)) {
        if holder.is_object() {
            let key = node.key();
            let (key, twin) = key.strip_prefix('_').map_or((&*key, false), |key| (key, true));
            steps.push(Step { key: key.to_owned(), index: None, twin });
        } else if let Some(step) = steps.last_mut() {
            step.index = holder.children().position(|item| item == *node);
        }
    }
    steps
}

/// One repetition: what stands under `key`, and what under `_key`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Slot {
    pub(super) value: Option<Value>,
    pub(super) twin: Option<Value>,
}

/// All repetitions of one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ElementPath {
    pub(super) parent: Vec<Step>,
    pub(super) key: String,
}

impl ElementPath {
    /// The path of the element that the last step leads to, and which repetition that is.
    pub(super) fn from_steps(mut steps: Vec<Step>) -> Option<(ElementPath, Option<usize>)> {
        let last = steps.pop()?;
        Some((ElementPath { parent: steps, key: last.key }, last.index))
    }

    /// True when there is something, be it only an extension of a value that is not there.
    pub(super) fn is_filled(&self, root: &mut Value) -> bool {
        let twin = format!("_{}", self.key);
        object(root, &self.parent).is_some_and(|p| p.contains_key(&self.key) || p.contains_key(&twin))
    }

    /// Takes the repetitions out. [`ElementPath::put`] puts them back, and must: `null`s stand in for them until then.
    pub(super) fn take(&self, root: &mut Value) -> Vec<Slot> {
        let Some(parent) = object(root, &self.parent) else { return Vec::new() };
        let mut list = |key: &str| match parent.get_mut(key).map(Value::take) {
            Some(Value::Array(items)) => items,
            Some(one) => vec![one],
            None => Vec::new(),
        };
        let (values, twins) = (list(&self.key), list(&format!("_{}", self.key)));
        let mut slots = vec![Slot::default(); values.len().max(twins.len())];
        for (slot, value) in slots.iter_mut().zip(values) {
            slot.value = Some(value).filter(|v| !v.is_null());
        }
        for (slot, twin) in slots.iter_mut().zip(twins) {
            slot.twin = Some(twin).filter(|v| !v.is_null());
        }
        slots
    }

    /// Puts the repetitions in: as arrays when the element may repeat.
    pub(super) fn put(&self, root: &mut Value, slots: Vec<Slot>, many: bool) {
        let (values, twins): (Vec<_>, Vec<_>) = slots.into_iter().map(|slot| (slot.value, slot.twin)).unzip();
        let Some(parent) = object(root, &self.parent) else { return };
        for (key, list) in [(self.key.clone(), values), (format!("_{}", self.key), twins)] {
            if list.iter().all(Option::is_none) {
                parent.shift_remove(&key);
                continue;
            }
            let mut list = list.into_iter().map(Option::unwrap_or_default);
            let value = if many { Value::Array(list.collect()) } else { list.next().unwrap_or_default() };
            parent.insert(key, value);
        }
    }

    /// Removes what became empty: FHIR knows no empty objects and arrays.
    pub(super) fn prune(&self, root: &mut Value) {
        let mut steps = self.parent.clone();
        while let Some(last) = steps.pop() {
            let place = ElementPath { parent: steps.clone(), key: last.key.clone() };
            let mut slots = place.take(root);
            let index = last.index.unwrap_or(0);
            let is_empty =
                |v: &mut Option<Value>| v.as_ref().and_then(Value::as_object).is_some_and(Map::is_empty);
            let mut emptied = false;
            if let Some(slot) = slots.get_mut(index) {
                let side = if last.twin { &mut slot.twin } else { &mut slot.value };
                if is_empty(side) {
                    *side = None;
                    emptied = true;
                }
                if slot.value.is_none() && slot.twin.is_none() {
                    slots.remove(index);
                }
            }
            place.put(root, slots, last.index.is_some());
            if !emptied {
                break;
            }
        }
    }
}

fn json_key(step: &Step) -> String {
    if step.twin { format!("_{}", step.key) } else { step.key.clone() }
}

fn object<'v>(root: &'v mut Value, steps: &[Step]) -> Option<&'v mut Map<String, Value>> {
    let found = steps.iter().try_fold(root, |at, step| {
        let at = at.get_mut(json_key(step))?;
        match step.index {
            Some(index) => at.get_mut(index),
            None => Some(at),
        }
    });
    found?.as_object_mut()
}
