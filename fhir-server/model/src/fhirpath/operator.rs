//! `+ = ~ < in and |` and the others between two sides, and the sign before one.

use super::ast::{Expr, Op};
use super::distinct::Distinct;
use super::evaluate::{EvalError, Evaluation, Items, Scope, boolean, error};
use super::item::{Item, Quantity, Value};
use super::{arithmetic, compare};

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn sign(&self, minus: bool, items: Items<'a>, at: u32) -> Result<Items<'a>, EvalError> {
        let Some(value) = self.single_value(&items, at)? else { return Ok(Vec::new()) };
        let signed = match value {
            value if !minus && (compare::quantity(&value).is_some()) => value,
            Value::Integer(value) => {
                Value::Integer(value.checked_neg().ok_or_else(|| error(at, "too large"))?)
            }
            Value::Decimal(value) => Value::Decimal(value.negated()),
            Value::Quantity(quantity) => {
                let Quantity { value, unit } = *quantity;
                Value::Quantity(Box::new(Quantity { value: value.negated(), unit }))
            }
            other => return Err(error(at, format!("a {} has no sign", other.type_name()))),
        };
        Ok(vec![Item::Value(signed)])
    }

    pub(super) fn binary(
        &self,
        op: Op,
        left: &Expr,
        right: &Expr,
        scope: Scope<'_, 'a>,
        at: u32,
    ) -> Result<Items<'a>, EvalError> {
        if matches!(op, Op::And | Op::Or | Op::Xor | Op::Implies) {
            return self.logic(op, left, right, scope, at);
        }
        let left = self.argument(left, scope)?;
        let right = self.argument(right, scope)?;
        let types = self.cx.types;
        let answer = match op {
            Op::Union => return self.union(left, right, at),
            Op::Equal => self.equal_all(&left, &right, at)?,
            Op::NotEqual => self.equal_all(&left, &right, at)?.map(|equal| !equal),
            Op::Equivalent => Some(self.equivalent_all(&left, &right, at)?),
            Op::NotEquivalent => Some(!self.equivalent_all(&left, &right, at)?),
            Op::In => self.is_in(&left, &right, at)?,
            Op::Contains => self.is_in(&right, &left, at)?,
            Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => {
                let (Some(left), Some(right)) =
                    (self.single_value(&left, at)?, self.single_value(&right, at)?)
                else {
                    return Ok(Vec::new());
                };
                let order = compare::order(&left, &right).map_err(|()| {
                    error(at, format!("a {} and a {} have no order", left.type_name(), right.type_name()))
                })?;
                order.map(|order| match op {
                    Op::Less => order.is_lt(),
                    Op::LessOrEqual => order.is_le(),
                    Op::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Op::Concat => {
                let text = |items: &[Item<'a>]| match self.single(items, at)? {
                    None => Ok(String::new()),
                    Some(item) => match item.value(types) {
                        Some(Value::String(text)) => Ok(text.into_owned()),
                        Some(value) => Ok(value.to_string()),
                        None => Err(error(at, "`&` joins texts")),
                    },
                };
                return Ok(vec![Item::text(text(&left)? + &text(&right)?)]);
            }
            _ => {
                let (Some(left), Some(right)) =
                    (self.single_value(&left, at)?, self.single_value(&right, at)?)
                else {
                    return Ok(Vec::new());
                };
                let result = arithmetic::calculate(op, &left, &right).map_err(|text| error(at, text))?;
                return Ok(result.map(Item::Value).into_iter().collect());
            }
        };
        Ok(answer.map(boolean).into_iter().collect())
    }

    /// Three-valued logic: <https://hl7.org/fhirpath/N1/#boolean-logic>. The right side is not looked at when the
    /// left decides.
    fn logic(
        &self,
        op: Op,
        left: &Expr,
        right: &Expr,
        scope: Scope<'_, 'a>,
        at: u32,
    ) -> Result<Items<'a>, EvalError> {
        let left = self.condition(left, scope, at)?;
        let decided = match (op, left) {
            (Op::And, Some(false)) => Some(false),
            (Op::Or, Some(true)) | (Op::Implies, Some(false)) => Some(true),
            _ => None,
        };
        if let Some(decided) = decided {
            return Ok(vec![boolean(decided)]);
        }
        let right = self.condition(right, scope, at)?;
        let answer = match (op, left, right) {
            (Op::And, _, Some(false)) => Some(false),
            (Op::Or | Op::Implies, _, Some(true)) => Some(true),
            (_, None, _) | (_, _, None) => None,
            (Op::And, Some(left), Some(right)) => Some(left && right),
            (Op::Or, Some(left), Some(right)) => Some(left || right),
            (Op::Xor, Some(left), Some(right)) => Some(left != right),
            (_, Some(left), Some(right)) => Some(!left || right),
        };
        Ok(answer.map(boolean).into_iter().collect())
    }

    fn equal_all(&self, left: &[Item<'a>], right: &[Item<'a>], at: u32) -> Result<Option<bool>, EvalError> {
        self.spend(left.len(), at)?;
        Ok(compare::equal_all(left, right, self.cx.types))
    }

    fn equivalent_all(&self, left: &[Item<'a>], right: &[Item<'a>], at: u32) -> Result<bool, EvalError> {
        self.spend(left.len().saturating_mul(right.len()), at)?;
        Ok(compare::equivalent_all(left, right, self.cx.types))
    }

    fn is_in(&self, left: &[Item<'a>], right: &[Item<'a>], at: u32) -> Result<Option<bool>, EvalError> {
        let Some(single) = self.single(left, at)? else { return Ok(None) };
        Ok(Some(self.has(right, single, at)?))
    }

    /// Whether a collection holds an item equal to this one.
    pub(super) fn has(&self, items: &[Item<'a>], item: &Item<'a>, at: u32) -> Result<bool, EvalError> {
        self.spend(items.len(), at)?;
        Ok(items.iter().any(|other| compare::equal(item, other, self.cx.types) == Some(true)))
    }

    /// Both collections, each item once.
    pub(super) fn union(&self, left: Items<'a>, right: Items<'a>, at: u32) -> Result<Items<'a>, EvalError> {
        let mut all = Distinct::new(self.cx.types);
        for item in left.into_iter().chain(right) {
            self.spend(all.add(item).1, at)?;
        }
        Ok(all.items)
    }
}
