//! Equality, equivalence and order: <https://hl7.org/fhirpath/N1/#equality>

use std::cmp::Ordering;

use super::item::{Item, Quantity, Value};
use super::ucum;
use crate::decimal::Decimal;
use crate::json::{Kind, Ref};
use crate::types::Types;

/// Whether two collections are equal; `None` when it cannot be told.
pub(super) fn equal_all(left: &[Item<'_>], right: &[Item<'_>], types: &dyn Types) -> Option<bool> {
    if left.is_empty() || right.is_empty() {
        return None;
    }
    if left.len() != right.len() {
        return Some(false);
    }
    let mut sure = true;
    for (left, right) in left.iter().zip(right) {
        match equal(left, right, types) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => sure = false,
        }
    }
    sure.then_some(true)
}

/// Whether two items are equal; `None` when their precision or units do not tell.
pub(super) fn equal(left: &Item<'_>, right: &Item<'_>, types: &dyn Types) -> Option<bool> {
    if let (Item::Node(left), Item::Node(right)) = (left, right)
        && let (Some(left_json), Some(right_json)) = (left.value, right.value)
    {
        if left_json == right_json {
            return Some(true);
        }
        if left_json.is_object() && right_json.is_object() {
            return Some(left.type_name == right.type_name && same_json(left_json, right_json));
        }
    }
    match (left.value(types), right.value(types)) {
        (Some(left), Some(right)) => equal_values(&left, &right),
        // Primitives that have extensions only, and structures against values.
        (None, None) => Some(match (left.as_node(), right.as_node()) {
            (Some(left), Some(right)) => match (left.sibling, right.sibling) {
                (Some(left), Some(right)) => same_json(left, right),
                _ => false,
            },
            _ => false,
        }),
        _ => Some(false),
    }
}

fn equal_values(left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    match (left, right) {
        (Value::Boolean(left), Value::Boolean(right)) => Some(left == right),
        (Value::String(left), Value::String(right)) => Some(left == right),
        (Value::Date(left) | Value::DateTime(left), Value::Date(right) | Value::DateTime(right)) => {
            left.compare(right).map(Ordering::is_eq)
        }
        (Value::Time(left), Value::Time(right)) => left.compare(right).map(Ordering::is_eq),
        (Value::Type { namespace: a, name: b }, Value::Type { namespace: c, name: d }) => {
            Some(a == c && b == d)
        }
        (Value::Integer(left), Value::Integer(right)) => Some(left == right),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => Some(left == right),
            _ => match (quantity(left), quantity(right)) {
                (Some(left), Some(right)) => {
                    let (left, right) = ucum::comparable(&left, &right)?;
                    Some(left == right)
                }
                _ => Some(false),
            },
        },
    }
}

/// Whether two collections are equivalent, whatever their order.
pub(super) fn equivalent_all(left: &[Item<'_>], right: &[Item<'_>], types: &dyn Types) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut rest: Vec<&Item<'_>> = right.iter().collect();
    left.iter().all(|left| match rest.iter().position(|right| equivalent(left, right, types)) {
        Some(at) => {
            rest.swap_remove(at);
            true
        }
        None => false,
    })
}

fn equivalent(left: &Item<'_>, right: &Item<'_>, types: &dyn Types) -> bool {
    match (left.value(types), right.value(types)) {
        (Some(left), Some(right)) => equivalent_values(&left, &right),
        (None, None) => match (left.json(), right.json()) {
            (Some(left), Some(right)) => equivalent_json(left, right),
            _ => equal(left, right, types) == Some(true),
        },
        _ => false,
    }
}

fn equivalent_values(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => equivalent_texts(left, right),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => equivalent_numbers(&left, &right),
            _ => match (quantity(left), quantity(right)) {
                (Some(left), Some(right)) => ucum::equivalent(&left, &right)
                    .is_some_and(|(left, right)| equivalent_numbers(&left, &right)),
                _ => equal_values(left, right) == Some(true),
            },
        },
    }
}

/// Case and the kind of white space do not matter.
fn equivalent_texts(left: &str, right: &str) -> bool {
    let lowered = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    left == right || lowered(left) == lowered(right)
}

/// Equal in the digits both have.
fn equivalent_numbers(left: &Decimal, right: &Decimal) -> bool {
    let digits = left.precision().min(right.precision());
    left == right || left.rounded(digits) == right.rounded(digits)
}

/// The order of two items. `Ok(None)`: not told by their precision or units. `Err`: of kinds that have no order.
pub(super) fn order(left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>, ()> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Ok(Some(left.cmp(right))),
        (Value::Date(left) | Value::DateTime(left), Value::Date(right) | Value::DateTime(right)) => {
            Ok(left.compare(right))
        }
        (Value::Time(left), Value::Time(right)) => Ok(left.compare(right)),
        (Value::Integer(left), Value::Integer(right)) => Ok(Some(left.cmp(right))),
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => Ok(Some(left.cmp(&right))),
            _ => match (quantity(left), quantity(right)) {
                (Some(left), Some(right)) => {
                    Ok(ucum::comparable(&left, &right).map(|(left, right)| left.cmp(&right)))
                }
                _ => Err(()),
            },
        },
    }
}

/// Integers and decimals as a decimal.
pub(super) fn number(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Integer(value) => Some(Decimal::from(*value)),
        Value::Decimal(value) => Some(value.clone()),
        _ => None,
    }
}

/// Numbers are quantities of unit `1`.
pub(super) fn quantity(value: &Value<'_>) -> Option<Quantity> {
    match value {
        Value::Quantity(value) => Some((**value).clone()),
        _ => number(value).map(|value| Quantity { value, unit: super::ast::Unit::Ucum("1".into()) }),
    }
}

/// Equal content, whatever the order of keys; numbers by value.
fn same_json(left: Ref<'_>, right: Ref<'_>) -> bool {
    same(left, right, &|left, right| left == right, false)
}

fn equivalent_json(left: Ref<'_>, right: Ref<'_>) -> bool {
    same(left, right, &equivalent_texts, true)
}

fn same(left: Ref<'_>, right: Ref<'_>, texts: &dyn Fn(&str, &str) -> bool, any_order: bool) -> bool {
    match (left.kind(), right.kind()) {
        (Kind::Object, Kind::Object) => {
            left.children().count() == right.children().count()
                && left.children().all(|member| {
                    right.get(&member.key()).is_some_and(|other| same(member, other, texts, any_order))
                })
        }
        (Kind::Array, Kind::Array) if any_order => {
            let mut rest: Vec<Ref<'_>> = right.children().collect();
            left.children().count() == rest.len()
                && left.children().all(|item| {
                    match rest.iter().position(|other| same(item, *other, texts, true)) {
                        Some(at) => {
                            rest.swap_remove(at);
                            true
                        }
                        None => false,
                    }
                })
        }
        (Kind::Array, Kind::Array) => {
            left.children().count() == right.children().count()
                && left
                    .children()
                    .zip(right.children())
                    .all(|(left, right)| same(left, right, texts, any_order))
        }
        (Kind::String, Kind::String) => {
            texts(&left.str().unwrap_or_default(), &right.str().unwrap_or_default())
        }
        (Kind::Number, Kind::Number) => {
            left.raw() == right.raw()
                || Decimal::parse(left.raw())
                    .is_some_and(|number| Some(number) == Decimal::parse(right.raw()))
        }
        (left_kind, right_kind) => left_kind == right_kind && left.raw() == right.raw(),
    }
}
