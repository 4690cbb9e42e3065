//! CompartmentDefinitions: <https://hl7.org/fhir/R4/compartmentdefinition.html>

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
struct Compartment<'a> {
    code: &'a str,
    url: &'a str,
    /// Resource types that can be in the compartment, with the parameters that put them there.
    resource: BTreeMap<&'a str, Vec<&'a str>>,
}

/// The five compartments as pretty JSON, by code.
pub(crate) fn compartments(spec: &[Value]) -> Result<Vec<u8>> {
    let mut all = BTreeMap::new();
    for definition in spec.iter().filter(|r| r["resourceType"] == "CompartmentDefinition") {
        // The example of the resource CompartmentDefinition is no compartment of FHIR.
        if definition["id"] == "example" {
            continue;
        }
        let compartment = read(definition).context("a CompartmentDefinition without a code or url")?;
        all.insert(compartment.code, compartment);
    }
    let mut text = serde_json::to_vec_pretty(&all.into_values().collect::<Vec<_>>())?;
    text.push(b'\n');
    Ok(text)
}

fn read(definition: &Value) -> Option<Compartment<'_>> {
    let mut resource = BTreeMap::new();
    for row in definition["resource"].as_array()? {
        let params: Vec<&str> =
            row["param"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !params.is_empty() {
            resource.insert(row["code"].as_str()?, params);
        }
    }
    Some(Compartment { code: definition["code"].as_str()?, url: definition["url"].as_str()?, resource })
}
