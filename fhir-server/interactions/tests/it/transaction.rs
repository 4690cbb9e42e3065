//! transaction: <https://hl7.org/fhir/R4/http.html#trules>

use serde_json::{Value, json};

use crate::app::{App, ids};

pub(crate) fn transaction(entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

pub(crate) fn entry(method: &str, url: &str, full_url: &str, resource: Value) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if !full_url.is_empty() {
        entry["fullUrl"] = json!(full_url);
    }
    if !resource.is_null() {
        entry["resource"] = resource;
    }
    entry
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id})
}

/// `201 Patient/x`: status and what is located, per entry.
pub(crate) fn outcome(bundle: &Value) -> Vec<u16> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let status =
        |e: &Value| e["response"]["status"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    entries.iter().map(status).collect()
}

pub(crate) fn located(bundle: &Value, at: usize) -> String {
    let location = bundle["entry"][at]["response"]["location"].as_str().unwrap();
    location.split("/_history").next().unwrap().to_owned()
}

#[tokio::test]
async fn order_is_that_of_the_specification() {
    let app = App::new().await;
    app.send("PUT Patient/old", &json!({"resourceType": "Patient", "id": "old", "gender": "male"})).await;
    let mut create = entry("POST", "Patient", "", json!({"resourceType": "Patient", "gender": "male"}));
    create["request"]["ifNoneExist"] = json!("gender=male");
    let bundle = transaction(vec![
        entry("GET", "Patient?_sort=_id", "", Value::Null),
        entry("PUT", "Patient/new", "", patient("new")),
        create,
        entry("DELETE", "Patient/old", "", Value::Null),
        entry("GET", "Patient/new", "", Value::Null),
    ]);
    let answer = app.send("POST ", &bundle).await.body;
    // The create does not find what is deleted; the reads see everything that was written.
    assert_eq!(outcome(&answer), [200, 201, 201, 204, 200], "{answer}");
    assert!(ids(&answer["entry"][0]["resource"]).ends_with("new"));
    assert_eq!(answer["entry"][4]["resource"]["id"], "new");
}

#[tokio::test]
async fn reads_answer_or_fail_the_whole() {
    let app = App::new().await;
    app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a", "gender": "male"})).await;
    app.send("PUT Patient/gone", &patient("gone")).await;
    app.ask("DELETE Patient/gone").await;
    app.send("PUT Patient/b", &patient("b")).await;
    let get = |url: &str| entry("GET", url, "", Value::Null);
    let write =
        || entry("PUT", "Patient/a", "", json!({"resourceType": "Patient", "id": "a", "gender": "female"}));
    for (url, status, at) in [
        ("Patient/never", 404, ""),
        ("Patient/gone", 410, ""),
        ("Patient/a/_history/3", 404, ""),
        ("Patient/never/_history", 404, ""),
        // It is deleted here.
        ("Patient/b", 410, ""),
        ("Patient?birthdate=half", 400, ".request.url"),
        ("?_type=Patient,Nonsense", 400, ".request.url"),
        ("Patient/a/Location", 404, ""),
        ("_history?_since=half", 400, ".request.url"),
        ("Patient/_history?_count=x", 400, ".request.url"),
        ("Patient/a/$nonsense", 404, ""),
    ] {
        let bundle = transaction(vec![write(), entry("DELETE", "Patient/b", "", Value::Null), get(url)]);
        let answer = app.send("POST ", &bundle).await;
        assert_eq!(answer.status, status, "{url}: {}", answer.body);
        let expression = &answer.body["issue"][0]["expression"];
        assert_eq!(*expression, json!([format!("Bundle.entry[2]{at}")]), "{url}: {}", answer.body);
        assert_eq!(app.ask("GET Patient/a").await.version, Some(1), "{url}");
        assert_eq!(app.ask("GET Patient/b").await.status, 200, "{url}");
    }
    let mut known = get("Patient/b");
    known["request"]["ifNoneMatch"] = json!("W/\"1\"");
    let mut written = get("Patient/a");
    written["request"]["ifNoneMatch"] = json!("W/\"2\"");
    let bundle = transaction(vec![
        get("Patient/a"),
        get("Patient/a?_elements=active"),
        get("Patient/a/_history/1"),
        get("Patient/a/_history/2"),
        get("Patient/a/_history"),
        get("Patient?gender=female"),
        get("metadata"),
        known,
        written,
        write(),
    ]);
    let answer = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&answer), [200, 200, 200, 200, 200, 200, 200, 304, 304, 200], "{answer}");
    let resource = |at: usize| answer["entry"][at]["resource"].clone();
    assert_eq!(resource(0), app.ask("GET Patient/a").await.body);
    assert_eq!(answer["entry"][0]["response"]["etag"], "W/\"2\"");
    assert_eq!((resource(1)["id"].clone(), resource(1)["gender"].clone()), (json!("a"), Value::Null));
    assert_eq!(
        (resource(2)["gender"].clone(), resource(3)["gender"].clone()),
        (json!("male"), json!("female"))
    );
    assert_eq!(resource(4)["entry"].as_array().unwrap().len(), 2);
    assert_eq!(ids(&resource(5)), "a");
    assert_eq!(resource(6)["resourceType"], "CapabilityStatement");
}

#[tokio::test]
async fn head_is_told_all_but_the_resource() {
    let app = App::new().await;
    app.send("PUT Patient/a", &patient("a")).await;
    for kind in ["transaction", "batch"] {
        let mut bundle = transaction(vec![entry("HEAD", "Patient/a", "", Value::Null)]);
        bundle["type"] = json!(kind);
        let answer = app.send("POST ", &bundle).await.body;
        assert_eq!(answer["entry"][0]["response"]["etag"], "W/\"1\"", "{answer}");
        assert!(answer["entry"][0]["resource"].is_null(), "{answer}");
    }
}

/// Lenient clients get a transaction that is done, strict ones the same error as outside of one, and nothing is done.
#[tokio::test]
async fn strict_handling_is_that_of_each_entry() {
    let app = App::new().await;
    let a = || json!({"resourceType": "Patient", "id": "a"});
    app.send("PUT Patient/a", &a()).await;
    let patch = json!({"resourceType": "Parameters", "parameter": []});
    for (method, url, resource) in [
        ("GET", "Patient?nonsense=1", Value::Null),
        ("GET", "Patient?_elements=nonsense", Value::Null),
        ("GET", "?_type=Patient&nonsense=1", Value::Null),
        ("GET", "Patient/a/Observation?nonsense=1", Value::Null),
        ("GET", "Patient/a?nonsense=1", Value::Null),
        ("GET", "Patient/w?nonsense=1", Value::Null),
        ("GET", "Patient/a/_history?nonsense=1", Value::Null),
        ("GET", "metadata?nonsense=1", Value::Null),
        ("POST", "Patient?nonsense=1", json!({"resourceType": "Patient"})),
        ("PUT", "Patient/a?nonsense=1", a()),
        ("PATCH", "Patient/a?nonsense=1", patch),
        ("DELETE", "Patient/a?nonsense=1", Value::Null),
    ] {
        for kind in ["transaction", "batch"] {
            let mut bundle = transaction(vec![
                entry("PUT", "Patient/w", "", json!({"resourceType": "Patient", "id": "w"})),
                entry(method, url, "", resource.clone()),
            ]);
            bundle["type"] = json!(kind);
            let before = app.ask("GET Patient/w").await.version;
            let strict = app.send("POST  | Prefer: handling=strict", &bundle).await;
            if kind == "transaction" {
                assert_eq!(strict.status, 400, "{method} {url}: {}", strict.body);
                assert_eq!(app.ask("GET Patient/w").await.version, before, "{method} {url}");
            } else {
                assert_eq!(outcome(&strict.body)[1], 400, "{method} {url}: {}", strict.body);
            }
            assert!(app.send("POST ", &bundle).await.status == 200, "{method} {url}");
        }
        app.send("PUT Patient/a", &a()).await;
    }
}

#[tokio::test]
async fn errors_lead_to_the_fault() {
    let app = App::new().await;
    let observation = |subject: &str| {
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"},
            "extension": [{"url": "u", "valueReference": {"reference": subject}}]})
    };
    let mut conditional = entry("POST", "Patient", "", json!({"resourceType": "Patient"}));
    conditional["request"]["ifNoneExist"] = json!("birthdate=half");
    let rows = [
        (entry("PUT", "Patient/x", "", patient("y")), "resource.id"),
        (entry("POST", "Patient", "", json!({"resourceType": "Pateint"})), "resource.resourceType"),
        (entry("POST", "Patient", "", json!({"resourceType": "Group"})), "resource.resourceType"),
        (
            entry("POST", "Patient", "", json!({"resourceType": "Patient", "contained": [{"id": "x"}]})),
            "resource.contained[0].resourceType",
        ),
        (entry("POST", "Patient", "", json!({"resourceType": "Patient", "name": [{}]})), "resource.name[0]"),
        (entry("POST", "Patient", "", Value::Null), "resource"),
        (entry("PATCH", "Patient?nonsense=1", "", Value::Null), ""),
        (entry("PUT", "Patient?birthdate=half", "", patient("x")), "request.url"),
        (entry("FETCH", "Patient/x", "", Value::Null), "request.method"),
        (entry("GET", "Nothing/x", "", Value::Null), "request.url"),
        (conditional, "request.ifNoneExist"),
        (
            entry("POST", "Observation", "", observation("Patient?birthdate=half")),
            "resource.extension[0].valueReference.reference",
        ),
        (
            entry("POST", "Observation", "", observation("Patient?identifier=none")),
            "resource.extension[0].valueReference.reference",
        ),
    ];
    for (bad, path) in rows {
        let path = if path.is_empty() { String::new() } else { format!(".{path}") };
        for kind in ["transaction", "batch"] {
            if kind == "batch" && bad["resource"]["extension"].is_array() {
                continue;
            }
            let mut bundle = transaction(vec![entry("GET", "metadata", "", Value::Null), bad.clone()]);
            bundle["type"] = json!(kind);
            let answer = app.send("POST ", &bundle).await.body;
            let outcome = if kind == "batch" { &answer["entry"][1]["response"]["outcome"] } else { &answer };
            let expression = &outcome["issue"][0]["expression"];
            let wanted = match (kind, bad["resource"].is_null() && path == ".resource") {
                // Alone, it is a request without a body.
                ("batch", true) => json!(["Bundle.entry[1]"]),
                _ => json!([format!("Bundle.entry[1]{path}")]),
            };
            assert_eq!(*expression, wanted, "{kind} {bad}: {answer}");
        }
    }
}

#[tokio::test]
async fn all_or_nothing() {
    let app = App::new().await;
    app.send("PUT Patient/there", &patient("there")).await;
    let fine = || entry("PUT", "Patient/fine", "urn:uuid:f", patient("fine"));
    let mut stale = entry("PUT", "Patient/there", "", patient("there"));
    stale["request"]["ifMatch"] = json!("W/\"7\"");
    let rows = [
        (stale, 412),
        (entry("POST", "Patient", "", json!({"resourceType": "Observation"})), 400),
        (entry("POST", "Patient", "", Value::Null), 400),
        (entry("PUT", "Patient/fine", "", patient("fine")), 400),
        (entry("DELETE", "Patient/fine", "", Value::Null), 400),
        (entry("PUT", "Patient/x", "urn:uuid:f", patient("x")), 400),
        (entry("PUT", "Patient/x", "", patient("y")), 400),
        (entry("POST", "Nothing", "", patient("x")), 404),
        (entry("POST", "Patient/x", "", patient("x")), 400),
        (entry("POST", "Patient/_search", "", patient("x")), 400),
        (entry("PATCH", "Patient/never", "", json!({"resourceType": "Parameters"})), 404),
        (entry("PUT", "Patient?nonsense=1", "", patient("x")), 400),
        (entry("POST", "", "", json!({"resourceType": "Bundle"})), 400),
        (entry("POST", "http://test/fhir", "", json!({"resourceType": "Bundle"})), 400),
        (
            entry(
                "POST",
                "Observation",
                "",
                json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"},
                "subject": {"reference": "Patient?identifier=none"}}),
            ),
            412,
        ),
    ];
    for (bad, status) in rows {
        let answer = app.send("POST ", &transaction(vec![fine(), bad.clone()])).await;
        assert_eq!(answer.status, status, "{bad}: {}", answer.body);
        let expression = answer.body["issue"][0]["expression"][0].as_str().unwrap();
        assert!(expression.starts_with("Bundle.entry[1]"), "{bad}: {}", answer.body);
    }
    assert_eq!(app.ask("GET Patient/fine").await.status, 404);
    assert_eq!(app.ask("GET Patient/there").await.version, Some(1));
    assert_eq!(app.ask("GET _history").await.body["entry"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn conditional_entries() {
    let app = App::new().await;
    let known = |value: &str| json!({"resourceType": "Patient", "identifier": [{"value": value}]});
    app.send(
        "PUT Patient/one",
        &json!({"resourceType": "Patient", "id": "one", "identifier": [{"value": "1"}]}),
    )
    .await;
    app.send(
        "PUT Patient/two",
        &json!({"resourceType": "Patient", "id": "two", "identifier": [{"value": "2"}]}),
    )
    .await;
    let create = |value: &str, full_url: &str| {
        let mut create = entry("POST", "Patient", full_url, known(value));
        create["request"]["ifNoneExist"] = json!(format!("identifier={value}"));
        create
    };
    let observation = |of: &str| {
        entry(
            "POST",
            "Observation",
            "",
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"},
            "subject": {"reference": of}}),
        )
    };
    let bundle = transaction(vec![
        create("1", "urn:uuid:1"),
        create("3", "urn:uuid:3"),
        create("3", "urn:uuid:3-again"),
        entry("PUT", "Patient?identifier=2", "urn:uuid:2", known("2")),
        entry("PUT", "Patient?identifier=4", "urn:uuid:4", known("4")),
        entry("DELETE", "Patient?identifier=5", "", Value::Null),
        observation("urn:uuid:1"),
        observation("urn:uuid:3-again"),
        observation("urn:uuid:2"),
        observation("urn:uuid:4"),
    ]);
    let twice = transaction(vec![
        entry("PUT", "Patient?identifier=9", "", known("9")),
        entry("PUT", "Patient?identifier=9", "", known("9")),
    ]);
    assert_eq!(app.send("POST ", &twice).await.status, 400);
    let answer = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&answer), [200, 201, 200, 200, 201, 204, 201, 201, 201, 201], "{answer}");
    assert_eq!(
        (located(&answer, 0), located(&answer, 3)),
        ("Patient/one".to_owned(), "Patient/two".to_owned())
    );
    assert_eq!(located(&answer, 1), located(&answer, 2));
    for (at, of) in [(6, 0), (7, 1), (8, 3), (9, 4)] {
        let found = app.ask(&format!("GET {}", located(&answer, at))).await.body;
        assert_eq!(found["subject"]["reference"], located(&answer, of));
    }
    // The whole again changes what is updated and creates nothing but observations.
    let again = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&again), [200, 200, 200, 200, 200, 204, 201, 201, 201, 201], "{again}");
    assert_eq!(app.found("Patient").await.split(' ').count(), 4);
}

/// What belongs to a resource is replaced together with it: its id is known before anything is looked for.
#[tokio::test]
async fn criteria_of_deletes_may_name_what_has_its_id() {
    let app = App::new().await;
    let observation = |id: &str, of: &str| {
        json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "c"},
            "subject": {"reference": of}})
    };
    for (full_url, names) in [
        ("", "Patient/1"),
        ("http://test/fhir/Patient/1", "Patient/1"),
        ("urn:uuid:p", "urn:uuid:p"),
        ("http://a.example.org/Patient/1", "http://a.example.org/Patient/1"),
    ] {
        for (id, of) in [("old", "Patient/1"), ("other", "Patient/2")] {
            app.send(&format!("PUT Observation/{id}"), &observation(id, of)).await;
        }
        let bundle = transaction(vec![
            entry("DELETE", &format!("Observation?subject={names}"), "", Value::Null),
            entry("PUT", "Patient/1", full_url, patient("1")),
            entry("PUT", "Observation/new", "", observation("new", names)),
        ]);
        let answer = app.send("POST ", &bundle).await.body;
        assert_eq!(outcome(&answer)[0], 204, "{answer}");
        assert_eq!(app.found("Observation?_sort=_id").await, "new other", "{names}");
        app.send("DELETE Observation/new", &Value::Null).await;
    }
    // A patient that gets its id later cannot have had observations.
    let bundle = transaction(vec![
        entry("DELETE", "Observation?subject=urn:uuid:p", "", Value::Null),
        entry("POST", "Patient", "urn:uuid:p", json!({"resourceType": "Patient", "active": true})),
    ]);
    assert_eq!(app.send("POST ", &bundle).await.status, 400);
}

/// A definition may have its canonical url as its full url; what is searched for by that stays a canonical.
#[tokio::test]
async fn canonicals_in_criteria_stay() {
    let app = App::new().await;
    let url = "http://a.example.org/ActivityDefinition/a";
    let activity = json!({"resourceType": "ActivityDefinition", "id": "a", "status": "active", "url": url});
    let plan = json!({"resourceType": "PlanDefinition", "status": "active",
        "action": [{"definitionCanonical": url}]});
    let bundle = transaction(vec![
        entry("PUT", "ActivityDefinition/a", url, activity),
        entry("PUT", &format!("PlanDefinition?definition={url}"), "", plan),
    ]);
    for wanted in [[201, 201], [200, 200]] {
        let answer = app.send("POST ", &bundle).await.body;
        assert_eq!(outcome(&answer), wanted, "{answer}");
    }
    assert_eq!(app.found("PlanDefinition").await.split(' ').count(), 1);
}

#[tokio::test]
async fn the_client_chooses_what_it_hears() {
    let app = App::new().await;
    let bundle = transaction(vec![entry("POST", "Patient", "", json!({"resourceType": "Patient"}))]);
    let minimal = app.send("POST ", &bundle).await.body;
    assert!(minimal["entry"][0]["resource"].is_null());
    let response = &minimal["entry"][0]["response"];
    assert_eq!(
        (response["status"].clone(), response["etag"].clone()),
        (json!("201 Created"), json!("W/\"1\""))
    );
    assert!(response["lastModified"].is_string());
    let whole = app.send("POST  | Prefer: return=representation", &bundle).await.body;
    let id = whole["entry"][0]["resource"]["id"].as_str().unwrap();
    assert_eq!(whole["entry"][0]["fullUrl"], format!("http://test/fhir/Patient/{id}"));
}

#[tokio::test]
async fn patches_within() {
    let app = App::new().await;
    app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a", "gender": "male"})).await;
    let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.gender"}]}]});
    let bundle = transaction(vec![
        entry("PATCH", "Patient/a", "", patch),
        entry("PUT", "Patient/b", "", patient("b")),
    ]);
    let answer = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&answer), [200, 201], "{answer}");
    let found = app.ask("GET Patient/a").await;
    assert_eq!((found.version, found.body["gender"].is_null()), (Some(2), true));
}
