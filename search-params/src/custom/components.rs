//! Composites that are added: <https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.component>

use fhir_model::Result;
use fhir_model::types::Types;
use fhir_profiles::Definitions;

use super::Stage;
use super::checked_paths::{PATHS_MAX, check_tests, rule};
use crate::compile::{Compiled, RESOURCE, compile};
use crate::parameters::{Component, Parameter, ParameterKind};
use crate::path::{Step, Trie};
use crate::registry::Registry;
use crate::registry::compile::value_types;

/// Most parts. R4 itself has two, and three in a few places.
const PARTS_MAX: usize = 4;

/// Gives each component the definition that it names, as it is now: whatever becomes of that later, the composite stays
/// what it is.
pub(super) fn resolve(components: &mut [Component], registry: &Registry) -> Result<()> {
    if !(2..=PARTS_MAX).contains(&components.len()) {
        let text = format!("a composite has two to {PARTS_MAX} components, not {}", components.len());
        return Err(rule(text, "SearchParameter.component"));
    }
    for (n, component) in components.iter_mut().enumerate() {
        let refuse = |text: String| rule(text, &format!("SearchParameter.component[{n}].definition"));
        let url = component.definition.split('|').next().unwrap_or_default();
        let added = || {
            let mut customs = registry.customs().into_iter().filter(|c| c.stage != Stage::Retiring);
            customs.find(|c| *c.definition.url == *url).map(|c| c.definition.clone())
        };
        let Some(known) = registry.parameters().by_url(url).cloned().or_else(added) else {
            return Err(refuse(format!("{url} is no search parameter that is in force on this server")));
        };
        if matches!(known.kind, ParameterKind::Composite | ParameterKind::Special) {
            return Err(refuse(format!("a {} parameter cannot be a part", known.kind.as_str())));
        }
        component.resolved = Some(Box::new(Parameter::clone(&known)));
    }
    Ok(())
}

/// Each part is understood, and leads from the elements at the path to something that can be compared in its way.
pub(super) fn check(
    parameter: &Parameter,
    resource: &str,
    steps: &[Step],
    definitions: &Definitions,
) -> Result<()> {
    let mut trie = Trie::within(resource, PATHS_MAX);
    if !trie.add(definitions, steps, 0) {
        return Ok(());
    }
    let elements = trie.leaf_types(0);
    let [element] = elements.as_slice() else {
        let text =
            format!("the parts of a composite stand in elements of one type, not {}", elements.join(", "));
        return Err(rule(text, "SearchParameter.expression"));
    };
    for (n, component) in parameter.components.iter().enumerate() {
        let refuse = |text: String| rule(text, &format!("SearchParameter.component[{n}].expression"));
        let compiled = compile(&component.expression).map_err(|e| refuse(e.text))?;
        let kind = component.resolved.as_ref().map_or(ParameterKind::Special, |r| r.kind);
        part(&compiled, kind, element, resource, definitions).map_err(refuse)?;
    }
    // Of a whole resource nothing is combined.
    if !steps.is_empty() {
        orders(parameter)?;
    }
    Ok(())
}

/// An error says what is wrong.
fn part(
    compiled: &Compiled,
    kind: ParameterKind,
    element: &str,
    resource: &str,
    definitions: &Definitions,
) -> std::result::Result<(), String> {
    if compiled.truth {
        return Err("a part is a value, not whether there is one".to_owned());
    }
    let mut types: Vec<Box<str>> = Vec::new();
    for branch in &compiled.branches {
        check_tests(&branch.steps, definitions).map_err(|e| e.text)?;
        let from = match branch.root.as_deref() {
            Some(RESOURCE) => resource,
            Some(root) if !definitions.is_a(element, root) => {
                return Err(format!("a part begins at {element}, where the composite stands, not at {root}"));
            }
            _ => element,
        };
        let mut trie = Trie::within(from, PATHS_MAX);
        trie.add(definitions, &branch.steps, 0);
        if trie.node_count() > PATHS_MAX {
            return Err(format!("the expression looks at more than {PATHS_MAX} places of {from}"));
        }
        types.extend(trie.leaf_types(0).into_iter().map(Box::from));
    }
    match types.iter().any(|t| value_types(kind).contains(&&**t)) {
        true => Ok(()),
        false if types.is_empty() => Err(format!("the expression leads nowhere in {element}")),
        false => Err(format!(
            "a {} parameter cannot look at {}, which is what the expression leads to in {element}",
            kind.as_str(),
            types.join(", ")
        )),
    }
}

/// What is combined is one entry of the index, which has room for one order, or two numbers.
fn orders(parameter: &Parameter) -> Result<()> {
    use ParameterKind::{Date, Number, Quantity, String};
    let kinds = parameter.components.iter().filter_map(|c| c.resolved.as_ref()).map(|r| r.kind);
    let ordered: Vec<_> = kinds.filter(|k| matches!(k, Date | Number | Quantity | String)).collect();
    match ordered.as_slice() {
        [] | [_] | [Number, Number] => Ok(()),
        _ => {
            let words: Vec<_> = ordered.iter().map(|k| k.as_str()).collect();
            let text = format!(
                "within an element, one part of a composite may be a date, number, quantity or string, or two numbers: \
                 not {}",
                words.join(" and ")
            );
            Err(rule(text, "SearchParameter.component"))
        }
    }
}
