//! Quantities by code. `code-value-quantity` of a whole resource is what its parts say together, but then what is asked of
//! the quantities of one code costs what those of all codes do, and no index has them in order. So each quantity is an
//! entry under the resource's codes, too; its key is made of both, as in a composite of an element.
//!
//! Of a resource that has a code, an entry under the key of a quantity says the same as one under the key of both. So
//! what is asked beside a code is asked of its own entries, and an order of what has the code goes along them.

use std::sync::Arc;

use crate::condition::Condition;
use crate::index_hash::IndexHasher;
use crate::order::{Entries, Key, NUMBERS, SortSource};
use crate::param::Index;
use crate::registry::TypeSearch;
use crate::rows::{Ordered, Rows};

/// Codes each of which is asked for its own entries.
const CODES_MAX: usize = 10;
/// What is asked of each of several codes.
const VALUES_MAX: usize = 10;

/// The keys of a type's quantities that have entries by code.
#[derive(Debug)]
pub struct CodeQuantityIndex<'k> {
    hasher: &'k IndexHasher,
    keys: Vec<i64>,
}

impl TypeSearch {
    /// Its quantities by code, whatever their unit: those by its name, and ranges in a unit, are not looked for so often.
    pub fn code_quantity_index<'k>(&self, hasher: &'k IndexHasher) -> CodeQuantityIndex<'k> {
        let keys = |index: &Arc<Index>| NUMBERS.map(|form| hasher.key(self.number, &index.name, form, &[]));
        CodeQuantityIndex { hasher, keys: self.code_quantities.iter().flat_map(keys).collect() }
    }
}

impl CodeQuantityIndex<'_> {
    /// What a resource leaves besides, as soon as its codes and its quantities are known.
    pub(crate) fn entries(&self, rows: &Rows) -> Vec<Ordered> {
        let codes = || rows.primary_code.iter().chain(&rows.further_codes);
        let each = rows.ordered.iter().flat_map(|entry| codes().map(move |code| (*code, entry)));
        each.filter_map(|(code, entry)| Some(Ordered { key: self.combined_key(code, entry.key)?, ..*entry }))
            .collect()
    }

    /// The condition, which asks for entries by code where it asks for a code, too.
    pub fn rewritten(&self, condition: Condition) -> Condition {
        match self.keys.is_empty() {
            true => condition,
            false => self.rewrite_beside_codes(condition).simplify(),
        }
    }

    fn rewrite_beside_codes(&self, condition: Condition) -> Condition {
        let condition = condition.with_parts(&|part| self.rewrite_beside_codes(part));
        let codes = codes_of(&condition).filter(|codes| (1..=CODES_MAX).contains(&codes.len()));
        let Some(codes) = codes.map(<[i64]>::to_vec) else { return condition };
        condition.with_parts(&|part| match codes.len() == 1 || part.values() <= VALUES_MAX {
            true => self.under_codes(&codes, part),
            false => part,
        })
    }

    /// A condition on what has one of the codes.
    fn under_codes(&self, codes: &[i64], condition: Condition) -> Condition {
        let Some(key) = key_of(&condition) else {
            return condition.with_parts(&|part| self.under_codes(codes, part));
        };
        let keys: Option<Vec<i64>> = codes.iter().map(|code| self.combined_key(*code, key)).collect();
        match keys {
            Some(keys) => Condition::Any(keys.into_iter().map(|key| with_key(&condition, key)).collect()),
            None => condition,
        }
    }

    /// The condition without its codes, where all the rest is entries by these: they go without saying.
    pub fn without_codes(&self, condition: &Condition) -> Option<Condition> {
        let (codes, Condition::All(parts)) = (codes_of(condition)?, condition) else { return None };
        let (asked, rest): (Vec<&Condition>, Vec<&Condition>) = parts.iter().partition(|part| is_codes(part));
        let both = |code: &i64| {
            self.keys.iter().filter_map(|key| self.combined_key(*code, *key)).collect::<Vec<_>>()
        };
        let own: Vec<i64> = codes.iter().flat_map(both).collect();
        let is_own = |entry: &Condition| key_of(entry).is_some_and(|key| own.contains(&key));
        let code_quantities = |part: &&Condition| match part {
            Condition::Any(each) => each.iter().all(is_own),
            one => is_own(one),
        };
        let alone = asked.len() == 1 && !rest.is_empty() && rest.iter().all(code_quantities);
        alone.then(|| Condition::All(rest.into_iter().cloned().collect()).simplify())
    }

    /// A key of an order, along the entries of the one code that is asked for; and what else is asked.
    pub fn sorted(&self, key: &Key, condition: &Condition) -> Option<(Key, Condition)> {
        let (SortSource::Numbers(entries), [code]) = (&key.by, codes_of(condition)?) else { return None };
        let keys =
            entries.keys.iter().map(|key| self.combined_key(*code, *key)).collect::<Option<Vec<_>>>()?;
        let by = SortSource::Numbers(Entries { keys, present: entries.present });
        let mut rest = condition.clone().parts();
        rest.retain(|part| *part != Condition::Codes(vec![*code]));
        Some((Key { by, descending: key.descending }, Condition::All(rest).simplify()))
    }

    /// The key of a code's entries under a key. Returns `None` when there are no such entries.
    fn combined_key(&self, code: i64, key: i64) -> Option<i64> {
        self.keys.contains(&key).then(|| self.hasher.combined([code, key].into_iter()))
    }
}

/// The codes of which a resource must have one; of several lists the shortest.
fn codes_of(condition: &Condition) -> Option<&[i64]> {
    let parts = match condition {
        Condition::All(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let lists = parts.iter().filter_map(|part| match part {
        Condition::Codes(codes) => Some(codes.as_slice()),
        _ => None,
    });
    lists.min_by_key(|codes| codes.len())
}

fn is_codes(part: &Condition) -> bool {
    matches!(part, Condition::Codes(_))
}

/// The key of an entry that may be a quantity's.
fn key_of(condition: &Condition) -> Option<i64> {
    match condition {
        Condition::QuantityEntry { key, .. } | Condition::DateEntry(key, _) => Some(*key),
        _ => None,
    }
}

/// The same asked of entries under another key.
fn with_key(condition: &Condition, other: i64) -> Condition {
    let mut same = condition.clone();
    if let Condition::QuantityEntry { key, .. } | Condition::DateEntry(key, _) = &mut same {
        *key = other;
    }
    same
}

#[cfg(test)]
mod tests;
