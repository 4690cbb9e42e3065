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
    /// Adds the difference between a resource's rows, which are sorted and each there once.
    pub(super) fn add(&mut self, handle: i64, old: &Rows, new: &Rows) {
        for entry in new.ordered.iter().filter(|e| old.ordered.binary_search(e).is_err()) {
            self.ordered.push(handle, entry);
        }
        // Without the rank, which comes last, the order is the same.
        let place = |e: &Ordered| (e.key, e.value, e.extra);
        for entry in &old.ordered {
            if new.ordered.binary_search_by_key(&place(entry), place).is_err() {
                self.ordered_gone.push(handle, entry);
            }
        }
        for entry in new.strings.iter().filter(|e| old.strings.binary_search(e).is_err()) {
            self.strings.push(handle, entry);
        }
        for entry in &old.strings {
            let place = |e: &Text| (e.key, e.value.as_str()).cmp(&(entry.key, entry.value.as_str()));
            if new.strings.binary_search_by(place).is_err() {
                self.strings_gone.push(handle, entry);
            }
        }
    }
}
