//! Index rows as arrays for `unnest`, and the difference between a resource's old and new rows.

use fhir_search::rows::{Ordered, Rows, Text};

/// Ordered entries as columns.
#[derive(Default)]
pub(super) struct OrderedColumns {
    pub(super) keys: Vec<i64>,
    pub(super) values: Vec<i64>,
    pub(super) handles: Vec<i64>,
    pub(super) extras: Vec<i64>,
    pub(super) ranks: Vec<i16>,
}

impl OrderedColumns {
    pub(super) fn push(&mut self, handle: i64, entry: &Ordered) {
        self.keys.push(entry.key);
        self.values.push(entry.value);
        self.handles.push(handle);
        self.extras.push(entry.extra);
        self.ranks.push(entry.rank);
    }
}

/// Text entries as columns.
#[derive(Default)]
pub(super) struct TextColumns {
    pub(super) keys: Vec<i64>,
    pub(super) values: Vec<String>,
    pub(super) handles: Vec<i64>,
    pub(super) ranks: Vec<i16>,
}

impl TextColumns {
    pub(super) fn push(&mut self, handle: i64, entry: &Text) {
        self.keys.push(entry.key);
        self.values.push(entry.value.clone());
        self.handles.push(handle);
        self.ranks.push(entry.rank);
    }
}

/// What a write puts into and takes out of the entry tables. Additions overwrite the rank of an entry that stays.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) ordered: OrderedColumns,
    pub(super) strings: TextColumns,
    pub(super) ordered_gone: OrderedColumns,
    pub(super) strings_gone: TextColumns,
}

impl Entries {
    /// Adds the difference between a resource's rows.
    pub(super) fn add(&mut self, handle: i64, old: &Rows, new: &Rows) {
        for entry in new.ordered.iter().filter(|e| !old.ordered.contains(e)) {
            self.ordered.push(handle, entry);
        }
        let same = |a: &Ordered, b: &Ordered| (a.key, a.value, a.extra) == (b.key, b.value, b.extra);
        for entry in old.ordered.iter().filter(|e| !new.ordered.iter().any(|n| same(e, n))) {
            self.ordered_gone.push(handle, entry);
        }
        for entry in new.strings.iter().filter(|e| !old.strings.contains(e)) {
            self.strings.push(handle, entry);
        }
        let same = |a: &Text, b: &Text| (a.key, &a.value) == (b.key, &b.value);
        for entry in old.strings.iter().filter(|e| !new.strings.iter().any(|n| same(e, n))) {
            self.strings_gone.push(handle, entry);
        }
    }
}
