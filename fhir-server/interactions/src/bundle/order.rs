//! When the entries of a batch run: <https://hl7.org/fhir/R4/http.html#brules>
//!
//! First what is deleted, then what is created, then what is changed, then what is read, so that a client need not know
//! how many run at the same time to know what comes out. Within a step, what touches the same resource stays in its
//! order; what is found by criteria may be any resource of its type, and what is found through others any at all.

use std::collections::{HashMap, HashSet};

use fhir_model::interaction::{Interaction, Method};
use fhir_model::{Key, Result};
use fhir_search::query::{Filter, Subject};

use super::entries::Entry;
use crate::conditional::Criteria;
use crate::request_context::RequestContext;

/// The entries of a Bundle: those that cannot be read, those that ask for nothing, and the others.
pub(super) type Parsed<'d> = Vec<Result<Option<Entry<'d>>>>;

/// Entries that run one after the other.
pub(super) type Sequence = Vec<usize>;

/// What an entry reads or writes, for conflicts with others of its step.
enum Touches<'e> {
    Nothing,
    Resource(&'e Key),
    /// A new resource of a type, which criteria may find.
    New(&'e str),
    Type(&'e str),
    Everything,
}

/// The steps, one after the other, each of sequences that may run at the same time.
pub(super) fn steps(ctx: &RequestContext<'_>, entries: &[Result<Option<Entry<'_>>>]) -> Vec<Vec<Sequence>> {
    let mut steps: [Vec<(usize, Touches<'_>)>; 4] = Default::default();
    for (at, entry) in entries.iter().enumerate() {
        let Ok(Some(entry)) = entry else { continue };
        let affects_state = |level, code| ctx.cx.operations.affects_state(level, code).unwrap_or(false);
        let step = match &entry.interaction {
            Interaction::Delete(_) | Interaction::ConditionalDelete(_) => 0,
            Interaction::Create(_) => 1,
            Interaction::Operation(level, code)
                if entry.method == Method::Post && affects_state(level, code) =>
            {
                1
            }
            interaction if interaction.is_write() => 2,
            _ => 3,
        };
        let touches = if step == 3 { Touches::Nothing } else { touches(ctx, entry) };
        if let Some(step) = steps.get_mut(step) {
            step.push((at, touches));
        }
    }
    steps.into_iter().map(sequences).collect()
}

fn touches<'e>(ctx: &RequestContext<'_>, entry: &'e Entry<'_>) -> Touches<'e> {
    let by_criteria = |type_name: &'e str, criteria: Result<Criteria>| match criteria {
        Ok(criteria) if criteria.query.filters.iter().all(is_of_resource) => Touches::Type(type_name),
        Ok(_) => Touches::Everything,
        // It will be refused.
        Err(_) => Touches::Nothing,
    };
    match &entry.interaction {
        Interaction::Update(key) | Interaction::Patch(key) | Interaction::Delete(key) => {
            Touches::Resource(key)
        }
        Interaction::Create(type_name) => match &entry.conditions.if_none_exist {
            Some(text) => by_criteria(type_name, Criteria::from_header(ctx, type_name, text)),
            None => Touches::New(type_name),
        },
        Interaction::ConditionalUpdate(type_name)
        | Interaction::ConditionalPatch(type_name)
        | Interaction::ConditionalDelete(type_name) => {
            let pairs = fhir_model::url::pairs(&entry.query);
            by_criteria(type_name, pairs.and_then(|pairs| Criteria::from_pairs(ctx, type_name, &pairs)))
        }
        _ => Touches::Everything,
    }
}

/// True when the resource alone decides.
fn is_of_resource(filter: &Filter) -> bool {
    matches!(filter.subject, Subject::Id | Subject::LastUpdated | Subject::Param(_))
}

/// Entries of a step, those together that must keep their order.
fn sequences(entries: Vec<(usize, Touches<'_>)>) -> Vec<Sequence> {
    if entries.iter().any(|(_, touches)| matches!(touches, Touches::Everything)) {
        return vec![entries.into_iter().map(|(at, _)| at).collect()];
    }
    let types: HashSet<&str> = entries
        .iter()
        .filter_map(|(_, touches)| if let Touches::Type(name) = touches { Some(*name) } else { None })
        .collect();
    let mut all: Vec<Sequence> = Vec::with_capacity(entries.len());
    let mut places: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    for (at, touches) in &entries {
        let shared = match touches {
            Touches::Resource(key) if types.contains(&*key.type_name) => Some((&*key.type_name, None)),
            Touches::Resource(key) => Some((&*key.type_name, Some(&*key.id))),
            Touches::New(name) | Touches::Type(name) if types.contains(name) => Some((*name, None)),
            _ => None,
        };
        let place = shared.map_or(all.len(), |shared| *places.entry(shared).or_insert(all.len()));
        match all.get_mut(place) {
            Some(sequence) => sequence.push(*at),
            None => all.push(vec![*at]),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_meet_keeps_its_order() {
        let key = |id: &str| Key::new("Patient", id);
        let (a, b, other) = (key("a"), key("b"), Key::new("Group", "a"));
        let rows = vec![
            (0, Touches::Resource(&a)),
            (1, Touches::Resource(&b)),
            (2, Touches::New("Patient")),
            (3, Touches::Resource(&a)),
            (4, Touches::Nothing),
            (5, Touches::Resource(&other)),
        ];
        assert_eq!(sequences(rows), [vec![0, 3], vec![1], vec![2], vec![4], vec![5]]);
        let rows = vec![
            (0, Touches::Resource(&a)),
            (1, Touches::Type("Patient")),
            (2, Touches::New("Patient")),
            (3, Touches::Resource(&other)),
            (4, Touches::New("Group")),
            (5, Touches::Resource(&b)),
        ];
        assert_eq!(sequences(rows), [vec![0, 1, 2, 5], vec![3], vec![4]]);
        let rows = vec![(0, Touches::Resource(&a)), (1, Touches::Everything), (2, Touches::Nothing)];
        assert_eq!(sequences(rows), [vec![0, 1, 2]]);
    }
}
