//! Existence, projection and subsetting: <https://hl7.org/fhirpath/N1/#existence> and the two sections after it.

use std::cmp::Ordering;

use super::ast::Expr;
use super::call::Call;
use super::compare;
use super::distinct::Distinct;
use super::evaluate::{EvalError, Evaluation, Items, boolean, error};
use super::function::Function as F;
use super::item::{Item, Value};

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn existence(
        &self,
        input: Items<'a>,
        call: &Call<'_, '_, 'a>,
    ) -> Result<Items<'a>, EvalError> {
        let at = call.at;
        let answer = match call.function {
            F::Empty => input.is_empty(),
            F::Exists => match call.args.first() {
                None => !input.is_empty(),
                Some(criterion) => self.any(&input, criterion, call, true)?,
            },
            F::All => match call.args.first() {
                Some(criterion) => !self.any(&input, criterion, call, false)?,
                None => true,
            },
            F::AllTrue => self.booleans(&input, at)?.all(|it| it),
            F::AnyTrue => self.booleans(&input, at)?.any(|it| it),
            F::AllFalse => self.booleans(&input, at)?.all(|it| !it),
            F::AnyFalse => self.booleans(&input, at)?.any(|it| !it),
            F::SubsetOf => self.is_subset(&input, &self.first_argument(call)?, at)?,
            F::SupersetOf => self.is_subset(&self.first_argument(call)?, &input, at)?,
            F::Count => return Ok(vec![Item::Value(Value::Integer(input.len() as i64))]),
            F::Distinct => return self.distinct(input, at),
            F::IsDistinct => {
                let count = input.len();
                self.distinct(input, at)?.len() == count
            }
            _ => match self.boolean(&input, at)? {
                Some(value) => !value,
                None => return Ok(Vec::new()),
            },
        };
        Ok(vec![boolean(answer)])
    }

    pub(super) fn projection(
        &self,
        input: Items<'a>,
        call: &Call<'_, '_, 'a>,
    ) -> Result<Items<'a>, EvalError> {
        let (scope, at) = (call.scope, call.at);
        if call.function == F::Sort {
            return self.sort(input, call);
        }
        let Some(argument) = call.args.first() else { return Ok(Vec::new()) };
        match call.function {
            F::Where => {
                let mut kept = Vec::new();
                for (index, item) in input.into_iter().enumerate() {
                    if self.condition(argument, scope.item(&item, index), at)? == Some(true) {
                        kept.push(item);
                    }
                }
                Ok(kept)
            }
            F::Select => {
                let mut found = Vec::new();
                for (index, item) in input.iter().enumerate() {
                    found.append(&mut self.argument(argument, scope.item(item, index))?);
                }
                Ok(found)
            }
            F::Repeat => self.repeat(input, argument, call),
            F::Aggregate => {
                let mut total = match call.args.get(1) {
                    Some(init) => self.argument(init, scope)?,
                    None => Vec::new(),
                };
                for (index, item) in input.iter().enumerate() {
                    let scope = scope.item(item, index);
                    total =
                        self.argument(argument, super::evaluate::Scope { total: Some(&total), ..scope })?;
                }
                Ok(total)
            }
            F::Iif => self.iif(&input, argument, call),
            _ => {
                for argument in call.args {
                    let found = self.argument(argument, scope)?;
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Ok(Vec::new())
            }
        }
    }

    pub(super) fn subset(
        &self,
        mut input: Items<'a>,
        call: &Call<'_, '_, 'a>,
    ) -> Result<Items<'a>, EvalError> {
        let at = call.at;
        match call.function {
            F::Single => {
                self.single(&input, at)?;
            }
            F::First => input.truncate(1),
            F::Last => return Ok(input.pop().into_iter().collect()),
            F::Tail => {
                input.drain(..input.len().min(1));
            }
            F::Skip | F::Take => {
                let Some(count) = self.integer(&self.first_argument(call)?, at)? else {
                    return Ok(Vec::new());
                };
                let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX).min(input.len());
                if call.function == F::Take {
                    input.truncate(count);
                } else {
                    input.drain(..count);
                }
            }
            F::Intersect => {
                let other = self.first_argument(call)?;
                input = self.distinct(input, at)?;
                return self.kept(input, &other, true, at);
            }
            F::Exclude => return self.kept(input, &self.first_argument(call)?, false, at),
            F::Union => return self.union(input, self.first_argument(call)?, at),
            _ => input.append(&mut self.first_argument(call)?),
        }
        Ok(input)
    }

    /// The first argument, in the scope around the call.
    pub(super) fn first_argument(&self, call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        match call.args.first() {
            Some(argument) => self.argument(argument, call.scope),
            None => Ok(Vec::new()),
        }
    }

    /// Whether the criterion gives this answer for some item; no answer counts as false.
    fn any(
        &self,
        input: &[Item<'a>],
        criterion: &Expr,
        call: &Call<'_, '_, 'a>,
        answer: bool,
    ) -> Result<bool, EvalError> {
        for (index, item) in input.iter().enumerate() {
            let found = self.condition(criterion, call.scope.item(item, index), call.at)?;
            if found.unwrap_or(false) == answer {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn booleans(&self, input: &[Item<'a>], at: u32) -> Result<impl Iterator<Item = bool>, EvalError> {
        let all: Option<Vec<bool>> = input
            .iter()
            .map(|item| match item.value(self.cx.types) {
                Some(Value::Boolean(value)) => Some(value),
                _ => None,
            })
            .collect();
        Ok(all.ok_or_else(|| error(at, "all items must be Booleans"))?.into_iter())
    }

    fn is_subset(&self, part: &[Item<'a>], whole: &[Item<'a>], at: u32) -> Result<bool, EvalError> {
        for item in part {
            if !self.has(whole, item, at)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn distinct(&self, input: Items<'a>, at: u32) -> Result<Items<'a>, EvalError> {
        let mut distinct = Distinct::new(self.cx.types);
        for item in input {
            self.spend(distinct.add(item).1, at)?;
        }
        Ok(distinct.items)
    }

    fn kept(
        &self,
        input: Items<'a>,
        other: &[Item<'a>],
        common: bool,
        at: u32,
    ) -> Result<Items<'a>, EvalError> {
        let mut kept = Vec::new();
        for item in input {
            if self.has(other, &item, at)? == common {
                kept.push(item);
            }
        }
        Ok(kept)
    }

    /// Only what was not there yet is looked at again, so a projection that leads back ends.
    fn repeat(
        &self,
        input: Items<'a>,
        argument: &Expr,
        call: &Call<'_, '_, 'a>,
    ) -> Result<Items<'a>, EvalError> {
        let mut found = Distinct::new(self.cx.types);
        let mut waiting = input;
        while !waiting.is_empty() {
            let mut next = Vec::new();
            for (index, item) in waiting.iter().enumerate() {
                for result in self.argument(argument, call.scope.item(item, index))? {
                    let (new, steps) = found.add(result.clone());
                    self.spend(steps, call.at)?;
                    if new {
                        next.push(result);
                    }
                }
            }
            waiting = next;
        }
        Ok(found.items)
    }

    fn iif(
        &self,
        input: &[Item<'a>],
        criterion: &Expr,
        call: &Call<'_, '_, 'a>,
    ) -> Result<Items<'a>, EvalError> {
        self.single(input, call.at)?;
        let scope = super::evaluate::Scope { this: input, ..call.scope };
        let found = self.argument(criterion, scope)?;
        if let [Item::Value(value)] = &*found
            && !matches!(value, Value::Boolean(_))
        {
            return Err(error(call.at, format!("the condition of `iif` is a {}", value.type_name())));
        }
        let chosen =
            if self.boolean(&found, call.at)? == Some(true) { call.args.get(1) } else { call.args.get(2) };
        match chosen {
            Some(chosen) => self.argument(chosen, scope),
            None => Ok(Vec::new()),
        }
    }

    /// By the arguments as keys, `-key` meaning the other way round; without arguments by the items themselves.
    /// Items without a key come first.
    fn sort(&self, input: Items<'a>, call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let mut keyed = Vec::with_capacity(input.len());
        for (index, item) in input.into_iter().enumerate() {
            let mut keys = Vec::with_capacity(call.args.len().max(1));
            if call.args.is_empty() {
                keys.push((self.single_value(std::slice::from_ref(&item), call.at)?, false));
            }
            for argument in call.args {
                let (argument, descending) = match argument {
                    Expr::Sign { minus: true, of, .. } => (&**of, true),
                    other => (other, false),
                };
                let found = self.argument(argument, call.scope.item(&item, index))?;
                keys.push((self.single_value(&found, call.at)?, descending));
            }
            keyed.push((keys, item));
        }
        self.spend(keyed.len().saturating_mul(keyed.len().max(2).ilog2() as usize), call.at)?;
        let mut unordered = false;
        keyed.sort_by(|(left, _), (right, _)| {
            let orders = left.iter().zip(right).map(|((left, descending), (right, _))| match (left, right) {
                (Some(left), Some(right)) => {
                    let order = compare::order(left, right).unwrap_or_else(|()| {
                        unordered = true;
                        None
                    });
                    let order = order.unwrap_or(Ordering::Equal);
                    if *descending { order.reverse() } else { order }
                }
                (left, right) => left.is_some().cmp(&right.is_some()),
            });
            orders.fold(Ordering::Equal, Ordering::then)
        });
        if unordered {
            return Err(error(call.at, "the keys to sort by have no order"));
        }
        Ok(keyed.into_iter().map(|(_, item)| item).collect())
    }
}
