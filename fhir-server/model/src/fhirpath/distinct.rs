//! A collection in which each item is once.
//!
//! Equality of structures is a walk through both, so items are first told apart by a cheap number that equal items
//! share.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::compare;
use super::item::{Item, Value};
use crate::json::{Kind, Ref};
use crate::types::Types;

pub(super) struct Distinct<'a> {
    pub(super) items: Vec<Item<'a>>,
    alike: HashMap<u64, Vec<usize>>,
    types: &'a dyn Types,
}

impl<'a> Distinct<'a> {
    pub(super) fn new(types: &'a dyn Types) -> Distinct<'a> {
        Distinct { items: Vec::new(), alike: HashMap::new(), types }
    }

    /// Adds an item unless it is there; says whether it was added, and how many were looked at.
    pub(super) fn add(&mut self, item: Item<'a>) -> (bool, usize) {
        let alike = self.alike.entry(likeness(&item, self.types)).or_default();
        let known = alike.iter().filter_map(|at| self.items.get(*at));
        let steps = alike.len() + 1;
        for other in known {
            if compare::equal(&item, other, self.types) == Some(true) {
                return (false, steps);
            }
        }
        alike.push(self.items.len());
        self.items.push(item);
        (true, steps)
    }
}

/// The same number for equal items. Only texts and the texts within structures tell items apart: numbers, dates and
/// quantities may be equal in many ways of writing.
fn likeness(item: &Item<'_>, types: &dyn Types) -> u64 {
    match item.value(types) {
        Some(Value::String(text)) => hash(&text),
        Some(_) => 0,
        None => item.json().map_or(1, structure),
    }
}

/// Keys in any order are one structure, so the members' numbers are added up.
fn structure(json: Ref<'_>) -> u64 {
    let members = json.children().map(|member| {
        let value = match member.kind() {
            Kind::String => hash(&member.str().unwrap_or_default()),
            Kind::Object | Kind::Array => structure(member),
            _ => 0,
        };
        hash(&member.key()).rotate_left(1) ^ value
    });
    members.fold(2, u64::wrapping_add)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
