//! Navigation to all children, `trace()`, time and types: <https://hl7.org/fhirpath/N1/#utility-functions>

use std::borrow::Cow;

use super::call::Call;
use super::evaluate::{EvalError, Evaluation, Items, error};
use super::function::Function as F;
use super::item::{Item, Value};
use crate::date::DateTime;

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn utility(&self, input: Items<'a>, call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let at = call.at;
        match call.function {
            F::Children => self.children(&input, at),
            F::Descendants => {
                let mut all = Vec::new();
                let mut level = self.children(&input, at)?;
                while !level.is_empty() {
                    let next = self.children(&level, at)?;
                    all.append(&mut level);
                    level = next;
                }
                Ok(all)
            }
            F::Trace => {
                let name = self.string(&self.first_argument(call)?, at)?.unwrap_or_default();
                if let Some(trace) = self.cx.trace {
                    match call.args.get(1) {
                        None => trace(&name, &input),
                        Some(projection) => {
                            let mut seen = Vec::new();
                            for (index, item) in input.iter().enumerate() {
                                seen.append(&mut self.argument(projection, call.scope.item(item, index))?);
                            }
                            trace(&name, &seen);
                        }
                    }
                }
                Ok(input)
            }
            F::DefineVariable => self.define(input, call),
            F::Now => Ok(vec![Item::Value(Value::DateTime(self.now(at)?))]),
            F::Today => Ok(vec![Item::Value(Value::Date(self.now(at)?.to_date()))]),
            F::TimeOfDay => {
                Ok(self.now(at)?.time().map(|time| Item::Value(Value::Time(time))).into_iter().collect())
            }
            _ => Ok(input.into_iter().map(type_of).collect()),
        }
    }

    fn children(&self, items: &[Item<'a>], at: u32) -> Result<Items<'a>, EvalError> {
        let mut found = Vec::new();
        for item in items {
            if let Item::Node(node) = item {
                node.children(self.cx.types, &mut found);
            }
        }
        self.spend(found.len(), at)?;
        Ok(found)
    }

    /// The variable is known to what follows in the same expression, and keeps its first value.
    fn define(&self, input: Items<'a>, call: &Call<'_, '_, 'a>) -> Result<Items<'a>, EvalError> {
        let Some(name) = self.string(&self.first_argument(call)?, call.at)? else {
            return Err(error(call.at, "a variable needs a name"));
        };
        let reserved = matches!(&*name, "context" | "resource" | "rootResource" | "ucum" | "sct" | "loinc");
        let given = self.cx.variables.iter().any(|(given, _)| **given == *name);
        if reserved || given || self.defined.borrow().iter().any(|(defined, _)| *defined == *name) {
            return Err(error(call.at, format!("`%{name}` is defined already")));
        }
        let value = match call.args.get(1) {
            Some(value) => self.argument(value, super::evaluate::Scope { this: &input, ..call.scope })?,
            None => input.clone(),
        };
        self.defined.borrow_mut().push((name.into_owned(), value));
        Ok(input)
    }

    fn now(&self, at: u32) -> Result<DateTime, EvalError> {
        self.cx.now.ok_or_else(|| error(at, "no time is known here"))
    }
}

fn type_of(item: Item<'_>) -> Item<'_> {
    let (namespace, name) = match item {
        Item::Node(node) => ("FHIR", node.type_name),
        Item::Value(value) => ("System", Cow::Borrowed(value.type_name())),
    };
    Item::Value(Value::Type { namespace, name })
}
