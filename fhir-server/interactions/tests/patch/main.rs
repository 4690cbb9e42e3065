//! FHIRPath Patch: the public cases, and what they leave out.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod cases;
mod made;
mod refused;

use fhir_interactions::patch::fhirpath_patch;
use fhir_model::Result;
use fhir_model::json::{Doc, JsonLimits};
use fhir_profiles::Definitions;
use serde_json::{Value, json};

fn doc(value: &Value) -> Doc {
    Doc::parse(value.to_string(), JsonLimits::default()).unwrap()
}

fn patch(current: &Value, parameters: &Value, types: &Definitions) -> Result<Value> {
    let text = fhirpath_patch(&doc(current), &doc(parameters), types)?;
    Ok(serde_json::from_str(&text).unwrap())
}

fn patient() -> Value {
    json!({
        "resourceType": "Patient",
        "id": "1",
        "contained": [{ "resourceType": "Organization", "id": "o", "name": "O" }],
        "extension": [{ "url": "e1", "valueDecimal": serde_json::from_str::<Value>("1.50E-10").unwrap() }],
        "active": true,
        "name": [
            { "family": "A", "given": ["x", "y"], "_given": [null, { "id": "gy" }] },
            { "use": "usual", "text": "B" }
        ],
        "birthDate": "2000",
        "_birthDate": { "extension": [{ "url": "e2", "valueString": "s" }] },
        "deceasedBoolean": false,
        "contact": [{ "gender": "male" }]
    })
}

/// `type`, `path`, further parts as JSON.
fn operation(kind: &str, path: &str, parts: &[Value]) -> Value {
    let mut all =
        vec![json!({ "name": "type", "valueCode": kind }), json!({ "name": "path", "valueString": path })];
    all.extend_from_slice(parts);
    json!({ "name": "operation", "part": all })
}

fn parameters(operations: &[Value]) -> Value {
    json!({ "resourceType": "Parameters", "parameter": operations })
}

fn name(name: &str) -> Value {
    json!({ "name": "name", "valueString": name })
}

fn number(part: &str, number: i64) -> Value {
    json!({ "name": part, "valueInteger": number })
}

fn value(key: &str, value: Value) -> Value {
    let mut part = json!({ "name": "value" });
    part[key] = value;
    part
}
