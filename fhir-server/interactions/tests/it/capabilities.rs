//! capabilities: <https://hl7.org/fhir/R4/http.html#capabilities>

use serde_json::json;

use crate::app::{App, BASE};

#[tokio::test]
async fn the_statement_says_what_works() {
    let app = App::new().await;
    let statement = app.ask("GET metadata").await.body;
    assert_eq!(statement["resourceType"], "CapabilityStatement");
    assert_eq!(statement["fhirVersion"], "4.0.1");
    assert_eq!(statement["implementation"]["url"], BASE);
    let rest = &statement["rest"][0];
    let resources = rest["resource"].as_array().unwrap();
    assert_eq!(resources.len(), app.cx.definitions.resource_types().len());
    let patient = resources.iter().find(|r| r["type"] == "Patient").unwrap();
    assert!(patient["searchInclude"].as_array().unwrap().contains(&json!("Patient:organization")));
    assert!(patient["searchRevInclude"].as_array().unwrap().contains(&json!("Observation:subject")));
    let common = rest["searchParam"].as_array().unwrap();
    for name in ["_id", "_lastUpdated", "_tag", "_profile", "_security"] {
        assert!(common.iter().any(|p| p["name"] == name), "{name}");
    }
}

#[tokio::test]
async fn every_stated_parameter_can_be_searched() {
    let app = App::new().await;
    let statement = app.ask("GET metadata").await.body;
    let rest = &statement["rest"][0];
    let common = rest["searchParam"].as_array().unwrap();
    for resource in rest["resource"].as_array().unwrap() {
        let type_name = resource["type"].as_str().unwrap();
        let own = resource["searchParam"].as_array().cloned().unwrap_or_default();
        for parameter in own.iter().chain(if type_name == "Patient" { common.as_slice() } else { &[] }) {
            let name = parameter["name"].as_str().unwrap();
            assert!(parameter["documentation"].as_str().is_some_and(|d| !d.is_empty()), "{type_name} {name}");
            let value = match parameter["type"].as_str().unwrap() {
                "number" | "quantity" => "5",
                "date" => "2020-01-01",
                "reference" => "Patient/1",
                _ => "x",
            };
            let line = format!("GET {type_name}?{name}={value}&_count=1 | Prefer: handling=strict");
            // A reference parameter may not point at Patients; that it is refused for that shows that it is known.
            let answer = app.ask(&line).await;
            assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn statements_have_modes() {
    let app = App::new().await;
    let normative = app.ask("GET metadata?mode=normative").await.body;
    let types = normative["rest"][0]["resource"].as_array().unwrap();
    assert!(types.iter().any(|r| r["type"] == "Patient") && types.iter().all(|r| r["type"] != "Encounter"));
    assert_eq!(
        app.ask("GET metadata?mode=terminology").await.body["resourceType"],
        "TerminologyCapabilities"
    );
    assert_eq!(app.ask("GET metadata?mode=x").await.status, 400);
}
