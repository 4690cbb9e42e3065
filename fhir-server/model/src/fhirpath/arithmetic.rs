//! `+ - * / div mod` on numbers, texts, quantities, dates and times: <https://hl7.org/fhirpath/N1/#math>

use super::ast::{Calendar, Op};
use super::compare::{number, quantity};
use super::item::{Quantity, Value};
use super::ucum;
use crate::date::{DateTime, Precision};
use crate::decimal::Decimal;

/// The result; `Ok(None)` when there is none, as in a division by zero.
pub(super) fn calculate<'a>(
    op: Op,
    left: &Value<'a>,
    right: &Value<'a>,
) -> Result<Option<Value<'a>>, String> {
    if let (Op::Plus, Value::String(left), Value::String(right)) = (op, left, right) {
        return Ok(Some(Value::String(format!("{left}{right}").into())));
    }
    if let (Value::Integer(left), Value::Integer(right)) = (left, right)
        && op != Op::Divide
    {
        return Ok(integers(op, *left, *right).map(Value::Integer));
    }
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return Ok(decimals(op, &left, &right));
    }
    if let (Op::Plus | Op::Minus, Value::Quantity(amount)) = (op, right)
        && let Some(moved) = moved(left, amount, op == Op::Minus)?
    {
        return Ok(Some(moved));
    }
    match (quantity(left), quantity(right)) {
        (Some(left), Some(right)) => {
            Ok(quantities(op, &left, &right).map(|sum| Value::Quantity(Box::new(sum))))
        }
        _ => Err(format!(
            "`{}` has no meaning for a {} and a {}",
            op.symbol(),
            left.type_name(),
            right.type_name()
        )),
    }
}

fn integers(op: Op, left: i64, right: i64) -> Option<i64> {
    match op {
        Op::Plus => left.checked_add(right),
        Op::Minus => left.checked_sub(right),
        Op::Multiply => left.checked_mul(right),
        Op::Div => left.checked_div(right),
        _ => left.checked_rem(right),
    }
}

fn decimals<'a>(op: Op, left: &Decimal, right: &Decimal) -> Option<Value<'a>> {
    Some(match op {
        Op::Plus => Value::Decimal(left.plus(right)?),
        Op::Minus => Value::Decimal(left.minus(right)?),
        Op::Multiply => Value::Decimal(left.times(right)?),
        Op::Divide => Value::Decimal(left.divided_by(right)?),
        Op::Div => Value::Integer(left.div(right)?.to_i64()?),
        _ => Value::Decimal(left.modulo(right)?),
    })
}

fn quantities(op: Op, left: &Quantity, right: &Quantity) -> Option<Quantity> {
    match op {
        Op::Multiply => ucum::product(left, right),
        Op::Divide => ucum::quotient(left, right),
        Op::Plus | Op::Minus => {
            // The sum is in the unit of the left side.
            let (a, b) = ucum::comparable(left, right)?;
            let sum = if op == Op::Plus { a.plus(&b)? } else { a.minus(&b)? };
            let value = if left.unit == right.unit {
                sum
            } else {
                let one = Quantity { value: Decimal::from(1), unit: left.unit.clone() };
                sum.divided_by(&ucum::comparable(&one, right)?.0)?
            };
            Some(Quantity { value, unit: left.unit.clone() })
        }
        _ => None,
    }
}

/// A date or time later (or `earlier`) by an amount; `None` when the left side is neither.
fn moved<'a>(from: &Value<'a>, amount: &Quantity, earlier: bool) -> Result<Option<Value<'a>>, String> {
    if !matches!(from, Value::Date(_) | Value::DateTime(_) | Value::Time(_)) {
        return Ok(None);
    }
    let unit = ucum::calendar(&amount.unit).ok_or_else(|| format!("{amount} is no span of calendar time"))?;
    let whole = amount.value.truncated().and_then(|whole| whole.to_i64());
    let count = whole.ok_or_else(|| format!("{amount} is too long a span"))?;
    let count = if earlier { -count } else { count };
    let out_of_range = || format!("{amount} leads out of the years 1 to 9999");
    Ok(Some(match from {
        Value::Date(date) => Value::Date(moved_date(date, count, unit).ok_or_else(out_of_range)?),
        Value::DateTime(date) => Value::DateTime(moved_date(date, count, unit).ok_or_else(out_of_range)?),
        Value::Time(time) => {
            let micros = micros(unit).ok_or_else(|| format!("{amount} cannot be added to a time of day"))?;
            Value::Time(time.plus_micros(count.checked_mul(micros).ok_or_else(out_of_range)?))
        }
        _ => return Ok(None),
    }))
}

/// An amount finer than what is written counts only as far as it fills the written precision: 23 months are one
/// year to `@2014`. <https://hl7.org/fhirpath/N1/#datetime-arithmetic>
fn moved_date(date: &DateTime, count: i64, unit: Calendar) -> Option<DateTime> {
    let months = match (date.precision(), unit) {
        (_, Calendar::Year) => Some(count.checked_mul(12)?),
        (Precision::Year, Calendar::Month) => Some(count / 12 * 12),
        (_, Calendar::Month) => Some(count),
        (Precision::Year, _) => Some(days(count, unit)? / 365 * 12),
        (Precision::Month, _) => Some(days(count, unit)? / 30),
        _ => None,
    };
    if let Some(months) = months {
        return date.plus_months(months);
    }
    let span = count.checked_mul(micros(unit)?)?;
    let written = match date.precision() {
        Precision::Day => micros(Calendar::Day)?,
        Precision::Hour => micros(Calendar::Hour)?,
        Precision::Minute => micros(Calendar::Minute)?,
        Precision::Second => micros(Calendar::Second)?,
        _ => 1,
    };
    date.plus_micros(span / written * written)
}

fn days(count: i64, unit: Calendar) -> Option<i64> {
    Some(count.checked_mul(micros(unit)?)? / micros(Calendar::Day)?)
}

/// The length of units that have a fixed one.
fn micros(unit: Calendar) -> Option<i64> {
    Some(match unit {
        Calendar::Millisecond => 1_000,
        Calendar::Second => 1_000_000,
        Calendar::Minute => 60_000_000,
        Calendar::Hour => 3_600_000_000,
        Calendar::Day => 86_400_000_000,
        Calendar::Week => 7 * 86_400_000_000,
        Calendar::Month | Calendar::Year => return None,
    })
}
