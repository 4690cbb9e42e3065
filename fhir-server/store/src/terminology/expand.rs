//! The codes of a value set: <https://hl7.org/fhir/R4/valueset.html#compose>

use std::collections::BTreeSet;

use fhir_model::{Error, Result};
use fhir_profiles::code_system::{Concept, Content};
use fhir_profiles::value_set::{Contains, Filter, Include};
use fhir_profiles::{CodeSystem, ValueSet};

use super::{CODES_MAX, Code, Definition, Definitions, TerminologyFuture, too_many};

/// Value sets of value sets of ...
const DEPTH_MAX: usize = 10;

/// Boxed: value sets are made of value sets.
pub(super) fn value_set<'a>(
    definitions: &'a dyn Definitions,
    url: String,
    depth: usize,
) -> TerminologyFuture<'a, BTreeSet<Code>> {
    Box::pin(async move {
        if depth > DEPTH_MAX {
            return Err(Error::value(format!("value sets that include `{url}` include each other")));
        }
        let known = definitions.value_set(&url).await?;
        let set = known.get();
        // What FHIR publishes as the expansion is the expansion; a stored one may be older than its composition.
        let expanded = set.expansion.as_ref().filter(|_| match &known {
            Definition::Published(_) => true,
            Definition::Stored(_) => set.compose.include.is_empty(),
        });
        if let Some(expansion) = expanded {
            let mut codes = BTreeSet::new();
            contained(&expansion.contains, &mut codes);
            return bounded(codes);
        }
        composed(definitions, &url, set, depth).await
    })
}

async fn composed(
    definitions: &dyn Definitions,
    url: &str,
    set: &ValueSet,
    depth: usize,
) -> Result<BTreeSet<Code>> {
    if set.compose.include.is_empty() {
        return Err(Error::not_supported(format!("the value set `{url}` does not say what is in it")));
    }
    let mut codes = BTreeSet::new();
    for include in &set.compose.include {
        codes.extend(included(definitions, include, depth).await?);
        codes = bounded(codes)?;
    }
    for exclude in &set.compose.exclude {
        for code in included(definitions, exclude, depth).await? {
            codes.remove(&code);
        }
    }
    Ok(codes)
}

fn contained(all: &[Contains], codes: &mut BTreeSet<Code>) {
    for one in all {
        if let (Some(code), false) = (&one.code, one.is_abstract) {
            codes.insert(Code {
                system: one.system.as_deref().unwrap_or("").to_owned(),
                code: code.to_string(),
            });
        }
        contained(&one.contains, codes);
    }
}

async fn included(definitions: &dyn Definitions, include: &Include, depth: usize) -> Result<BTreeSet<Code>> {
    let mut found = match &include.system {
        Some(system) => Some(codes_of_system(definitions, system, include).await?),
        None => None,
    };
    for url in &include.value_set {
        let other = value_set(definitions, url.to_string(), depth + 1).await?;
        found = Some(match found {
            None => other,
            Some(mine) => mine.intersection(&other).cloned().collect(),
        });
    }
    bounded(found.unwrap_or_default())
}

async fn codes_of_system(
    definitions: &dyn Definitions,
    url: &str,
    include: &Include,
) -> Result<BTreeSet<Code>> {
    let code = |code: &str| Code { system: url.to_owned(), code: code.to_owned() };
    if !include.concept.is_empty() {
        return Ok(include.concept.iter().map(|concept| code(&concept.code)).collect());
    }
    let versioned = include.version.as_ref().map(|version| format!("{url}|{version}"));
    let known = definitions.code_system(versioned.as_deref().unwrap_or(url)).await?;
    let system = known.get();
    if matches!(system.content, Content::NotPresent | Content::Supplement) {
        return Err(Error::not_supported(format!("the codes of `{url}` are not known here")));
    }
    let mut codes = BTreeSet::new();
    for concept in &system.concepts {
        let mut passes = true;
        for filter in &include.filter {
            passes = passes && self::passes(filter, concept, system)?;
        }
        if passes {
            codes.insert(code(&concept.code));
        }
    }
    Ok(codes)
}

/// <https://hl7.org/fhir/R4/valueset-filter-operator.html>
fn passes(filter: &Filter, concept: &Concept, system: &CodeSystem) -> Result<bool> {
    let (code, value) = (&*concept.code, &*filter.value);
    let listed = |text: &str| value.split(',').any(|one| one.trim() == text);
    if matches!(&*filter.property, "concept" | "code") {
        return match &*filter.op {
            "is-a" => Ok(system.subsumes(value, code)),
            "descendent-of" => Ok(code != value && system.subsumes(value, code)),
            "is-not-a" => Ok(!system.subsumes(value, code)),
            "generalizes" => Ok(system.subsumes(code, value)),
            "=" => Ok(code == value),
            "in" => Ok(listed(code)),
            "not-in" => Ok(!listed(code)),
            _ => Err(beyond(filter)),
        };
    }
    let own = concept.property.iter().filter(|property| property.code == filter.property);
    let mut texts = own.filter_map(|property| {
        property.value.values().next().map(|value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.get("code").and_then(|c| c.as_str()).map_or(other.to_string(), str::to_owned),
        })
    });
    match &*filter.op {
        "=" => Ok(texts.any(|text| text == value)),
        "in" => Ok(texts.any(|text| listed(&text))),
        "not-in" => Ok(!texts.any(|text| listed(&text))),
        "exists" => Ok(texts.next().is_some() == (value == "true")),
        _ => Err(beyond(filter)),
    }
}

fn beyond(filter: &Filter) -> Error {
    Error::not_supported(format!("value sets are not filtered by `{} {}` here", filter.property, filter.op))
}

fn bounded(codes: BTreeSet<Code>) -> Result<BTreeSet<Code>> {
    if codes.len() > CODES_MAX { Err(too_many()) } else { Ok(codes) }
}
