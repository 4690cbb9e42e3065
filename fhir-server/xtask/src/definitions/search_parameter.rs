//! SearchParameters: <https://hl7.org/fhir/R4/searchparameter.html>

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::structure::Type;

/// What is kept of a SearchParameter, in FHIR's order.
const KEPT: [&str; 13] = [
    "url",
    "description",
    "code",
    "base",
    "type",
    "expression",
    "target",
    "multipleOr",
    "multipleAnd",
    "comparator",
    "modifier",
    "chain",
    "component",
];

/// Expressions of R4 that name an extension which R4 does not define, by the URL of the parameter, and the path to the
/// value where R4's own StructureDefinition of the extension puts it. Both are looked at.
pub(crate) const CORRECTED: [(&str, &str); 5] = [
    (
        "http://hl7.org/fhir/SearchParameter/observation-genetic-Observation-amino-acid-change",
        "Observation.extension('http://hl7.org/fhir/StructureDefinition/observation-geneticsAminoAcidChange').extension('Name')",
    ),
    (
        "http://hl7.org/fhir/SearchParameter/observation-genetic-Observation-dna-variant",
        "Observation.extension('http://hl7.org/fhir/StructureDefinition/observation-geneticsVariant').extension('Name')",
    ),
    (
        "http://hl7.org/fhir/SearchParameter/observation-genetic-Observation-gene-amino-acid-change",
        "Observation.extension('http://hl7.org/fhir/StructureDefinition/observation-geneticsAminoAcidChange').extension('Name')",
    ),
    (
        "http://hl7.org/fhir/SearchParameter/observation-genetic-Observation-gene-dnavariant",
        "Observation.extension('http://hl7.org/fhir/StructureDefinition/observation-geneticsVariant').extension('Name')",
    ),
    (
        "http://hl7.org/fhir/SearchParameter/patient-extensions-Patient-mothersMaidenName",
        "Patient.extension('http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName')",
    ),
];

/// The lines of the data file, and what was not taken.
pub(crate) struct Parameters {
    pub(crate) lines: Vec<Value>,
    /// URL and reason.
    pub(crate) left_out: BTreeMap<String, &'static str>,
}

/// All search parameters by URL, after a first line that names the base of every resource type: parameters of
/// `Resource` and `DomainResource` belong to all types below them.
pub(crate) fn parameters(spec: &[Value], types: &[Type]) -> Result<Parameters> {
    let (mut kept, mut left_out) = (BTreeMap::new(), BTreeMap::new());
    for parameter in spec.iter().filter(|r| r["resourceType"] == "SearchParameter") {
        let url = parameter["url"].as_str().context("a SearchParameter without a url")?.to_owned();
        match reason_against(parameter) {
            Some(reason) => {
                left_out.insert(url, reason);
            }
            None => {
                let mut taken = trimmed(parameter);
                correct(&url, &mut taken)?;
                kept.insert(url, taken);
            }
        }
    }
    for (url, _) in CORRECTED {
        ensure!(kept.contains_key(url), "{url} is to be corrected, but not there");
    }
    let bases: BTreeMap<&str, &str> = types
        .iter()
        .filter(|t| t.kind == "resource" && !t.is_abstract)
        .filter_map(|t| Some((t.name.as_str(), t.base.as_deref()?)))
        .collect();
    let lines = std::iter::once(json!({ "types": bases })).chain(kept.into_values()).collect();
    Ok(Parameters { lines, left_out })
}

fn reason_against(parameter: &Value) -> Option<&'static str> {
    if parameter["id"].as_str().is_some_and(|id| id.starts_with("example")) {
        Some("an example of the resource SearchParameter, not a parameter of the specification")
    } else if parameter.get("base").is_none() {
        Some("published without `base` and `expression`, so it applies to nothing")
    } else {
        None
    }
}

fn correct(url: &str, parameter: &mut Value) -> Result<()> {
    if let Some((_, path)) = CORRECTED.iter().find(|(of, _)| *of == url) {
        let published = parameter["expression"].as_str().context("a parameter without an expression")?;
        parameter["expression"] = format!("{published} | {path}").into();
    }
    Ok(())
}

fn trimmed(parameter: &Value) -> Value {
    let mut out = Map::new();
    for key in KEPT {
        if let Some(value) = parameter.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(out)
}
