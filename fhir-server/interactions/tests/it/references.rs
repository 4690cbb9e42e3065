//! References between the entries of a transaction: <https://hl7.org/fhir/R4/http.html#trules>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::app::{App, ids};
use crate::transaction::{entry, located, outcome, transaction};

#[tokio::test]
async fn references_are_resolved_wherever_they_stand() {
    let app = App::new().await;
    app.send(
        "PUT Practitioner/known",
        &json!({"resourceType": "Practitioner", "id": "known",
        "identifier": [{"system": "http://npi", "value": "1"}]}),
    )
    .await;
    let observation = json!({
        "resourceType": "Observation", "status": "final", "code": {"text": "c"},
        "subject": {"reference": "urn:uuid:p"},
        "performer": [{"reference": "Practitioner?identifier=http://npi|1"}, {"reference": "Practitioner?identifier=http%3A%2F%2Fnpi%7C2"}],
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:p"}],
        "instantiatesCanonical": null,
        "extension": [
            {"url": "http://x", "valueUri": "urn:uuid:p"},
            {"url": "http://x", "extension": [{"url": "y", "valueReference": {"reference": "urn:oid:1.2.3"}}]},
            {"url": "urn:uuid:p", "valueString": "urn:uuid:p"}
        ],
        "contained": [{"resourceType": "Provenance", "id": "c", "target": [{"reference": "urn:uuid:p"}], "recorded": "2020-01-01T00:00:00Z", "agent": [{"who": {"reference": "#x"}}]}],
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"urn:uuid:p\">urn:uuid:p</a></div>"},
        "focus": [{"reference": "Group/g"}, {"reference": "urn:uuid:unknown"}]
    });
    let mut observation = observation;
    observation.as_object_mut().unwrap().remove("instantiatesCanonical");
    let mut practitioner = entry(
        "POST",
        "Practitioner",
        "",
        json!({"resourceType": "Practitioner",
        "identifier": [{"system": "http://npi", "value": "2"}]}),
    );
    practitioner["request"]["ifNoneExist"] = json!("identifier=http://npi|2");
    let bundle = transaction(vec![
        entry("POST", "Observation", "http://old/fhir/Observation/7", observation),
        entry("POST", "Patient", "urn:uuid:p", json!({"resourceType": "Patient"})),
        entry("PUT", "Device/d", "urn:oid:1.2.3", json!({"resourceType": "Device", "id": "d"})),
        entry(
            "POST",
            "Group",
            "http://old/fhir/Group/g",
            json!({"resourceType": "Group", "type": "person", "actual": true}),
        ),
        practitioner,
    ]);
    let answer = app.send("POST ", &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(outcome(&answer.body), [201, 201, 201, 201, 201]);
    let (p, g, n) = (located(&answer.body, 1), located(&answer.body, 3), located(&answer.body, 4));
    let found = app.ask(&format!("GET {}", located(&answer.body, 0))).await.body;
    assert_eq!(found["subject"]["reference"], p);
    assert_eq!(found["performer"][0]["reference"], "Practitioner/known");
    assert_eq!(found["performer"][1]["reference"], n);
    assert_eq!(found["identifier"][0]["value"], "urn:uuid:p", "an identifier is not a link");
    assert_eq!(found["extension"][0]["valueUri"], p);
    assert_eq!(found["extension"][1]["extension"][0]["valueReference"]["reference"], "Device/d");
    assert_eq!(found["extension"][2]["valueString"], "urn:uuid:p");
    assert_eq!(found["contained"][0]["target"][0]["reference"], p);
    let div = found["text"]["div"].as_str().unwrap();
    assert!(div.contains(&format!("<a href=\"{p}\">urn:uuid:p</a>")), "{div}");
    assert_eq!(found["focus"][0]["reference"], g);
    assert_eq!(found["focus"][1]["reference"], "urn:uuid:unknown");
    // They are indexed as resolved.
    assert_eq!(app.found(&format!("Observation?subject={p}")).await, found["id"].as_str().unwrap());
}

#[tokio::test]
async fn references_in_patches_are_resolved() {
    let app = App::new().await;
    for id in ["json", "fhirpath"] {
        let patient = json!({"resourceType": "Patient", "id": id, "active": true,
            "link": [{"type": "seealso", "other": {"reference": "Patient/x"}}]});
        app.send(&format!("PUT Patient/{id}"), &patient).await;
    }
    let known = json!({"resourceType": "Practitioner", "id": "known", "identifier": [{"value": "1"}]});
    app.send("PUT Practitioner/known", &known).await;
    let operations = json!([
        {"op": "add", "path": "/managingOrganization", "value": {"reference": "urn:uuid:o"}},
        {"op": "add", "path": "/generalPractitioner", "value": [{"reference": "Practitioner?identifier=1"}]},
        {"op": "replace", "path": "/link/0/other/reference", "value": "urn:uuid:o"},
        {"op": "add", "path": "/extension", "value": [{"url": "urn:uuid:o", "valueUri": "urn:uuid:o"}]},
        {"op": "add", "path": "/identifier", "value": [{"system": "urn:uuid:z", "value": "urn:uuid:o"}]},
        {"op": "add", "path": "/text", "value": {"status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"urn:uuid:o\">o</a></div>"}}
    ]);
    let binary = json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": STANDARD.encode(operations.to_string())});
    let part = |name: &str, key: &str, value: Value| json!({"name": name, key: value});
    let operation = |kind: &str, path: &str, rest: Vec<Value>| {
        let mut parts =
            vec![part("type", "valueCode", json!(kind)), part("path", "valueString", json!(path))];
        parts.extend(rest);
        json!({"name": "operation", "part": parts})
    };
    let add = |name: &str, value: Value| {
        operation("add", "Patient", vec![part("name", "valueString", json!(name)), value])
    };
    let extension = part("value", "valueExtension", json!({"url": "urn:uuid:o", "valueUri": "urn:uuid:o"}));
    let parts = [part("url", "valueUri", json!("http://x")), part("value", "valueUri", json!("urn:uuid:o"))];
    let in_parts = json!({"name": "value", "part": parts});
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        add("managingOrganization", part("value", "valueReference", json!({"reference": "urn:uuid:o"}))),
        add("generalPractitioner",
            json!({"name": "value", "part": [part("reference", "valueString", json!("Practitioner?identifier=1"))]})),
        operation("replace", "Patient.link[0].other.reference", vec![part("value", "valueString", json!("urn:uuid:o"))]),
        add("extension", extension),
        add("extension", in_parts),
        add("identifier", part("value", "valueIdentifier", json!({"system": "urn:uuid:z", "value": "urn:uuid:o"}))),
    ]});
    let organization = json!({"resourceType": "Organization", "name": "o"});
    let bundle = transaction(vec![
        entry("PATCH", "Patient/json", "", binary),
        entry("PATCH", "Patient/fhirpath", "urn:uuid:f", parameters),
        entry("POST", "Organization", "urn:uuid:o", organization),
    ]);
    let answer = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&answer), [200, 200, 201], "{answer}");
    let o = located(&answer, 2);
    for id in ["json", "fhirpath"] {
        let found = app.ask(&format!("GET Patient/{id}")).await.body;
        assert_eq!(found["managingOrganization"]["reference"], o, "{found}");
        assert_eq!(found["generalPractitioner"][0]["reference"], "Practitioner/known", "{found}");
        assert_eq!(found["link"][0]["other"]["reference"], o, "{found}");
        for extension in found["extension"].as_array().unwrap() {
            assert_eq!(extension["valueUri"], o, "{found}");
        }
        assert_eq!(found["identifier"][0]["value"], "urn:uuid:o", "an identifier is not a link");
        assert_eq!(found["active"], true);
    }
    let div = app.ask("GET Patient/json").await.body["text"]["div"].as_str().unwrap().to_owned();
    assert!(div.contains(&format!("<a href=\"{o}\">o</a>")), "{div}");
    assert_eq!(app.found(&format!("Patient?organization={o}&_sort=_id")).await, "fhirpath json");

    // What a patch refers to and is not there fails the whole, and is found.
    let lost = json!([{"op": "add", "path": "/link/0/other/reference", "value": "Patient?identifier=none"}]);
    let binary = json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": STANDARD.encode(lost.to_string())});
    let answer = app.send("POST ", &transaction(vec![entry("PATCH", "Patient/json", "", binary)])).await;
    assert_eq!(answer.status, 412, "{}", answer.body);
    assert_eq!(answer.body["issue"][0]["expression"], json!(["Bundle.entry[0].resource"]));
}

#[tokio::test]
async fn references_to_versions_mean_the_version_that_is_written() {
    let app = App::new().await;
    app.send("PUT Device/d", &json!({"resourceType": "Device", "id": "d"})).await;
    let focus: Vec<Value> = [
        "urn:uuid:p/_history/1",
        "Group/g/_history/4",
        "Group/g/_history/3",
        "urn:oid:1.2.3/_history/1",
        "Device/d/_history/1",
        "urn:uuid:p#part",
    ]
    .iter()
    .map(|reference| json!({"reference": reference}))
    .collect();
    let observation =
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}, "focus": focus});
    let group =
        json!({"resourceType": "Group", "type": "person", "actual": true, "meta": {"versionId": "4"}});
    let bundle = transaction(vec![
        entry("POST", "Observation", "http://old/fhir/Observation/7", observation),
        entry("POST", "Patient", "urn:uuid:p", json!({"resourceType": "Patient"})),
        entry("POST", "Group", "http://old/fhir/Group/g", group),
        entry("PUT", "Device/d", "urn:oid:1.2.3", json!({"resourceType": "Device", "id": "d"})),
    ]);
    let answer = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&answer), [201, 201, 201, 200], "{answer}");
    let (p, g) = (located(&answer, 1), located(&answer, 2));
    let found = app.ask(&format!("GET {}", located(&answer, 0))).await.body;
    let found: Vec<&str> =
        found["focus"].as_array().unwrap().iter().map(|f| f["reference"].as_str().unwrap()).collect();
    let wanted = [
        format!("{p}/_history/1"),
        format!("{g}/_history/1"),
        // Not the version that is sent.
        "Group/g/_history/3".to_owned(),
        "Device/d/_history/2".to_owned(),
        // A version that this server has.
        "Device/d/_history/1".to_owned(),
        format!("{p}#part"),
    ];
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn full_urls_that_disagree_are_refused() {
    let app = App::new().await;
    let device = || json!({"resourceType": "Device", "id": "d"});
    for full_url in ["http://old/fhir/Device/e", "http://old/fhir/Device/d/_history/1"] {
        let mut bundle = transaction(vec![entry("PUT", "Device/d", full_url, device())]);
        let answer = app.send("POST ", &bundle).await;
        assert_eq!(answer.status, 400, "{full_url}");
        assert_eq!(answer.body["issue"][0]["expression"], json!(["Bundle.entry[0].fullUrl"]));
        bundle["type"] = json!("batch");
        assert_eq!(outcome(&app.send("POST ", &bundle).await.body), [400], "{full_url}");
    }
    assert_eq!(app.ask("GET Device/d").await.status, 404);
}

#[tokio::test]
async fn searches_by_post_have_their_parameters_in_the_body() {
    let app = App::new().await;
    for (id, gender) in [("a", "male"), ("b", "female"), ("c", "male")] {
        let patient = json!({"resourceType": "Patient", "id": id, "gender": gender, "active": id == "a"});
        app.send(&format!("PUT Patient/{id}"), &patient).await;
    }
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "gender", "valueCode": "male"}, {"name": "active", "valueBoolean": true}]});
    let binary = json!({"resourceType": "Binary", "contentType": "application/x-www-form-urlencoded",
        "data": STANDARD.encode("gender=male&_sort=-_id")});
    let rows = [
        ("Patient/_search", parameters.clone(), "a"),
        ("Patient/_search?_sort=-_id", binary, "c a"),
        ("Patient/_search?gender=female", Value::Null, "b"),
        ("_search?_type=Patient", parameters, "a"),
    ];
    let wrong = [
        (json!({"resourceType": "Patient", "gender": "male"}), 415, "resource"),
        (
            json!({"resourceType": "Binary", "contentType": "text/plain", "data": "Z2VuZGVyPW1hbGU="}),
            415,
            "resource",
        ),
        (
            json!({"resourceType": "Parameters", "parameter": [{"name": "gender"}]}),
            400,
            "resource.parameter[0]",
        ),
    ];
    for kind in ["batch", "transaction"] {
        let entries = rows.iter().map(|(url, body, _)| entry("POST", url, "", body.clone())).collect();
        let mut bundle = transaction(entries);
        bundle["type"] = json!(kind);
        let answer = app.send("POST ", &bundle).await.body;
        for (at, (url, _, wanted)) in rows.iter().enumerate() {
            assert_eq!(ids(&answer["entry"][at]["resource"]), *wanted, "{kind} {url}: {answer}");
        }
        for (body, status, place) in &wrong {
            let mut bundle = transaction(vec![entry("POST", "Patient/_search", "", body.clone())]);
            bundle["type"] = json!(kind);
            let answer = app.send("POST ", &bundle).await;
            let (found, outcome) = match kind {
                "batch" => (outcome(&answer.body)[0], &answer.body["entry"][0]["response"]["outcome"]),
                _ => (answer.status, &answer.body),
            };
            // The transaction itself came in the right format.
            let status = if kind == "transaction" { 400 } else { *status };
            assert_eq!(found, status, "{kind} {body}: {}", answer.body);
            assert_eq!(
                outcome["issue"][0]["expression"],
                json!([format!("Bundle.entry[0].{place}")]),
                "{kind}"
            );
        }
    }
}
