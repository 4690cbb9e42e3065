//! Operations: what is called with a `$`. <https://hl7.org/fhir/R4/operations.html>
//!
//! The OperationDefinition beside the code is the single source: routes, the list in the CapabilityStatement and the
//! level and method of a call come from it. Names, types and cardinality of parameters are checked by each operation.

pub(crate) mod parameters;
mod routes;

use std::collections::BTreeMap;

use async_trait::async_trait;
use fhir_model::interaction::{Level, Method};
use fhir_model::{Error, Kind, Result};
use fhir_store::Scope;
use serde_json::Value;

use crate::cx::Cx;
use crate::reply::Reply;
use crate::request::Request;
use crate::request_context::RequestContext;

pub use self::routes::OperationRoute;

/// One operation.
#[async_trait]
pub trait Operation: Send + Sync {
    /// Its OperationDefinition, as JSON.
    fn definition(&self) -> &'static str;

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
    /// The decoded query.
    pub pairs: Vec<(String, String)>,
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

/// The parts of an OperationDefinition that the server uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) code: Box<str>,
    pub(crate) url: Box<str>,
    pub(crate) system: bool,
    pub(crate) types: bool,
    pub(crate) instance: bool,
    /// The types it is for; `Resource` or none for all.
    pub(crate) resources: Vec<Box<str>>,
    pub(crate) affects_state: bool,
}

impl Operations {
    /// Reads the definitions. Two operations for the same call are an error, at start-up rather than later.
    ///
    /// # Errors
    ///
    /// When a definition cannot be read, or two operations have one code at the same level.
    pub fn new(list: Vec<Box<dyn Operation>>) -> Result<Operations> {
        let mut all = Operations::default();
        for operation in list {
            let definition = Definition::parse(operation.definition())?;
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

    pub(crate) async fn call(&self, ctx: &RequestContext<'_>, level: &Level, code: &str) -> Result<Reply> {
        let RegisteredOperation { operation, definition } = self.find(level, code)?;
        if definition.affects_state && ctx.request.method != Method::Post {
            return Err(Error::new(
                Kind::MethodNotAllowed,
                format!("${code} changes things, so it takes POST alone"),
            ));
        }
        let call = Call {
            level: level.clone(),
            scope: ctx.scope.clone(),
            pairs: ctx.pairs.clone(),
            request: ctx.request.clone(),
        };
        operation.run(ctx.cx, call).await
    }

    fn find(&self, level: &Level, code: &str) -> Result<&RegisteredOperation> {
        let known = self.by_code.get(code).into_iter().flatten().find(|known| known.definition.is_for(level));
        known.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no operation ${code} here")))
    }

    /// True when the call may change resources.
    pub(crate) fn affects_state(&self, level: &Level, code: &str) -> Result<bool> {
        Ok(self.find(level, code)?.definition.affects_state)
    }
}

impl Definition {
    fn parse(text: &str) -> Result<Definition> {
        let json: Value = serde_json::from_str(text).map_err(Error::internal)?;
        let string = |name: &str| {
            let found = json.get(name).and_then(Value::as_str).map(Box::<str>::from);
            found.ok_or_else(|| Error::internal(format!("an OperationDefinition without `{name}`")))
        };
        let flag = |name: &str| json.get(name).and_then(Value::as_bool) == Some(true);
        let resources = json.get("resource").and_then(Value::as_array);
        Ok(Definition {
            code: string("code")?,
            url: string("url")?,
            system: flag("system"),
            types: flag("type"),
            instance: flag("instance"),
            resources: resources.into_iter().flatten().filter_map(Value::as_str).map(Box::from).collect(),
            affects_state: flag("affectsState"),
        })
    }

    pub(crate) fn is_for_type(&self, type_name: &str) -> bool {
        self.resources.is_empty() || self.resources.iter().any(|r| **r == *type_name || &**r == "Resource")
    }

    fn is_for(&self, level: &Level) -> bool {
        match level {
            Level::System => self.system,
            Level::Type(type_name) => self.types && self.is_for_type(type_name),
            Level::Instance(key) => self.instance && self.is_for_type(&key.type_name),
        }
    }

    fn overlaps(&self, other: &Definition) -> bool {
        let same_level = (self.system && other.system)
            || ((self.types && other.types || self.instance && other.instance)
                && (self.resources.iter().any(|r| other.is_for_type(r))
                    || other.resources.iter().any(|r| self.is_for_type(r))
                    || (self.resources.is_empty() && other.resources.is_empty())));
        self.code == other.code && same_level
    }
}

#[cfg(test)]
mod tests {
    use fhir_model::Key;

    use super::*;

    struct Fake(&'static str);

    #[async_trait]
    impl Operation for Fake {
        fn definition(&self) -> &'static str {
            self.0
        }
        async fn run(&self, _: &Cx, _: Call) -> Result<Reply> {
            Ok(Reply::empty(200))
        }
    }

    const EVERYTHING: &str = r#"{"code":"everything","url":"u","type":true,"instance":true,"system":false,"resource":["Patient"]}"#;
    const EVERYTHING_ELSE: &str =
        r#"{"code":"everything","url":"u","instance":true,"resource":["Encounter"]}"#;

    #[test]
    fn definitions_say_where_an_operation_is() {
        let definition = Definition::parse(EVERYTHING).unwrap();
        assert!(definition.is_for(&Level::Instance(Key::new("Patient", "1"))));
        assert!(definition.is_for(&Level::Type("Patient".into())));
        assert!(!definition.is_for(&Level::Type("Encounter".into())));
        assert!(!definition.is_for(&Level::System));
    }

    #[test]
    fn one_call_has_one_operation() {
        let list = |texts: &[&'static str]| -> Vec<Box<dyn Operation>> {
            texts.iter().map(|t| Box::new(Fake(t)) as Box<dyn Operation>).collect()
        };
        assert!(Operations::new(list(&[EVERYTHING, EVERYTHING_ELSE])).is_ok());
        assert!(Operations::new(list(&[EVERYTHING, EVERYTHING])).is_err());
        assert!(Operations::new(list(&["{}"])).is_err());
    }
}
