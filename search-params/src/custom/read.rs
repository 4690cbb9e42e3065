//! What a SearchParameter resource must be to take effect: <https://hl7.org/fhir/R4/searchparameter.html>
//!
//! One that is not `active` may be anything; one that is must be understood in full, or it is refused.

use fhir_model::types::Types;
use fhir_model::{Error, Result};
use fhir_profiles::Definitions;

use super::checked_paths::{PATHS_MAX, check_tests, rule};
use super::components;
use crate::parameters::{Component, Parameter, ParameterKind};
use crate::path::Trie;
use crate::registry::Registry;
use crate::registry::compile::{Branches, value_types};

/// Longest code.
pub(super) const CODE_BYTES_MAX: usize = 64;
/// What is kept of a description, in code points.
const DESCRIPTION_CHARS_MAX: usize = 2000;

/// An active definition that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// It.
    pub parameter: Parameter,
    /// The resource types it is for, `Resource` and `DomainResource` written out.
    pub types: Vec<Box<str>>,
}

impl Defined {
    /// True when both leave the same in the index.
    pub fn indexes_like(&self, other: &Defined) -> bool {
        let what = |d: &Defined| {
            let p = d.parameter.clone();
            let part = |c: Component| {
                let (kind, target) = c.resolved.map(|r| (r.kind, r.target)).unzip();
                (c.expression, kind, target)
            };
            let parts: Vec<_> = p.components.into_iter().map(part).collect();
            (p.code, p.kind, p.expression, parts, d.types.clone())
        };
        what(self) == what(other)
    }
}

/// The definition in a SearchParameter resource. Returns `None` when it is not active, or repeats one of R4's.
///
/// # Errors
///
/// When an active definition lacks an element, has a code that is taken, or an expression that cannot be compiled or
/// looks at too much.
pub fn read(resource: &str, registry: &Registry) -> Result<Option<Defined>> {
    let json: serde_json::Value = serde_json::from_str(resource).map_err(Error::internal)?;
    if json.get("status").and_then(|s| s.as_str()) != Some("active") {
        return Ok(None);
    }
    let definitions = registry.definitions();
    let mut parameter: Parameter = serde_json::from_value(json)
        .map_err(|e| rule(format!("an active SearchParameter must be complete: {e}"), "SearchParameter"))?;
    if let Some((end, _)) = parameter.description.char_indices().nth(DESCRIPTION_CHARS_MAX) {
        parameter.description = parameter.description.get(..end).unwrap_or_default().into();
    }
    let types = types(&parameter, definitions)?;
    if restates(&parameter, &types, registry)? {
        return Ok(None);
    }
    check_code(&parameter.code)?;
    match parameter.kind {
        ParameterKind::Special => {
            let text = "what a special parameter does is written into a server: it cannot be added to one";
            return Err(rule(text, "SearchParameter.type"));
        }
        ParameterKind::Composite => components::resolve(&mut parameter.components, registry)?,
        _ => parameter.components.clear(),
    }
    for name in &types {
        check_expression(&parameter, name, definitions)?;
    }
    Ok(Some(Defined { parameter, types }))
}

/// The resource types of a definition.
fn types(parameter: &Parameter, definitions: &Definitions) -> Result<Vec<Box<str>>> {
    let mut found: Vec<Box<str>> = Vec::new();
    for base in &parameter.base {
        match &**base {
            "Resource" | "DomainResource" => {
                let below = definitions.resource_types().filter(|t| definitions.is_a(t, base));
                found.extend(below.map(Box::from));
            }
            name if definitions.is_resource(name) => found.push(base.clone()),
            other => return Err(rule(format!("`{other}` is not a resource type"), "SearchParameter.base")),
        }
    }
    if found.is_empty() {
        return Err(rule("an active SearchParameter says which types it is for", "SearchParameter.base"));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// True for one of R4's own; an error for one that would take the place of another of R4's.
fn restates(parameter: &Parameter, types: &[Box<str>], registry: &Registry) -> Result<bool> {
    let all = registry.parameters();
    if let Some(known) = all.by_url(&parameter.url) {
        let same = (&known.code, known.kind, &known.expression, &known.components)
            == (&parameter.code, parameter.kind, &parameter.expression, &parameter.components);
        return match same && parameter.base.iter().all(|b| known.base.contains(b)) {
            true => Ok(true),
            false => Err(rule(
                format!("{} is a parameter of R4, which this server has as R4 defines it", parameter.url),
                "SearchParameter.url",
            )),
        };
    }
    let taken = types.iter().find_map(|name| all.get(name, &parameter.code).map(|known| (name, known)));
    match taken {
        Some((name, known)) => Err(overlap(&parameter.code, name, &known.url)),
        None => Ok(false),
    }
}

/// A code that is taken.
pub fn overlap(code: &str, type_name: &str, by: &str) -> Error {
    rule(format!("{type_name} has a search parameter `{code}` already: {by}"), "SearchParameter.code")
}

fn check_code(code: &str) -> Result<()> {
    let letters = code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    // Names that begin with `_` are the specification's.
    if code.is_empty() || code.len() > CODE_BYTES_MAX || code.starts_with('_') || !letters {
        let text = format!(
            "a code is up to {CODE_BYTES_MAX} letters, digits, `-` and `_`, and does not begin with `_`: not `{code}`"
        );
        return Err(rule(text, "SearchParameter.code"));
    }
    Ok(())
}

/// The expression is understood, leads somewhere in the type, and to something that can be compared in this way.
fn check_expression(parameter: &Parameter, type_name: &str, definitions: &Definitions) -> Result<()> {
    let refuse = |text: String| rule(text, "SearchParameter.expression");
    if parameter.expression.is_none() {
        return Err(refuse("an active SearchParameter has an expression".to_owned()));
    }
    let branches = Branches::parse(parameter, type_name, definitions).map_err(|e| refuse(e.text))?;
    let branches = branches.map(|b| b.steps).unwrap_or_default();
    let mut trie = Trie::within(type_name, PATHS_MAX);
    let mut found = false;
    for steps in &branches {
        check_tests(steps, definitions)?;
        found |= trie.add(definitions, steps, 0);
    }
    if trie.node_count() > PATHS_MAX {
        return Err(refuse(format!("the expression looks at more than {PATHS_MAX} places of {type_name}")));
    }
    if !found {
        return Err(refuse(format!("the expression leads nowhere in {type_name}")));
    }
    if parameter.kind == ParameterKind::Composite {
        return branches
            .iter()
            .try_for_each(|steps| components::check(parameter, type_name, steps, definitions));
    }
    let types = trie.leaf_types(0);
    if !types.iter().any(|t| value_types(parameter.kind).contains(t)) {
        let text = format!(
            "a {} parameter cannot look at {}, which is what the expression leads to in {type_name}",
            parameter.kind.as_str(),
            types.join(", ")
        );
        return Err(refuse(text));
    }
    Ok(())
}
