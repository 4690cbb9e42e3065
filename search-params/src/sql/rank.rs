//! Which condition drives a search: the one that is expected to be the rarest.

use super::sort::{is_by_date, is_by_date_first, is_by_updated};
use super::window::Window;
use crate::condition::Condition;
use crate::order::Order;

/// Rows that are read at once with their bodies.
pub(super) const HANDLES_FEW: usize = 1000;

/// True when one part of a condition says that few resources meet it.
pub fn is_selective(condition: &Condition) -> bool {
    let none = Order::none();
    let selective = |part: &Condition| rank(part, &none).is_some_and(|rank| rank <= 2);
    match condition {
        Condition::All(parts) => parts.iter().any(selective),
        one => selective(one),
    }
}

/// How well a condition drives a search: lower is better.
pub(super) fn rank(part: &Condition, order: &Order) -> Option<u8> {
    let by_date = is_by_date(order);
    match part {
        Condition::Ids(..) => Some(0),
        Condition::Patient(one) if one.len() == 1 => Some(1),
        Condition::Keys(_) => Some(2),
        Condition::Handles(few) if few.len() <= HANDLES_FEW => Some(2),
        // A reference of several possible forms: each is looked up in its index.
        Condition::Any(each) if !each.is_empty() && each.iter().all(is_reference) => Some(2),
        Condition::Patient(_) => Some(3),
        Condition::Near(..) => Some(3),
        text if is_text(text) => Some(3),
        Condition::Codes(one) if one.len() == 1 && by_date => Some(4),
        Condition::Any(each) if !each.is_empty() && each.iter().all(is_entry) => Some(5),
        entry if is_entry(entry) => Some(5),
        Condition::Tokens(_) | Condition::Codes(_) | Condition::Handles(_) => Some(6),
        // Along the order these are bounds; in another they are looked up.
        Condition::Updated(_) if !is_by_updated(order) => Some(7),
        part if may_start_with(part) => Some(9),
        part if !is_by_date_first(order)
            && !Window::from_conditions(std::slice::from_ref(part)).is_open() =>
        {
            Some(8)
        }
        _ => None,
    }
}

/// True for the rank of what may be as common as `status=final`.
pub(super) fn may_be_common(rank: u8) -> bool {
    matches!(rank, 4 | 6)
}

/// True for a condition of a rank whose rows are found by their entries.
pub(super) fn is_found_by_entries(rank: u8, part: &Condition) -> bool {
    matches!(rank, 3 | 5 | 9) && !matches!(part, Condition::Patient(_))
}

fn is_reference(part: &Condition) -> bool {
    match part {
        Condition::Patient(_) | Condition::Keys(_) => true,
        // What refers to something within itself, beside what refers to others.
        Condition::Handles(few) => few.len() <= HANDLES_FEW,
        _ => false,
    }
}

/// True for what may be as common as `status=final`.
pub fn is_token(part: &Condition) -> bool {
    matches!(part, Condition::Tokens(_) | Condition::Codes(_))
}

/// True for a prefilter: the row decides only that it may match, its entries decide the rest.
pub(super) fn may_start_with(part: &Condition) -> bool {
    match part {
        Condition::Any(each) => !each.is_empty() && each.iter().all(may_start_with),
        one => matches!(one, Condition::MayStartWith(..)),
    }
}

fn is_text(part: &Condition) -> bool {
    matches!(
        part,
        Condition::TextPrefix(..)
            | Condition::TextWords(..)
            | Condition::TextContains(..)
            | Condition::TextScan(..)
    )
}

fn is_entry(part: &Condition) -> bool {
    let ordered = |part: &Condition| {
        matches!(
            part,
            Condition::DateEntry(..) | Condition::NumberEntry { .. } | Condition::QuantityEntry { .. }
        )
    };
    is_text(part) || ordered(part)
}
