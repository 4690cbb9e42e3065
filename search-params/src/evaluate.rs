//! Conditions evaluated on a resource that is not in the database yet, by the index entries of its body.

use crate::condition::Condition;
use crate::rows::Rows;

impl Condition {
    /// Whether a resource with this id meets it that leaves these entries. Returns `None` when something else decides:
    /// another resource, an index of words, terminology, the time of the write.
    pub fn meets(&self, id: &str, rows: &Rows) -> Option<bool> {
        match self {
            Condition::All(parts) => each(parts, true, |part| part.meets(id, rows)),
            Condition::Any(parts) => each(parts, false, |part| part.meets(id, rows)),
            Condition::Not(inner) => inner.meets(id, rows).map(|holds| !holds),
            Condition::Ids(_, ids) => Some(ids.iter().any(|one| one == id)),
            Condition::Patient(handles) => Some(rows.patient.is_some_and(|one| handles.contains(&one))),
            Condition::Distinct(key, text) => {
                Some(rows.distinct.iter().any(|one| one.key == *key && one.value.starts_with(text.as_str())))
            }
            Condition::Handles(_) | Condition::FullText(_) | Condition::List(_) | Condition::Updated(_) => {
                None
            }
            Condition::TypeIds(_) | Condition::Tenant(_) => None,
            Condition::Visible(scope) => scope.meets(id, rows),
            Condition::Chain(_) | Condition::Embedded(_) | Condition::Has(_) => None,
            Condition::ConvertedUnits(_) | Condition::CodedToken(_) => None,
            Condition::Near(..) | Condition::MayStartWith(..) => None,
            Condition::Keys(_) | Condition::Tokens(_) | Condition::Codes(_) => Some(self.holds(rows)),
            Condition::Present(_) | Condition::PrimaryDate(_) | Condition::DateEntry(..) => {
                Some(self.holds(rows))
            }
            Condition::NumberEntry { .. } | Condition::QuantityEntry { .. } => Some(self.holds(rows)),
            Condition::TextPrefix(..) | Condition::TextWords(..) => Some(self.holds(rows)),
            Condition::TextContains(..) | Condition::TextScan(..) => Some(self.holds(rows)),
        }
    }
}

/// All of them (`neutral` is true) or any (false), where some may not be known: one that decides is enough.
fn each(parts: &[Condition], neutral: bool, meets: impl Fn(&Condition) -> Option<bool>) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match meets(part) {
            Some(holds) if holds != neutral => return Some(holds),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(neutral)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_is_enough() {
        let rows = Rows { keys: vec![1, 2], patient: Some(7), ..Rows::default() };
        let has = |key| Condition::Keys(vec![key]);
        let unknown = || Condition::List("l".to_owned());
        let not = |inner| Condition::Not(Box::new(inner));
        let table = [
            (has(1), Some(true)),
            (has(3), Some(false)),
            (not(has(3)), Some(true)),
            (unknown(), None),
            (not(unknown()), None),
            (Condition::All(vec![has(1), unknown()]), None),
            (Condition::All(vec![unknown(), has(3)]), Some(false)),
            (Condition::Any(vec![unknown(), has(1)]), Some(true)),
            (Condition::Any(vec![has(3), unknown()]), None),
            (Condition::All(Vec::new()), Some(true)),
            (Condition::Any(Vec::new()), Some(false)),
            (Condition::Ids(vec![5], vec!["x".to_owned()]), Some(true)),
            (Condition::Ids(vec![5], vec!["y".to_owned()]), Some(false)),
            (Condition::Patient(vec![6, 7]), Some(true)),
            (Condition::Patient(vec![6]), Some(false)),
        ];
        for (condition, wanted) in table {
            assert_eq!(condition.meets("x", &rows), wanted, "{condition:?}");
        }
    }
}
