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
    /// Adds the difference between a resource's rows, which are sorted and each there once. `building`: what it should
    /// have it need not have yet.
    pub(super) fn add(&mut self, handle: i64, old: &Rows, new: &Rows, building: bool) {
        for entry in new.ordered.iter().filter(|e| building || old.ordered.binary_search(e).is_err()) {
            self.ordered.push(handle, entry);
        }
        // Without the rank, which comes last, the order is the same.
        let place = |e: &Ordered| (e.key, e.value, e.extra);
        for entry in &old.ordered {
            if new.ordered.binary_search_by_key(&place(entry), place).is_err() {
                self.ordered_gone.push(handle, entry);
            }
        }
        for entry in new.strings.iter().filter(|e| building || old.strings.binary_search(e).is_err()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(key: i64, value: i64, rank: i16) -> Ordered {
        Ordered { key, value, extra: 0, rank }
    }

    fn text(key: i64, value: &str, rank: i16) -> Text {
        Text { key, value: value.to_owned(), rank }
    }

    fn rows(ordered: Vec<Ordered>, strings: Vec<Text>) -> Rows {
        let mut rows = Rows::default();
        (rows.ordered, rows.strings) = (ordered, strings);
        rows
    }

    #[test]
    fn only_what_differs_is_written() {
        let old = rows(
            vec![ordered(1, 5, 1), ordered(1, 6, 2), ordered(2, 1, 3)],
            vec![text(1, "a", 1), text(1, "b", 2), text(2, "c", 3)],
        );
        let new = rows(
            vec![ordered(1, 5, 3), ordered(2, 1, 3), ordered(3, 1, 3)],
            vec![text(1, "a", 3), text(2, "c", 3), text(3, "d", 3)],
        );
        let mut entries = Entries::default();
        entries.add(7, &old, &new, false);
        // A new rank is written over the entry that stays.
        assert_eq!((entries.ordered.keys, entries.ordered.ranks), (vec![1, 3], vec![3, 3]));
        assert_eq!((entries.ordered_gone.keys, entries.ordered_gone.values), (vec![1], vec![6]));
        assert_eq!((entries.strings.keys, entries.strings.ranks), (vec![1, 3], vec![3, 3]));
        assert_eq!((entries.strings_gone.keys, entries.strings_gone.values), (vec![1], vec!["b".to_owned()]));
        assert_eq!(entries.ordered.handles, [7, 7]);
    }

    /// Of each 100,000 entries, comparing all with all would take 10^10 steps, four times over: it would not come to an
    /// end in any time a test is given.
    #[test]
    fn the_difference_is_found_by_order() {
        const N: i64 = 100_000;
        let from = |first: i64| {
            let all = first..first + N;
            rows(
                all.clone().map(|n| ordered(1, n, 0)).collect(),
                all.map(|n| text(1, &format!("{n:09}"), 0)).collect(),
            )
        };
        let mut entries = Entries::default();
        entries.add(7, &from(0), &from(1), false);
        assert_eq!((entries.ordered.values, entries.ordered_gone.values), (vec![N], vec![0]));
        assert_eq!(entries.strings.values, [format!("{N:09}")]);
        assert_eq!(entries.strings_gone.values, [format!("{:09}", 0)]);
    }
}
