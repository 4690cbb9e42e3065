//! `abs()` to `truncate()`: <https://hl7.org/fhirpath/N1/#math-1>

use super::call::Call;
use super::compare;
use super::evaluate::{EvalError, Evaluation, Items, error};
use super::function::Function as F;
use super::item::{Item, Quantity, Value};
use crate::decimal::Decimal;

impl<'a> Evaluation<'_, 'a> {
    /// A result that is no number, or too large, is empty.
    pub(super) fn math(&self, input: &[Item<'a>], call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let Some(value) = self.single_value(input, call.at)? else { return Ok(Vec::new()) };
        let argument = self.single_value(&self.first_argument(call)?, call.at)?;
        if let (F::Log | F::Power, None) = (call.function, &argument) {
            return Ok(Vec::new());
        }
        let argument = match argument {
            None => None,
            Some(argument) => match compare::number(&argument) {
                Some(number) => Some(number),
                None => return Err(error(call.at, format!("a {} is no number", argument.type_name()))),
            },
        };
        let result = match &value {
            // Of quantities the number is changed and the unit stays.
            Value::Quantity(quantity) => {
                let changed = calculate(call.function, &quantity.value, false, argument.as_ref());
                changed
                    .and_then(|value| compare::number(&value))
                    .map(|value| Value::Quantity(Box::new(Quantity { value, unit: quantity.unit.clone() })))
            }
            _ => {
                let Some(number) = compare::number(&value) else {
                    return Err(error(call.at, format!("a {} is no number", value.type_name())));
                };
                calculate(call.function, &number, matches!(value, Value::Integer(_)), argument.as_ref())
            }
        };
        Ok(result.map(Item::Value).into_iter().collect())
    }
}

fn calculate<'a>(
    function: F,
    number: &Decimal,
    integer: bool,
    argument: Option<&Decimal>,
) -> Option<Value<'a>> {
    let whole = |number: Decimal| match number.to_i64() {
        Some(integer) => Value::Integer(integer),
        None => Value::Decimal(number),
    };
    let real = |value: f64| Decimal::from_f64(value).map(Value::Decimal);
    let float = number.to_f64();
    match function {
        F::Abs if integer => Some(whole(number.clone().abs())),
        F::Abs => Some(Value::Decimal(number.clone().abs())),
        F::Ceiling => number.ceiling().map(whole),
        F::Floor => number.floor().map(whole),
        F::Truncate => number.truncated().map(whole),
        F::Round => {
            let digits = argument.map_or(Some(0), |digits| digits.to_i64())?;
            number.rounded(u32::try_from(digits).ok()?).map(Value::Decimal)
        }
        F::Exp => real(float.exp()),
        F::Ln => real(float.ln()),
        F::Sqrt => real(float.sqrt()),
        F::Log => {
            let base = argument?.to_f64();
            // The special functions are exact where the quotient of two logarithms is not.
            real(if base == 10.0 {
                float.log10()
            } else if base == 2.0 {
                float.log2()
            } else {
                float.log(base)
            })
        }
        _ => {
            let exponent = argument?;
            let exact = exponent.to_i64().and_then(|exponent| number.power(exponent));
            match exact {
                Some(power) if integer => Some(whole(power)),
                Some(power) => Some(Value::Decimal(power)),
                None => real(float.powf(exponent.to_f64())),
            }
        }
    }
}
