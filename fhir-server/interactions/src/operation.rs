//! Operations: what is called with a `$`. <https://hl7.org/fhir/R4/operations.html>
//!
//! The OperationDefinition beside the code is the single source: routes, the list in the CapabilityStatement and the
//! level and method of a call come from it. By it, too, names, types and cardinality of the parameters are checked before
//! an operation runs ([`input`]), and of what it returns after ([`output`]).

mod call;
mod definition;
mod input;
mod output;
mod parameters;
mod routes;
mod value;

use std::collections::BTreeMap;

use async_trait::async_trait;
use fhir_model::interaction::{Level, Method};
use fhir_model::types::Types;
use fhir_model::{Error, Kind, Result};
use fhir_store::Scope;

pub(crate) use self::definition::Definition;
pub use self::parameters::Parameters;
use crate::cx::Cx;
use crate::reply::Reply;
use crate::request::Request;

pub use self::routes::OperationRoute;
pub(crate) use self::value::value_of;

/// One operation.
#[async_trait]
pub trait Operation: Send + Sync {
    /// Its OperationDefinition, as JSON.
    fn definition(&self) -> &'static str;

    /// Whether the answer has pages, whose links have a `_cursor`: a parameter that no definition declares.
    fn is_paged(&self) -> bool {
        false
    }

    /// Whether a standby may answer it, of callers who accept one: it reads by the scope of its call alone.
    fn reads_standby(&self) -> bool {
        false
    }

    /// Answers a call that the definition allows.
    async fn run(&self, cx: &Cx, call: Call) -> Result<Reply>;
}

/// One call of an operation.
#[derive(Debug, Clone)]
pub struct Call {
    /// Where it was called.
    pub level: Level,
    /// The scope of the caller.
    pub scope: Scope,
    /// What it was called with.
    pub parameters: Parameters,
    /// The request.
    pub request: Request,
}

/// All operations of the server, by code.
#[derive(Default)]
pub struct Operations {
    by_code: BTreeMap<Box<str>, Vec<RegisteredOperation>>,
}

struct RegisteredOperation {
    operation: Box<dyn Operation>,
    definition: Definition,
}

impl Operations {
    /// Compiles the definitions. Two operations for the same call are an error, at start-up rather than later.
    ///
    /// # Errors
    ///
    /// When a definition cannot be read or contradicts itself (a parameter of no type of FHIR, a `min` above the `max`, two
    /// parameters of one name), or two operations have one code at the same level.
    pub fn new(list: Vec<Box<dyn Operation>>, types: &dyn Types) -> Result<Operations> {
        let mut all = Operations::default();
        for operation in list {
            let definition = Definition::parse(operation.definition(), types)?;
            let definition = if operation.is_paged() { definition.with_cursor() } else { definition };
            let same_code = all.by_code.entry(definition.code.clone()).or_default();
            if same_code.iter().any(|known| known.definition.overlaps(&definition)) {
                let text = format!("two operations are called ${} in the same places", definition.code);
                return Err(Error::internal(text));
            }
            same_code.push(RegisteredOperation { operation, definition });
        }
        Ok(all)
    }

    pub(crate) fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.by_code.values().flatten().map(|known| &known.definition)
    }

    fn find(&self, level: &Level, code: &str) -> Result<&RegisteredOperation> {
        let known = self.by_code.get(code).into_iter().flatten().find(|known| known.definition.is_for(level));
        known.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no operation ${code} here")))
    }

    /// The methods that call an operation. Returns `None` when there is none there.
    pub fn allowed(&self, level: &Level, code: &str) -> Option<&'static [Method]> {
        Some(self.find(level, code).ok()?.definition.methods())
    }

    /// True when a standby may answer the call.
    pub(crate) fn reads_standby(&self, level: &Level, code: &str) -> bool {
        self.find(level, code).is_ok_and(|known| known.operation.reads_standby())
    }

    /// True when the call may change resources.
    pub(crate) fn affects_state(&self, level: &Level, code: &str) -> Result<bool> {
        Ok(self.find(level, code)?.definition.affects_state)
    }
}

#[cfg(test)]
mod tests;
