//! capabilities: <https://hl7.org/fhir/R4/http.html#capabilities>

use std::io::Read;

use fhir_interactions::handle;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::app::{App, BASE, request};

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
    for name in ["_id", "_lastUpdated", "_tag", "_profile", "_security", "_filter", "_has", "_list", "_type"]
    {
        assert!(common.iter().any(|p| p["name"] == name), "{name}");
    }
    // There is no index of words here.
    assert!(common.iter().all(|p| p["name"] != "_text" && p["name"] != "_content"));
}

/// A value that a parameter of this type takes.
fn value_of(kind: &str, name: &str) -> &'static str {
    match kind {
        "number" | "quantity" => "5",
        "date" => "2020-01-01",
        "reference" => "Patient/1",
        "special" if name == "near" => "42.3|-83.1",
        "special" if name == "_filter" => "_id eq x",
        "token" => "true",
        _ => "x",
    }
}

#[tokio::test]
async fn every_stated_parameter_can_be_searched() {
    let app = App::new().await;
    let statement = app.ask("GET metadata?mode=full").await.body;
    let rest = &statement["rest"][0];
    let common = rest["searchParam"].as_array().unwrap();
    for resource in rest["resource"].as_array().unwrap() {
        let type_name = resource["type"].as_str().unwrap();
        let own = resource["searchParam"].as_array().cloned().unwrap_or_default();
        let this = app.cx.registry.for_type(type_name).unwrap();
        for parameter in own.iter().chain(if type_name == "Patient" { common.as_slice() } else { &[] }) {
            let name = parameter["name"].as_str().unwrap();
            assert!(parameter["documentation"].as_str().is_some_and(|d| !d.is_empty()), "{type_name} {name}");
            let parameters = app.cx.registry.parameters();
            let value = match parameter["type"].as_str().unwrap() {
                "composite" => {
                    let components = &parameters.get(type_name, name).unwrap().components;
                    let parts = components.iter().map(|part| parameters.by_url(&part.definition).unwrap());
                    parts.map(|part| value_of(part.kind.as_str(), &part.code)).collect::<Vec<_>>().join("$")
                }
                kind => value_of(kind, name).to_owned(),
            };
            let line = format!("GET {type_name}?{name}={value}&_count=1 | Prefer: handling=strict");
            // Of whom something has it, or what types are searched, is part of the name or of the path.
            if matches!(name, "_has" | "_type") {
                continue;
            }
            let answer = app.ask(&line).await;
            assert_eq!(answer.status, 200, "{line}: {}", answer.body);
            if this.param(name).is_some() {
                let line = format!("GET {type_name}?{name}:missing=true&_count=1 | Prefer: handling=strict");
                let answer = app.ask(&line).await;
                assert_eq!(answer.status, 200, "{line}: {}", answer.body);
            }
        }
    }
}

/// All modifiers there are, with a value that they take.
const MODIFIERS: &[(&str, &str)] = &[
    ("missing", "true"),
    ("exact", "x"),
    ("contains", "x"),
    ("not", "true"),
    ("text", "x"),
    ("in", "http://x"),
    ("not-in", "http://x"),
    ("above", "http://x|1"),
    ("below", "http://x|1"),
    ("identifier", "s|x"),
    ("of-type", "s|c|x"),
    ("iterate", "x"),
];

#[tokio::test]
async fn every_stated_modifier_is_taken_and_no_other() {
    let app = App::new().await;
    let statement = app.ask("GET metadata?mode=full").await.body;
    let rest = &statement["rest"][0];
    let common = rest["searchParam"].as_array().unwrap();
    let mut taken = 0;
    for resource in rest["resource"].as_array().unwrap() {
        let type_name = resource["type"].as_str().unwrap();
        let own = resource["searchParam"].as_array().cloned().unwrap_or_default();
        for parameter in own.iter().chain(if type_name == "Patient" { common.as_slice() } else { &[] }) {
            let name = parameter["name"].as_str().unwrap();
            // The rest of its name is the parameter of another type.
            if name == "_has" || name == "_type" {
                continue;
            }
            let text = parameter["documentation"].as_str().unwrap();
            let stated = text.rsplit_once(" Modifiers: ").map_or("", |(_, list)| list);
            for (modifier, value) in MODIFIERS {
                let asked = format!("{type_name}?{name}:{modifier}={value}");
                let read = app.parse(&asked);
                match stated.contains(&format!("`:{modifier}`")) {
                    true => {
                        read.unwrap_or_else(|e| panic!("{asked}: {e}"));
                        taken += 1;
                    }
                    false => {
                        let refused = read.expect_err(&asked);
                        assert_eq!(refused.kind.status(), 400, "{asked}");
                        assert!(refused.text.contains(&format!("`:{modifier}`")), "{asked}: {refused}");
                    }
                }
            }
        }
    }
    assert!(taken > 5000, "{taken}");
}

#[tokio::test]
async fn every_stated_include_is_taken() {
    let app = App::new().await;
    let statement = app.ask("GET metadata").await.body;
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        let type_name = resource["type"].as_str().unwrap();
        for (list, name) in [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")] {
            for value in resource[list].as_array().into_iter().flatten() {
                for modifier in ["", ":iterate"] {
                    let asked = format!("{type_name}?{name}{modifier}={}", value.as_str().unwrap());
                    app.parse(&asked).unwrap_or_else(|e| panic!("{asked}: {e}"));
                }
            }
        }
    }
}

/// Every client fetches it at its start, so it must not be large; and it is packed once, not for each of them.
#[tokio::test]
async fn the_statement_is_brief_and_packed_beforehand() {
    let app = App::new().await;
    let reply = handle(&app.cx, request("GET metadata", None).unwrap()).await.unwrap();
    let (text, packed) = (reply.body.unwrap(), reply.packed.unwrap());
    assert!(text.len() < 320_000, "{} bytes", text.len());
    assert!(packed.len() < 32_000, "{} bytes packed", packed.len());
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == text, "the packed statement is another");
    // The same bytes for the next one, not a copy of them.
    let again = handle(&app.cx, request("GET metadata", None).unwrap()).await.unwrap();
    assert_eq!(again.packed.unwrap().as_ptr(), packed.as_ptr());
    assert_eq!(again.body.unwrap().as_ptr(), text.as_ptr());

    let brief: Value = serde_json::from_slice(&text).unwrap();
    let mut full = app.ask("GET metadata?mode=full").await.body;
    let rest = &mut full["rest"][0];
    rest["documentation"] = brief["rest"][0]["documentation"].clone();
    let lists = rest["resource"].as_array_mut().unwrap().iter_mut().map(|r| r["searchParam"].take());
    let lists: Vec<Value> = lists.collect();
    assert!(lists.iter().filter_map(Value::as_array).flatten().all(|p| p["documentation"].is_string()));
    let named = |list: &Value| -> Vec<Value> {
        let all = list.as_array().into_iter().flatten();
        all.map(|p| json!([p["name"], p["type"]])).collect()
    };
    let briefly = brief["rest"][0]["resource"].as_array().unwrap();
    for (full, brief) in lists.iter().zip(briefly) {
        assert_eq!(named(full), named(&brief["searchParam"]));
        // A definition whose url follows from type and name goes without saying.
        let urls = |list: &Value| -> Vec<Value> {
            list.as_array().into_iter().flatten().map(|p| p["definition"].clone()).collect()
        };
        assert!(urls(full).iter().all(Value::is_string));
        let said = urls(&brief["searchParam"]);
        assert!(urls(full).iter().zip(&said).all(|(full, said)| said.is_null() || full == said));
        let mut params = brief["searchParam"].as_array().into_iter().flatten();
        assert!(params.all(|p| p["documentation"].is_null()));
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
    assert_eq!(app.ask("GET metadata?moed=full").await.status, 200);
    let strict = app.ask("GET metadata?moed=full | Prefer: handling=strict").await;
    assert_eq!((strict.status, &strict.body["issue"][0]["expression"][0]), (400, &json!("moed")));
}
