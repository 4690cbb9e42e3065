//! What a value of limited precision may mean at least and at most, and the parts of dates.
//!
//! <https://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time>

use super::call::Call;
use super::compare;
use super::evaluate::{EvalError, Evaluation, Items, error};
use super::function::Function as F;
use super::item::{Item, Quantity, Value};
use super::ucum;
use crate::date::{DateTime, Precision, Time};
use crate::decimal::Decimal;

/// Most digits after the point that are given.
const DIGITS_MAX: i64 = 28;
const DIGITS_DEFAULT: i64 = 8;

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn boundary(
        &self,
        input: &[Item<'a>],
        call: &Call<'_, '_, 'a>,
    ) -> Result<Items<'a>, EvalError> {
        let at = call.at;
        let Some(value) = self.single_value(input, at)? else { return Ok(Vec::new()) };
        let result = match call.function {
            F::LowBoundary | F::HighBoundary => {
                let wanted = self.integer(&self.first_argument(call)?, at)?;
                let high = call.function == F::HighBoundary;
                match boundary(&value, wanted, high) {
                    Some(found) => found,
                    None => return Err(error(at, format!("a {} has no boundary", value.type_name()))),
                }
            }
            F::Precision => match precision(&value) {
                Some(digits) => Some(Value::Integer(digits)),
                None => return Err(error(at, format!("a {} has no precision", value.type_name()))),
            },
            F::Comparable => {
                let other = self.single_value(&self.first_argument(call)?, at)?;
                let other = other.and_then(|other| compare::quantity(&other));
                match (compare::quantity(&value), other) {
                    (Some(left), Some(right)) => {
                        Some(Value::Boolean(ucum::comparable(&left, &right).is_some()))
                    }
                    _ => None,
                }
            }
            function => part(function, &value),
        };
        Ok(result.map(Item::Value).into_iter().collect())
    }
}

/// `None`: the value has no boundaries. `Some(None)`: not with this precision.
#[expect(clippy::option_option, reason = "outer: has it boundaries; inner: with this precision")]
fn boundary<'a>(value: &Value<'a>, wanted: Option<i64>, high: bool) -> Option<Option<Value<'a>>> {
    Some(match value {
        Value::Integer(_) | Value::Decimal(_) => {
            let number = compare::number(value)?;
            decimal(&number, wanted.unwrap_or(DIGITS_DEFAULT), high).map(Value::Decimal)
        }
        Value::Quantity(quantity) => decimal(&quantity.value, wanted.unwrap_or(DIGITS_DEFAULT), high)
            .map(|value| Value::Quantity(Box::new(Quantity { value, unit: quantity.unit.clone() }))),
        Value::Date(date) => date_precision(wanted.unwrap_or(8))
            .filter(|precision| *precision <= Precision::Day)
            .map(|precision| Value::Date(date_boundary(date, precision, high))),
        Value::DateTime(date) => date_precision(wanted.unwrap_or(17))
            .map(|precision| Value::DateTime(date_boundary(date, precision, high))),
        Value::Time(time) => time_precision(wanted.unwrap_or(9))
            .map(|precision| Value::Time(time_boundary(time, precision, high))),
        _ => return None,
    })
}

/// Half a unit of the last digit away; what does not fit the wanted digits is cut towards zero at the end nearer to
/// it and rounded at the other, as the reference implementation does.
fn decimal(value: &Decimal, digits: i64, high: bool) -> Option<Decimal> {
    let digits = u32::try_from(digits).ok().filter(|_| digits <= DIGITS_MAX)?;
    let half = Decimal::half_unit(value.precision());
    let bound = if high { value.plus(&half)? } else { value.minus(&half)? };
    if high == value.is_negative() && !value.is_zero() {
        bound.cut(digits)
    } else {
        bound.rounded(digits)?.cut(digits)
    }
}

/// The digits of a date as FHIRPath counts its precision.
fn date_precision(digits: i64) -> Option<Precision> {
    Some(match digits {
        4 => Precision::Year,
        6 => Precision::Month,
        8 => Precision::Day,
        10 => Precision::Hour,
        12 => Precision::Minute,
        14 => Precision::Second,
        17 => Precision::Fraction,
        _ => return None,
    })
}

fn time_precision(digits: i64) -> Option<Precision> {
    date_precision(digits + 8).filter(|precision| *precision >= Precision::Hour)
}

fn precision(value: &Value<'_>) -> Option<i64> {
    let date = |precision| match precision {
        Precision::Year => 4,
        Precision::Month => 6,
        Precision::Day => 8,
        Precision::Hour => 10,
        Precision::Minute => 12,
        Precision::Second => 14,
        Precision::Fraction => 17,
    };
    match value {
        Value::Integer(_) => Some(0),
        Value::Decimal(value) => Some(i64::from(value.precision())),
        Value::Quantity(quantity) => Some(i64::from(quantity.value.precision())),
        Value::Date(value) | Value::DateTime(value) => Some(date(value.precision())),
        Value::Time(value) => Some(date(value.precision()) - 8),
        _ => None,
    }
}

/// Without a time zone the earliest and the latest there are apply.
fn date_boundary(date: &DateTime, precision: Precision, high: bool) -> DateTime {
    if precision <= date.precision() {
        return date.with_precision(precision);
    }
    let offset = if precision <= Precision::Day {
        None
    } else {
        Some(date.offset_minutes().unwrap_or(if high { -12 * 60 } else { 14 * 60 }))
    };
    let local = date.with_offset(None);
    let (low, last) = local.range_micros();
    let moved = if high { last - low } else { 0 };
    let bound = local.with_precision(Precision::Fraction).plus_micros(moved).unwrap_or(local);
    bound.with_precision(precision).with_offset(offset)
}

fn time_boundary(time: &Time, precision: Precision, high: bool) -> Time {
    if precision <= time.precision() {
        return time.with_precision(precision);
    }
    let (low, last) = time.range_micros();
    let moved = if high { last - low } else { 0 };
    time.with_precision(Precision::Fraction).plus_micros(moved).with_precision(precision)
}

/// `yearOf()` and its siblings: empty where the part is not written.
fn part<'a>(function: F, value: &Value<'a>) -> Option<Value<'a>> {
    let (date, time) = match value {
        Value::Date(date) | Value::DateTime(date) => (Some(*date), date.time()),
        Value::Time(time) => (None, Some(*time)),
        _ => return None,
    };
    let dated = |least: Precision| date.filter(|date| date.precision() >= least).map(|date| date.ymd());
    let timed = |least: Precision| time.filter(|time| time.precision() >= least).map(|time| time.hms());
    let number = match function {
        F::YearOf => i64::from(dated(Precision::Year)?.0),
        F::MonthOf => i64::from(dated(Precision::Month)?.1),
        F::DayOf => i64::from(dated(Precision::Day)?.2),
        F::HourOf => i64::from(timed(Precision::Hour)?.0),
        F::MinuteOf => i64::from(timed(Precision::Minute)?.1),
        F::SecondOf => i64::from(timed(Precision::Second)?.2),
        F::MillisecondOf => i64::from(timed(Precision::Fraction)?.3 / 1_000_000),
        F::DateOf => return date.map(|date| Value::Date(date.to_date())),
        F::TimeOf => return time.map(Value::Time),
        _ => {
            let minutes = i64::from(date?.offset_minutes()?);
            return Decimal::from(minutes).divided_by(&Decimal::from(60)).map(Value::Decimal);
        }
    };
    Some(Value::Integer(number))
}
