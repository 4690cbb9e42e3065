//! What resources are sorted by: the least value ascending, the greatest descending, a missing one last in either order.

use std::cmp::Ordering;
use std::collections::HashMap;

use fhir_search::parameters::ParameterKind;
use fhir_search::query::{Sort, SortBy};
use fhir_search::registry::Param;

use super::chain::targets_of;
use super::corpus::{Corpus, One};
use super::matches::{Span, numbers, quantities, target_text, texts, tokens};
use super::names::folded;
use super::when;

/// A sort value.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(super) enum Value {
    Micros(i64),
    Number(f64),
    Text(String),
}

/// Long texts are sorted by their beginning.
const TEXT_CHARS_MAX: usize = 256;

/// The sort values of all resources of a type, by their order in the corpus.
pub(super) fn values(sort: &Sort, type_name: &str, corpus: &Corpus) -> Vec<Option<Value>> {
    let resources = corpus.of(type_name);
    match &sort.by {
        SortBy::Id => resources.iter().map(|r| Some(Value::Text(r.key.id.to_string()))).collect(),
        SortBy::LastUpdated => resources.iter().map(|r| Some(Value::Micros(r.updated_at))).collect(),
        SortBy::Param(param) => of_param(param, sort.descending, type_name, corpus),
        SortBy::Chain { param, targets } => {
            let mut ends: HashMap<String, Value> = HashMap::new();
            for (target, inner) in targets {
                let values = of_param(inner, sort.descending, target, corpus);
                let keys = corpus.of(target).iter().map(|r| r.key.to_string());
                ends.extend(keys.zip(values).filter_map(|(key, value)| Some((key, value?))));
            }
            // A reference to a version leads to the resource, as it does in a chain.
            let of = |found: &Vec<One>| {
                let led_to = found.iter().flat_map(|value| targets_of(value, param, corpus));
                let led_to = led_to.map(|(kind, id)| format!("{kind}/{id}"));
                edge(led_to.filter_map(|key| ends.get(&key).cloned()), sort.descending)
            };
            corpus.values(type_name, param, false).iter().map(of).collect()
        }
    }
}

fn of_param(param: &Param, descending: bool, type_name: &str, corpus: &Corpus) -> Vec<Option<Value>> {
    let of = |found: &Vec<One>| {
        let own = |value: &&One| param.only_target.is_none() || !is_contained(value);
        edge(found.iter().filter(own).flat_map(|value| of_value(value, param.kind)), descending)
    };
    corpus.values(type_name, param, false).iter().map(of).collect()
}

fn edge(values: impl Iterator<Item = Value>, descending: bool) -> Option<Value> {
    let order = |a: &Value, b: &Value| a.partial_cmp(b).unwrap();
    if descending { values.max_by(order) } else { values.min_by(order) }
}

fn of_value(value: &One, kind: ParameterKind) -> Vec<Value> {
    let (node, type_name) = match value {
        One::Truth(truth) => return vec![Value::Text(truth.to_string())],
        One::Node(node, type_name) => (*node, &**type_name),
    };
    let cut = |text: String| Value::Text(text.chars().take(TEXT_CHARS_MAX).collect());
    let all = |texts: Vec<String>| texts.into_iter().map(cut).collect();
    let low = |(low, _): Span| Value::Number(low.map_or(f64::NEG_INFINITY, |n| n.to_f64()));
    match kind {
        ParameterKind::Date => when::span(type_name, node).map(|s| Value::Micros(s.0)).into_iter().collect(),
        ParameterKind::Number => numbers(type_name, node).into_iter().map(low).collect(),
        ParameterKind::Quantity => {
            // What is more than 60 comes after what is 60.
            let more = node.get_str("comparator").as_deref() == Some(">");
            let place = |(low, _): Span| {
                let number = low.map_or(f64::NEG_INFINITY, |n| n.to_f64());
                Value::Number(if more { number.next_up() } else { number })
            };
            quantities(type_name, node).into_iter().map(|q| place(q.span)).collect()
        }
        ParameterKind::String => all(texts(type_name, node).iter().map(|text| folded(text)).collect()),
        ParameterKind::Token => {
            all(tokens(type_name, node).into_iter().filter_map(|(_, code)| code).collect())
        }
        // A resource in the place of a reference is sorted by its id.
        _ => all(node
            .get_str("id")
            .map(|id| id.into_owned())
            .filter(|_| node.get("resourceType").is_some())
            .or_else(|| target_text(node))
            .into_iter()
            .collect()),
    }
}

/// The order of two resources under the keys of a sort; `Equal` when the keys do not settle it.
pub(super) fn compare(keys: &[(bool, Vec<Option<Value>>)], a: usize, b: usize) -> Ordering {
    let each = keys.iter().map(|(descending, values)| match (&values[a], &values[b]) {
        (Some(a), Some(b)) => {
            let order = a.partial_cmp(b).unwrap();
            if *descending { order.reverse() } else { order }
        }
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    each.fold(Ordering::Equal, Ordering::then)
}

/// `patient` is sorted by the text of references to patients; that of a contained one does not tell.
fn is_contained(value: &One) -> bool {
    matches!(value, One::Node(node, _) if node.get_str("reference").is_some_and(|text| text.starts_with('#')))
}
