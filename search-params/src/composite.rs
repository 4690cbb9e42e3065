//! `composite` parameters: <https://hl7.org/fhir/R4/search.html#composite>
//!
//! `code$value`: both in the same element. Of a whole resource (`code-value-quantity`) that is what its parts say
//! together, and needs no index; with the one of `code_quantity_index.rs` it costs less. Of an element (`component-code-value-quantity`)
//! each combination of the parts' own entries is an entry: its key is made of theirs. What is asked is combined in the
//! same way, so that everything the parts can do, the composite can.

use std::sync::Arc;

use fhir_model::json::Ref;
use fhir_model::{Error, Kind, Result};

use crate::condition::{Condition, Extra};
use crate::filter;
use crate::index_hash::IndexHasher;
use crate::index_value::index_value;
use crate::index_writer::{IndexWriter, IndexedValue};
use crate::number::SortableNumber;
use crate::param::{Composite, Param};
use crate::parameters::ParameterKind;
use crate::query::{Modifier, SearchTerm};
use crate::registry::Registry;
use crate::rows::{CONTINUED, Ordered, Rows, Text};

/// Most combinations of the values of one element.
const COMBINATIONS_MAX: usize = 10_000;

/// What a part leaves, before it is combined.
enum Entry<'r> {
    Key(i64),
    Ordered(&'r Ordered),
    Text(&'r Text),
}

impl Entry<'_> {
    fn key(&self) -> i64 {
        match self {
            Entry::Key(key) => *key,
            Entry::Ordered(entry) => entry.key,
            Entry::Text(entry) => entry.key,
        }
    }
}

pub(crate) fn index(element: Ref<'_>, writer: &mut IndexWriter<'_>) -> Result<()> {
    let index = writer.index;
    let Some(composite) = &index.element else { return Ok(()) };
    let mut found: Vec<Rows> = composite.parts.iter().map(|_| Rows::default()).collect();
    let mut has = vec![false; found.len()];
    let mut visit = |part: usize, value: Ref<'_>, value_type: &str| {
        let (Some(param), Some(rows)) = (composite.parts.get(part), found.get_mut(part)) else { return };
        let Some(index) = param.indexes.first() else { return };
        let (hasher, type_number, numbers) = (writer.hasher, writer.type_number, writer.numbers);
        let (bases, zone, found) = (writer.bases, writer.zone, IndexedValue::default());
        let (resource, container, ordinal) = (writer.resource, writer.container, 0);
        let mut inner = IndexWriter {
            hasher,
            type_number,
            index,
            bases,
            zone,
            ordinal,
            numbers,
            resource,
            container,
            rows,
            indexed: found,
        };
        index_value(value, value_type, &mut inner);
        if let Some(has) = has.get_mut(part) {
            *has |= inner.indexed.any;
        }
    };
    composite.here.walk(element, writer.container, &mut visit);
    composite.of_resource.walk(writer.resource, writer.container, &mut visit);
    let distinct: Vec<_> = found.iter_mut().flat_map(|rows| std::mem::take(&mut rows.distinct)).collect();
    let entries: Vec<Vec<Entry<'_>>> =
        composite.parts.iter().zip(&found).map(|(param, rows)| entries(param, rows)).collect();
    let combinations = entries.iter().map(Vec::len).try_fold(1usize, |n, many| n.checked_mul(many));
    if combinations.is_none_or(|n| n > COMBINATIONS_MAX) {
        let text = format!("the values for `{}` have more than {COMBINATIONS_MAX} combinations", index.name);
        return Err(Error::new(Kind::TooCostly, text));
    }
    writer.rows.distinct.extend(distinct);
    // Values that are there and cannot be asked for (a code that is nothing but text) are there all the same.
    writer.indexed.any = has.iter().all(|has| *has);
    let mut chosen = Vec::with_capacity(entries.len());
    combine(&entries, &mut chosen, writer);
    Ok(())
}

/// What of a part's rows is combined: its texts, its ordered entries, or its keys.
fn entries<'r>(param: &Param, rows: &'r Rows) -> Vec<Entry<'r>> {
    match param.kind {
        ParameterKind::String => {
            rows.strings.iter().filter(|t| t.rank & CONTINUED == 0).map(Entry::Text).collect()
        }
        ParameterKind::Date | ParameterKind::Number | ParameterKind::Quantity => {
            rows.ordered.iter().map(Entry::Ordered).collect()
        }
        _ => rows.keys.iter().copied().map(Entry::Key).collect(),
    }
}

/// Adds an entry for each choice of one entry of each part.
fn combine<'r>(parts: &'r [Vec<Entry<'r>>], chosen: &mut Vec<&'r Entry<'r>>, writer: &mut IndexWriter<'_>) {
    if let Some((first, rest)) = parts.split_first() {
        for entry in first {
            chosen.push(entry);
            combine(rest, chosen, writer);
            chosen.pop();
        }
        return;
    }
    let key = writer.hasher.combined(chosen.iter().map(|entry| entry.key()));
    let mut ordered = chosen.iter().filter_map(|entry| match entry {
        Entry::Ordered(entry) => Some(*entry),
        _ => None,
    });
    let text = chosen.iter().find_map(|entry| match entry {
        Entry::Text(entry) => Some(*entry),
        _ => None,
    });
    match (ordered.next(), ordered.next(), text) {
        (Some(one), None, _) => writer.ordered(key, one.value, one.extra),
        // Two numbers, such as the start and the end of a window: what floats leave of them does not count.
        (Some(one), Some(two), _) => writer.ordered(key, one.value, two.value),
        (None, _, Some(text)) => writer.rows.strings.push(Text { key, value: text.value.clone(), rank: 0 }),
        (None, _, None) => writer.rows.keys.push(key),
    }
}

/// The condition of `a$b`.
pub(crate) fn condition(
    terms: &[SearchTerm],
    param: &Param,
    composite: &Composite,
    registry: &Registry,
    hasher: &IndexHasher,
) -> Condition {
    let each = |params: &[Arc<Param>]| -> Vec<Condition> {
        let each = params.iter().zip(terms);
        each.map(|(param, term)| filter::term::condition(term, &Modifier::None, param, registry, hasher))
            .collect()
    };
    let mut any = Vec::new();
    if let Some(params) = &composite.whole {
        any.push(Condition::All(each(params)));
    }
    for element in param.indexes.iter().filter_map(|index| index.element.as_ref()) {
        let mut alternatives = vec![Vec::new()];
        for condition in each(&element.parts) {
            let mut flat = Vec::new();
            flatten(condition, &mut flat);
            alternatives = alternatives
                .iter()
                .flat_map(|before| {
                    flat.iter().map(move |next| [before.as_slice(), std::slice::from_ref(next)].concat())
                })
                .collect();
        }
        any.extend(alternatives.iter().map(|parts| combined(parts, hasher)));
    }
    Condition::Any(any)
}

/// Every way in which a part can be met, as one entry.
fn flatten(condition: Condition, flat: &mut Vec<Condition>) {
    match condition {
        Condition::Any(parts) => parts.into_iter().for_each(|part| flatten(part, flat)),
        Condition::Keys(keys) | Condition::Tokens(keys) | Condition::Codes(keys) => {
            flat.extend(keys.into_iter().map(|key| Condition::Tokens(vec![key])));
        }
        one => flat.push(one),
    }
}

/// The entry that holds all of these together.
fn combined(parts: &[Condition], hasher: &IndexHasher) -> Condition {
    let key = hasher.combined(parts.iter().filter_map(|part| match part {
        Condition::Tokens(keys) => keys.first().copied(),
        Condition::DateEntry(key, _)
        | Condition::NumberEntry { key, .. }
        | Condition::QuantityEntry { key, .. }
        | Condition::TextPrefix(key, _) => Some(*key),
        _ => None,
    }));
    if let Some((at, Condition::ConvertedUnits(asked))) =
        parts.iter().enumerate().find(|(_, part)| matches!(part, Condition::ConvertedUnits(_)))
    {
        let keys = |parts: &[Condition]| -> Option<Vec<i64>> {
            let key = |part: &Condition| match part {
                Condition::Tokens(keys) => keys.first().copied(),
                _ => None,
            };
            parts.iter().map(key).collect()
        };
        let (before, rest) = parts.split_at(at);
        return match (keys(before), keys(rest.get(1..).unwrap_or_default())) {
            (Some(before), Some(after)) => Condition::ConvertedUnits(Box::new(asked.within(before, after))),
            _ => Condition::never(),
        };
    }
    let mut beyond = parts.iter().filter(|part| !matches!(part, Condition::Tokens(_)));
    match (beyond.next(), beyond.next()) {
        (None, _) => Condition::Tokens(vec![key]),
        (Some(one), None) => match one.clone() {
            Condition::DateEntry(_, test) => Condition::DateEntry(key, test),
            Condition::NumberEntry { from, to, .. } => Condition::NumberEntry { key, from, to },
            Condition::QuantityEntry { min, max, extra, .. } => {
                Condition::QuantityEntry { key, min, max, extra }
            }
            Condition::TextPrefix(_, text) => Condition::TextPrefix(key, text),
            _ => Condition::never(),
        },
        (
            Some(Condition::NumberEntry { from, to, .. }),
            Some(Condition::NumberEntry { from: least, to: most, .. }),
        ) => {
            let (low, high) = whole(*least, *most);
            let (min, max) = whole(*from, *to);
            Condition::QuantityEntry { key, min, max, extra: Extra::Between(low, high) }
        }
        _ => Condition::never(),
    }
}

/// Bounds on floats alone: what they leave says whether the bound itself counts.
fn whole(from: SortableNumber, to: SortableNumber) -> (i64, i64) {
    (from.value + i64::from(from.rest > 0), to.value - i64::from(to.rest < 0))
}
