//! batch: <https://hl7.org/fhir/R4/http.html#transaction>

use fhir_interactions::RequestLimits;
use serde_json::{Value, json};

use crate::app::App;

fn entry(method: &str, url: &str, resource: Option<Value>) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if let Some(resource) = resource {
        entry["resource"] = resource;
    }
    entry
}

fn statuses(bundle: &Value) -> Vec<u16> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let status =
        |e: &Value| e["response"]["status"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    entries.iter().map(status).collect()
}

#[tokio::test]
async fn entries_are_independent() {
    let app = App::new().await;
    app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a", "gender": "male"})).await;
    let patient = |id: &str| Some(json!({"resourceType": "Patient", "id": id}));
    let mut conditional = entry("POST", "Patient", Some(json!({"resourceType": "Patient", "active": true})));
    conditional["request"]["ifNoneExist"] = json!("_id=a");
    let mut stale = entry("PUT", "Patient/a", patient("a"));
    stale["request"]["ifMatch"] = json!("W/\"9\"");
    let mut known = entry("GET", "Patient/a", None);
    known["request"]["ifNoneMatch"] = json!("W/\"1\"");
    let binary = json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": "W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL25vdGhpbmcifV0="});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        entry("GET", "Patient/a", None),
        entry("GET", "Patient/never", None),
        entry("POST", "Patient", Some(json!({"resourceType": "Patient"}))),
        entry("POST", "Patient", Some(json!({"resourceType": "Observation"}))),
        entry("PUT", "Patient/b", patient("b")),
        entry("DELETE", "Patient/never", None),
        entry("GET", "Patient?_id=a", None),
        entry("GET", "http://test/fhir/Patient/a", None),
        entry("GET", "http://elsewhere/fhir/Patient/a", None),
        entry("PATCH", "Patient/a", Some(binary)),
        conditional,
        stale,
        known,
        entry("POST", "", Some(json!({"resourceType": "Bundle", "type": "batch"}))),
        json!({"resource": {"resourceType": "Patient"}}),
        entry("DANCE", "Patient", None),
        entry("GET", "metadata", None),
    ]});
    let answer = app.send("POST ", &batch).await;
    assert_eq!((answer.status, answer.body["type"].clone()), (200, json!("batch-response")));
    let wanted = [200, 404, 201, 400, 201, 204, 200, 200, 400, 422, 200, 412, 304, 400, 400, 400, 200];
    assert_eq!(statuses(&answer.body), wanted, "{}", answer.body);
    let entries = &answer.body["entry"];
    assert_eq!(entries[0]["resource"]["gender"], "male");
    assert_eq!(entries[0]["fullUrl"], "http://test/fhir/Patient/a");
    assert_eq!(entries[1]["response"]["outcome"]["resourceType"], "OperationOutcome");
    assert!(entries[2]["response"]["location"].as_str().unwrap().starts_with("Patient/"));
    assert!(entries[2]["resource"].is_null());
    assert_eq!(entries[4]["response"]["etag"], "W/\"1\"");
    assert_eq!(entries[6]["resource"]["type"], "searchset");
    assert_eq!(app.ask("GET Patient/b").await.status, 200);
}

/// What is asked of a batch does not depend on how many of its entries run at the same time.
#[tokio::test]
async fn entries_run_in_the_order_of_the_specification() {
    let app = App::new().await;
    let patient = |id: &str, n: usize| {
        Some(json!({"resourceType": "Patient", "id": id, "identifier": [{"value": format!("{id}-{n}")}]}))
    };
    let birth =
        |day: usize| json!([{"op": "add", "path": "/birthDate", "value": format!("2020-01-{day:02}")}]);
    use base64::Engine;
    let patch = |day: usize| {
        let data = base64::engine::general_purpose::STANDARD.encode(birth(day).to_string());
        Some(json!({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}))
    };
    for round in 10..25 {
        let fresh = format!("fresh-{round}");
        let mut create = entry(
            "POST",
            "Patient",
            Some(json!({"resourceType": "Patient", "identifier": [{"value": fresh}]})),
        );
        let mut again = create.clone();
        again["request"]["ifNoneExist"] = json!(format!("identifier={fresh}"));
        create["request"]["ifNoneExist"] = json!(format!("identifier={fresh}"));
        let by_criteria = |gender: &str| {
            let patient = json!({"resourceType": "Patient", "gender": gender, "identifier": [{"value": "by-criteria"}]});
            entry("PUT", "Patient?identifier=by-criteria", Some(patient))
        };
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
            entry("GET", "Patient/a", None),
            entry("GET", &format!("Patient?identifier={fresh}"), None),
            entry("PUT", "Patient/a", patient("a", 1)),
            entry("HEAD", "Patient/gone", None),
            entry("PUT", "Patient/a", patient("a", round)),
            entry("PATCH", "Patient/a", patch(round)),
            create,
            again,
            entry("PUT", "Patient/gone", patient("gone", 1)),
            entry("DELETE", "Patient/gone", None),
            by_criteria("male"),
            by_criteria("female"),
            entry("GET", "Patient?identifier=by-criteria", None),
        ]});
        let answer = app.send("POST ", &batch).await.body;
        let found = statuses(&answer);
        assert_eq!(found[..4], [200, 200, if round == 10 { 201 } else { 200 }, 200], "{answer}");
        assert_eq!((found[6], found[7], found[11]), (201, 200, 200), "{answer}");
        let read = &answer["entry"][0]["resource"];
        assert_eq!(read["identifier"][0]["value"], format!("a-{round}"));
        assert_eq!(read["birthDate"], format!("2020-01-{round}"));
        assert_eq!(answer["entry"][1]["resource"]["entry"].as_array().unwrap().len(), 1, "{answer}");
        assert_eq!(answer["entry"][12]["resource"]["entry"][0]["resource"]["gender"], "female");
        assert_eq!(app.ask("GET Patient/gone").await.status, 200);
    }
}

#[tokio::test]
async fn what_is_accepted_says_so() {
    // Whatever an entry is answered, it has HTTP's own phrase.
    let app = App::new().await;
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        entry("GET", "Patient/never", None), entry("PUT", "Patient", None), entry("GET", "Patient?birthdate=x", None)]});
    let answer = app.send("POST ", &batch).await.body;
    let phrases: Vec<&str> = answer["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["response"]["status"].as_str().unwrap())
        .collect();
    assert_eq!(phrases, ["404 Not Found", "400 Bad Request", "400 Bad Request"]);
}

#[tokio::test]
async fn the_client_chooses_what_it_hears() {
    let app = App::new().await;
    let batch = json!({"resourceType": "Bundle", "type": "batch",
        "entry": [entry("POST", "Patient", Some(json!({"resourceType": "Patient"})))]});
    let whole = app.send("POST  | Prefer: return=representation", &batch).await.body;
    assert_eq!(whole["entry"][0]["resource"]["resourceType"], "Patient");
    let told = app.send("POST  | Prefer: return=OperationOutcome", &batch).await.body;
    assert_eq!(told["entry"][0]["response"]["outcome"]["resourceType"], "OperationOutcome");
    assert!(told["entry"][0]["resource"].is_null());
}

#[tokio::test]
async fn not_every_bundle_is_processed() {
    let app =
        App::with(Default::default(), RequestLimits { entries_max: 2, ..RequestLimits::default() }).await;
    let of = |kind: &str, n: usize| {
        let entries: Vec<Value> = (0..n).map(|_| entry("GET", "Patient", None)).collect();
        json!({"resourceType": "Bundle", "type": kind, "entry": entries})
    };
    for (body, status) in [
        (of("batch", 2), 200),
        (of("batch", 3), 413),
        (of("transaction", 3), 413),
        (of("collection", 1), 400),
        (of("history", 2), 200),
        (of("history", 3), 413),
        (json!({"resourceType": "Bundle"}), 400),
        (json!({"resourceType": "Bundle", "type": "batch"}), 200),
        (json!({"resourceType": "Bundle", "type": "transaction"}), 200),
        (json!({"resourceType": "Patient"}), 400),
    ] {
        assert_eq!(app.send("POST ", &body).await.status, status, "{body}");
    }
}
