//! Quantities of FHIRPath in each other's units: <https://hl7.org/fhirpath/#quantity>

use super::ast::{Calendar, Unit};
use super::item::Quantity;
use crate::decimal::Decimal;
use crate::ucum::CanonicalUnit;

/// Both numbers in the same unit; `None` when the units do not convert. A calendar year or month has no fixed length
/// and converts to the other only.
pub(super) fn comparable(left: &Quantity, right: &Quantity) -> Option<(Decimal, Decimal)> {
    if left.unit == right.unit {
        return Some((left.value.clone(), right.value.clone()));
    }
    match (months(&left.unit), months(&right.unit)) {
        (Some(left_months), Some(right_months)) => {
            Some((left.value.times(&left_months.into())?, right.value.times(&right_months.into())?))
        }
        (None, None) => in_same(
            left,
            right,
            CanonicalUnit::parse(&code(&left.unit))?,
            CanonicalUnit::parse(&code(&right.unit))?,
        ),
        _ => None,
    }
}

/// Both numbers in the coarser of the two units, a calendar year counting as UCUM's.
pub(super) fn equivalent(left: &Quantity, right: &Quantity) -> Option<(Decimal, Decimal)> {
    if left.unit == right.unit {
        return Some((left.value.clone(), right.value.clone()));
    }
    let (left_unit, right_unit) =
        (CanonicalUnit::parse(&code(&left.unit))?, CanonicalUnit::parse(&code(&right.unit))?);
    let coarser = left_unit.factor.clone().max(right_unit.factor.clone());
    let (left, right) = in_same(left, right, left_unit, right_unit)?;
    Some((left.divided_by(&coarser)?, right.divided_by(&coarser)?))
}

/// The product, in the product of the units.
pub(super) fn product(left: &Quantity, right: &Quantity) -> Option<Quantity> {
    let (a, b) = (code(&left.unit), code(&right.unit));
    let unit = match (&*a, &*b) {
        ("1", _) => right.unit.clone(),
        (_, "1") => left.unit.clone(),
        _ => Unit::Ucum(format!("{a}.{b}").into()),
    };
    Some(Quantity { value: left.value.times(&right.value)?, unit })
}

/// The quotient, in the quotient of the units.
pub(super) fn quotient(left: &Quantity, right: &Quantity) -> Option<Quantity> {
    if let Some((left, right)) = comparable(left, right) {
        return Some(Quantity { value: left.divided_by(&right)?, unit: Unit::Ucum("1".into()) });
    }
    let (a, b) = (code(&left.unit), code(&right.unit));
    let unit = if &*b == "1" {
        left.unit.clone()
    } else if b.contains(['.', '/']) {
        Unit::Ucum(format!("{a}/({b})").into())
    } else {
        Unit::Ucum(format!("{a}/{b}").into())
    };
    Some(Quantity { value: left.value.divided_by(&right.value)?, unit })
}

/// The calendar unit of a unit, also when written as a UCUM code: `'day'`, `'wk'`.
pub(super) fn calendar(unit: &Unit) -> Option<Calendar> {
    match unit {
        Unit::Calendar(calendar) => Some(*calendar),
        Unit::Ucum(code) => match &**code {
            "wk" => Some(Calendar::Week),
            "d" => Some(Calendar::Day),
            "h" => Some(Calendar::Hour),
            "min" => Some(Calendar::Minute),
            "s" => Some(Calendar::Second),
            "ms" => Some(Calendar::Millisecond),
            word => Calendar::parse(word),
        },
    }
}

/// How many months a calendar unit of no fixed length is.
fn months(unit: &Unit) -> Option<i64> {
    match unit {
        Unit::Calendar(Calendar::Year) => Some(12),
        Unit::Calendar(Calendar::Month) => Some(1),
        _ => None,
    }
}

fn code(unit: &Unit) -> Box<str> {
    let word = match unit {
        Unit::Ucum(code) => match Calendar::parse(code) {
            Some(word) => word,
            None => return code.clone(),
        },
        Unit::Calendar(word) => *word,
    };
    match word {
        Calendar::Year => "a",
        Calendar::Month => "mo",
        Calendar::Week => "wk",
        Calendar::Day => "d",
        Calendar::Hour => "h",
        Calendar::Minute => "min",
        Calendar::Second => "s",
        Calendar::Millisecond => "ms",
    }
    .into()
}

fn in_same(
    left: &Quantity,
    right: &Quantity,
    a: CanonicalUnit,
    b: CanonicalUnit,
) -> Option<(Decimal, Decimal)> {
    a.converts_to(&b).then_some(())?;
    Some((a.to_base(&left.value)?, b.to_base(&right.value)?))
}
