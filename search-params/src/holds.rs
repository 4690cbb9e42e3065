//! Conditions on what a body leaves in the indexes. Entries beside the rows say which rows meet a condition, not whether a
//! row does: where it is known which rows are asked, the bodies tell it sooner.

use crate::condition::{Condition, Extra};
use crate::prefix_hash;
use crate::rows::{CONTINUED, ELEMENTS, Ordered, Rows};

impl Condition {
    /// True when it is on entries, so that [`holds`](Self::holds) decides it.
    pub fn is_on_entries(&self) -> bool {
        self.has_entries() && self.is_on_columns()
    }

    /// True when it asks for one entry, or for one of several, and for nothing else.
    pub(crate) fn is_entry(&self) -> bool {
        match self {
            Condition::Any(each) => !each.is_empty() && each.iter().all(Condition::is_one_entry),
            one => one.is_one_entry(),
        }
    }

    fn is_one_entry(&self) -> bool {
        matches!(
            self,
            Condition::DateEntry(..)
                | Condition::NumberEntry { .. }
                | Condition::QuantityEntry { .. }
                | Condition::TextPrefix(..)
                | Condition::TextWords(..)
                | Condition::TextContains(..)
                | Condition::TextScan(..)
        )
    }

    fn has_entries(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().any(Condition::has_entries),
            Condition::Not(inner) => inner.has_entries(),
            one => one.is_one_entry(),
        }
    }

    fn is_on_columns(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().all(Condition::is_on_columns),
            Condition::Not(inner) => inner.is_on_columns(),
            Condition::Keys(_) | Condition::Tokens(_) | Condition::Codes(_) => true,
            Condition::Present(_) | Condition::PrimaryDate(_) => true,
            one => one.has_entries(),
        }
    }

    /// True when the row tells whether it holds: it does where [`prefilter`](Self::prefilter) does.
    pub fn is_on_row(&self) -> bool {
        match self {
            Condition::TextPrefix(_, text) => prefix_hash::is_covered(text),
            Condition::Any(parts) => parts.iter().all(Condition::is_on_row),
            _ => false,
        }
    }

    /// A condition on columns of the row that every match meets: a prefilter. Returns `None` when columns say nothing about it.
    pub fn prefilter(&self) -> Option<Condition> {
        match self {
            Condition::TextPrefix(key, text) => Some(Condition::MayStartWith(*key, text.clone())),
            // The one that is likely to tell most.
            Condition::TextWords(key, words) => {
                let longest = words.iter().max_by_key(|word| word.len())?;
                Some(Condition::MayStartWith(*key, longest.clone()))
            }
            Condition::Any(parts) => {
                Some(Condition::Any(parts.iter().map(Condition::prefilter).collect::<Option<_>>()?))
            }
            _ => None,
        }
    }

    /// Whether a resource meets it that leaves these entries.
    pub fn holds(&self, rows: &Rows) -> bool {
        let ordered = |key: &i64, passes: &dyn Fn(&Ordered) -> bool| {
            rows.ordered.iter().any(|entry| entry.key == *key && passes(entry))
        };
        match self {
            Condition::All(parts) => parts.iter().all(|part| part.holds(rows)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(rows)),
            Condition::Not(inner) => !inner.holds(rows),
            Condition::Keys(keys) | Condition::Tokens(keys) | Condition::Codes(keys) => {
                keys.iter().any(|key| rows.keys.binary_search(key).is_ok())
            }
            Condition::Patient(handles) => rows.patient.is_some_and(|patient| handles.contains(&patient)),
            Condition::Near(key, circle) => ordered(key, &|e| circle.contains(e.value, e.extra)),
            Condition::Present(bit) => rows.present & (1 << bit) != 0,
            Condition::PrimaryDate(test) => rows.date.is_some_and(|(low, high)| test.passes(low, high)),
            Condition::DateEntry(key, test) => ordered(key, &|e| test.passes(e.value, e.extra)),
            Condition::NumberEntry { key, from, to } => ordered(key, &|e| {
                let place = (e.value, e.extra);
                (from.value, from.rest) <= place && place <= (to.value, to.rest)
            }),
            Condition::QuantityEntry { key, min, max, extra } => ordered(key, &|e| {
                let passes = match extra {
                    Extra::Any => true,
                    Extra::OneOf(these) => these.contains(&e.extra),
                    Extra::Between(min, max) => (*min..=*max).contains(&e.extra),
                };
                passes && (*min..=*max).contains(&e.value)
            }),
            Condition::TextWords(key, words) => {
                let elements = |word: &String| {
                    let own = rows.strings.iter().filter(|e| e.key == *key && e.rank & CONTINUED == 0);
                    own.filter(|e| e.value.starts_with(word.as_str())).fold(0, |all, e| all | e.rank)
                };
                words.iter().map(elements).fold(ELEMENTS, |all, some| all & some) != 0
            }
            Condition::TextPrefix(key, text) => rows
                .strings
                .iter()
                .any(|e| e.key == *key && e.rank & CONTINUED == 0 && e.value.starts_with(text.as_str())),
            Condition::TextContains(key, text) | Condition::TextScan(key, text) => {
                rows.strings.iter().any(|e| e.key == *key && e.value.contains(text.as_str()))
            }
            // None of these is about what a body leaves.
            _ => false,
        }
    }
}
