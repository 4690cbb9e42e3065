//! An OperationDefinition, compiled: <https://hl7.org/fhir/R4/operationdefinition.html>

use std::collections::HashSet;

use fhir_model::interaction::{Level, Method};
use fhir_model::types::Types;
use fhir_model::{Error, Result};
use serde_json::Value as Json;

use super::value::Primitive;

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
    /// What it takes.
    pub(super) inputs: Vec<ParameterDefinition>,
    /// What it gives.
    pub(super) outputs: Vec<ParameterDefinition>,
}

/// One parameter, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParameterDefinition {
    pub(super) name: Box<str>,
    pub(super) min: usize,
    /// `usize::MAX` for `*`.
    pub(super) max: usize,
    pub(super) of: ParameterType,
}

/// What a parameter holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ParameterType {
    Primitive(Primitive),
    /// A data type with elements: `Reference`, `Coding`.
    Element(Box<str>),
    /// A resource of a type; `Resource` for any.
    Resource(Box<str>),
    Parts(Vec<ParameterDefinition>),
}

impl Definition {
    /// Compiles a definition.
    ///
    /// # Errors
    ///
    /// `Internal` when it cannot be read or contradicts itself: a type that FHIR does not have, a `min` above the `max`,
    /// two parameters of one name.
    pub(super) fn parse(text: &str, types: &dyn Types) -> Result<Definition> {
        let json: Json = serde_json::from_str(text).map_err(Error::internal)?;
        let string = |name: &str| {
            let found = json.get(name).and_then(Json::as_str).map(Box::<str>::from);
            found.ok_or_else(|| Error::internal(format!("an OperationDefinition without `{name}`")))
        };
        let flag = |name: &str| json.get(name).and_then(Json::as_bool) == Some(true);
        let code = string("code")?;
        let parameters = |usage: &str| {
            let wrong = |why| Error::internal(format!("the definition of ${code}: {why}"));
            list(&json, "parameter", Some(usage), types).map_err(wrong)
        };
        Ok(Definition {
            url: string("url")?,
            system: flag("system"),
            types: flag("type"),
            instance: flag("instance"),
            resources: items(&json, "resource").filter_map(Json::as_str).map(Box::from).collect(),
            affects_state: flag("affectsState"),
            inputs: parameters("in")?,
            outputs: parameters("out")?,
            code,
        })
    }

    /// The methods that call it: what changes things takes `POST` alone.
    pub(crate) fn methods(&self) -> &'static [Method] {
        if self.affects_state { &[Method::Post] } else { &[Method::Get, Method::Head, Method::Post] }
    }

    /// Adds what the links between the pages of an answer have.
    pub(super) fn with_cursor(mut self) -> Definition {
        let of = ParameterType::Primitive(Primitive::Text);
        self.inputs.push(ParameterDefinition { name: "_cursor".into(), min: 0, max: 1, of });
        self
    }

    pub(crate) fn is_for_type(&self, type_name: &str) -> bool {
        self.resources.is_empty() || self.resources.iter().any(|r| **r == *type_name || &**r == "Resource")
    }

    pub(super) fn is_for(&self, level: &Level) -> bool {
        match level {
            Level::System => self.system,
            Level::Type(type_name) => self.types && self.is_for_type(type_name),
            Level::Instance(key) => self.instance && self.is_for_type(&key.type_name),
        }
    }

    pub(super) fn overlaps(&self, other: &Definition) -> bool {
        let same_level = (self.system && other.system)
            || ((self.types && other.types || self.instance && other.instance)
                && (self.resources.iter().any(|r| other.is_for_type(r))
                    || other.resources.iter().any(|r| self.is_for_type(r))
                    || (self.resources.is_empty() && other.resources.is_empty())));
        self.code == other.code && same_level
    }

    /// The type of the resource that it answers with, where that is all: a single parameter `return`.
    /// <https://hl7.org/fhir/R4/operations.html#response>
    pub(super) fn returned(&self) -> Option<&str> {
        match self.outputs.as_slice() {
            [ParameterDefinition { name, of: ParameterType::Resource(of), .. }] if &**name == "return" => {
                Some(of)
            }
            _ => None,
        }
    }
}

fn items<'j>(json: &'j Json, name: &str) -> impl Iterator<Item = &'j Json> + use<'j> {
    json.get(name).and_then(Json::as_array).into_iter().flatten()
}

/// The parameters of one use, or the parts of one parameter.
fn list(
    json: &Json,
    member: &str,
    usage: Option<&str>,
    types: &dyn Types,
) -> std::result::Result<Vec<ParameterDefinition>, String> {
    let mut all: Vec<ParameterDefinition> = Vec::new();
    let mut names = HashSet::new();
    for json in items(json, member) {
        let used = json.get("use").and_then(Json::as_str);
        if !matches!(used, Some("in" | "out")) {
            return Err("the `use` of a parameter is `in` or `out`".to_owned());
        }
        if usage.is_some_and(|usage| used != Some(usage)) {
            continue;
        }
        let parameter = parameter(json, types)?;
        if !names.insert(parameter.name.clone()) {
            return Err(format!("two parameters are called {}", parameter.name));
        }
        all.push(parameter);
    }
    Ok(all)
}

fn parameter(json: &Json, types: &dyn Types) -> std::result::Result<ParameterDefinition, String> {
    let Some(name) = json.get("name").and_then(Json::as_str) else {
        return Err("a parameter without a name".to_owned());
    };
    let min = json.get("min").and_then(Json::as_u64).and_then(|min| usize::try_from(min).ok());
    let max = match json.get("max").and_then(Json::as_str) {
        Some("*") => Some(usize::MAX),
        Some(max) => max.parse().ok(),
        None => None,
    };
    let (Some(min), Some(max)) = (min, max) else {
        return Err(format!("the parameter {name} does not say its `min` and `max`"));
    };
    if min > max {
        return Err(format!("the parameter {name} is there {min} times at least and {max} times at most"));
    }
    let parts = list(json, "part", None, types)?;
    let of = match (json.get("type").and_then(Json::as_str), parts.is_empty()) {
        (Some(of), true) => {
            type_of(of, types).ok_or_else(|| format!("{name} is of no type of FHIR: {of}"))?
        }
        (None, false) => ParameterType::Parts(parts),
        _ => return Err(format!("the parameter {name} has either a type or parts")),
    };
    Ok(ParameterDefinition { name: name.into(), min, max, of })
}

fn type_of(name: &str, types: &dyn Types) -> Option<ParameterType> {
    if types.is_primitive(name) {
        Some(ParameterType::Primitive(Primitive::of(name)))
    } else if types.is_resource(name) || name == "Resource" {
        Some(ParameterType::Resource(name.into()))
    } else if types.is_a(name, "Element") && !types.elements(name).is_empty() {
        Some(ParameterType::Element(name.into()))
    } else {
        None
    }
}
