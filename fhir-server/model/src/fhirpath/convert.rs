//! `toX()` and `convertsToX()`: <https://hl7.org/fhirpath/N1/#conversion>

use super::ast::{Calendar, Unit};
use super::call::Call;
use super::evaluate::{EvalError, Evaluation, Items, boolean};
use super::function::Function as F;
use super::item::{Item, Quantity, Value};
use super::{compare, ucum};
use crate::date::{DateTime, Time};
use crate::decimal::Decimal;

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn conversion(
        &self,
        input: &[Item<'a>],
        call: &Call<'_, '_, 'a>,
    ) -> Result<Items<'a>, EvalError> {
        let Some(item) = self.single(input, call.at)? else { return Ok(Vec::new()) };
        let value = item.value(self.cx.types);
        let value = value.as_ref();
        let (converted, asks) = match call.function {
            F::ToBoolean => (value.and_then(to_boolean).map(Value::Boolean), false),
            F::ConvertsToBoolean => (value.and_then(to_boolean).map(Value::Boolean), true),
            F::ToInteger | F::ToLong => (value.and_then(to_integer).map(Value::Integer), false),
            F::ConvertsToInteger | F::ConvertsToLong => {
                (value.and_then(to_integer).map(Value::Integer), true)
            }
            F::ToDecimal => (value.and_then(to_decimal).map(Value::Decimal), false),
            F::ConvertsToDecimal => (value.and_then(to_decimal).map(Value::Decimal), true),
            F::ToDate => (value.and_then(to_date).map(Value::Date), false),
            F::ConvertsToDate => (value.and_then(to_date).map(Value::Date), true),
            F::ToDateTime => (value.and_then(to_date_time).map(Value::DateTime), false),
            F::ConvertsToDateTime => (value.and_then(to_date_time).map(Value::DateTime), true),
            F::ToTime => (value.and_then(to_time).map(Value::Time), false),
            F::ConvertsToTime => (value.and_then(to_time).map(Value::Time), true),
            F::ToString => (value.and_then(to_text), false),
            F::ConvertsToString => (value.and_then(to_text), true),
            function => {
                let unit = self.first_argument(call)?;
                let quantity = match self.single_value(&unit, call.at)? {
                    None => value.and_then(to_quantity),
                    Some(unit) => value.and_then(to_quantity).and_then(|it| in_unit(&it, &unit.to_string())),
                };
                (quantity.map(|it| Value::Quantity(Box::new(it))), function == F::ConvertsToQuantity)
            }
        };
        if asks {
            return Ok(vec![boolean(converted.is_some())]);
        }
        Ok(converted.map(Item::Value).into_iter().collect())
    }
}

fn to_boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => {
            let number = compare::number(value)?;
            if number.is_zero() { Some(false) } else { (number == Decimal::from(1)).then_some(true) }
        }
    }
}

fn to_integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Integer(value) => Some(*value),
        Value::Boolean(value) => Some(i64::from(*value)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn to_decimal(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Boolean(value) => Some(Decimal::from(i64::from(*value))),
        Value::String(text) if !text.contains(['e', 'E']) => Decimal::parse(text),
        _ => compare::number(value),
    }
}

fn to_date(value: &Value<'_>) -> Option<DateTime> {
    match value {
        Value::Date(date) => Some(*date),
        Value::DateTime(date) => Some(date.to_date()),
        Value::String(text) => DateTime::partial(text).map(|date| date.to_date()),
        _ => None,
    }
}

fn to_date_time(value: &Value<'_>) -> Option<DateTime> {
    match value {
        Value::Date(date) | Value::DateTime(date) => Some(*date),
        Value::String(text) => DateTime::partial(text),
        _ => None,
    }
}

fn to_time(value: &Value<'_>) -> Option<Time> {
    match value {
        Value::Time(time) => Some(*time),
        Value::String(text) => Time::partial(text),
        _ => None,
    }
}

fn to_text<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Type { .. } => None,
        Value::String(text) => Some(Value::String(text.clone())),
        _ => Some(Value::String(value.to_string().into())),
    }
}

fn to_quantity(value: &Value<'_>) -> Option<Quantity> {
    match value {
        Value::Boolean(value) => {
            Some(Quantity { value: Decimal::from(i64::from(*value)), unit: Unit::Ucum("1".into()) })
        }
        Value::String(text) => parse_quantity(text),
        _ => compare::quantity(value),
    }
}

/// `4`, `4 'mg'`, `4 days`. A bare `wk` is neither a calendar word nor quoted, so it is none.
fn parse_quantity(text: &str) -> Option<Quantity> {
    let signed = usize::from(text.starts_with(['+', '-']));
    let digits = text.bytes().skip(signed).take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, rest) = text.split_at_checked(signed + digits)?;
    let value = Decimal::parse(number)?;
    let rest = rest.trim_start();
    let unit = if rest.is_empty() {
        Unit::Ucum("1".into())
    } else if let Some(code) = rest.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Unit::Ucum(Some(code).filter(|code| !code.is_empty())?.into())
    } else {
        Unit::Calendar(Calendar::parse(rest)?)
    };
    Some(Quantity { value, unit })
}

fn in_unit(quantity: &Quantity, unit: &str) -> Option<Quantity> {
    let unit = Calendar::parse(unit).map_or_else(|| Unit::Ucum(unit.into()), Unit::Calendar);
    let one = Quantity { value: Decimal::from(1), unit };
    let (value, one_value) = ucum::comparable(quantity, &one)?;
    Some(Quantity { value: value.divided_by(&one_value)?, unit: one.unit })
}
