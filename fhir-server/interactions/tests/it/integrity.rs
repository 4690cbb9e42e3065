//! Referential integrity, where the server enforces it: no way of writing leaves a reference that leads nowhere.

use std::sync::Arc;

use fhir_interactions::{RequestLimits, Settings};
use fhir_model::error::ISSUES_MAX;
use fhir_search::{Bases, IndexSettings};
use fhir_store::{Options, testing};
use serde_json::{Value, json};

use crate::app::{App, BASE};
use crate::transaction::{entry, located, outcome, transaction};

async fn enforcing() -> App {
    let settings = IndexSettings { bases: Bases::new([BASE]), references: true, ..IndexSettings::default() };
    let options = Options { connections_max: 8, settings, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    App::on(store, Settings::default(), RequestLimits::default())
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id})
}

fn observation(subject: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}})
}

/// Code, text and location of the first issue.
fn issue(outcome: &Value) -> (String, String, String) {
    let issue = &outcome["issue"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&issue["code"]), text(&issue["details"]["text"]), text(&issue["expression"][0]))
}

#[tokio::test]
async fn a_reference_leads_somewhere() {
    let app = enforcing().await;
    app.send("PUT Patient/p", &patient("p")).await;
    app.send("PUT Patient/gone", &patient("gone")).await;
    app.ask("DELETE Patient/gone").await;
    let at_us = format!("{BASE}/Patient/p");
    let nowhere_at_us = format!("{BASE}/Patient/none");
    let rows = [
        ("Patient/p", 201),
        ("Patient/none", 422),
        // What was there and what never was are told apart by nobody.
        ("Patient/gone", 422),
        ("Group/p", 422),
        (at_us.as_str(), 201),
        (nowhere_at_us.as_str(), 422),
        // What is not looked at.
        ("http://elsewhere.org/fhir/Patient/none", 201),
        ("urn:uuid:0a1b2c3d-0000-0000-0000-000000000000", 201),
        ("Patient/gone/_history/1", 201),
        ("Whatever/none", 201),
    ];
    for (reference, wanted) in rows {
        let answer = app.send("POST Observation", &observation(reference)).await;
        assert_eq!(answer.status, wanted, "{reference}: {}", answer.body);
    }
    let answer = app.send("POST Observation", &observation("Patient/none")).await;
    let (code, text, at) = issue(&answer.body);
    assert_eq!((code.as_str(), at.as_str()), ("business-rule", "Observation.subject.reference"));
    assert!(text.contains("Patient/none"), "{text}");
    let inner = json!({"resourceType": "Basic", "id": "i", "code": {"text": "x"}});
    for (name, member, wanted) in [
        (
            "contained",
            json!([{"resourceType": "Patient", "id": "c", "managingOrganization": {"reference": "Organization/none"}}]),
            422,
        ),
        ("contained", json!([inner]), 201),
        ("extension", json!([{"url": "http://e", "valueReference": {"reference": "Patient/none"}}]), 422),
        ("subject", json!({"reference": "#i"}), 201),
        ("subject", json!({"identifier": {"value": "none"}, "display": "somebody"}), 201),
    ] {
        let mut basic = json!({"resourceType": "Basic", "code": {"text": "x"}});
        basic[name] = member;
        if basic["subject"]["reference"] == "#i" {
            basic["contained"] = json!([inner]);
        }
        let answer = app.send("POST Basic", &basic).await;
        assert_eq!(answer.status, wanted, "{basic}: {}", answer.body);
    }
}

/// The locations of all issues, each of which is an error.
fn faults(outcome: &Value) -> Vec<String> {
    let issues = outcome["issue"].as_array().unwrap();
    assert!(issues.iter().all(|issue| issue["severity"] == "error"), "{outcome}");
    issues.iter().map(|issue| issue["expression"][0].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn every_reference_that_leads_nowhere_is_named() {
    let app = enforcing().await;
    app.send("PUT Patient/p", &patient("p")).await;
    let mut bad = observation("Patient/none");
    bad["performer"] = json!([
        {"reference": "Patient/p"}, {"reference": "Practitioner/none"}, {"reference": "Patient/none"}
    ]);
    let answer = app.send("POST Observation", &bad).await;
    let wanted = ["subject.reference", "performer[1].reference", "performer[2].reference"];
    assert_eq!(faults(&answer.body), wanted.map(|path| format!("Observation.{path}")));
    assert_eq!(answer.status, 422);
    let whole = transaction(vec![
        entry("POST", "Observation", "", observation("Patient/none")),
        entry("POST", "Observation", "", observation("Patient/p")),
        entry("POST", "Observation", "", observation("Group/none")),
        entry("DELETE", "Patient/p", "", Value::Null),
    ]);
    let answer = app.send("POST ", &whole).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let subject = |at: usize| format!("Bundle.entry[{at}].resource.subject.reference");
    assert_eq!(faults(&answer.body), [subject(0), subject(1), subject(2)]);
    let texts = answer.body["issue"].as_array().unwrap().iter().map(|issue| &issue["details"]["text"]);
    for (text, wanted) in texts.zip(["entry 0: ", "entry 1: ", "entry 2: "]) {
        assert!(text.as_str().unwrap().starts_with(wanted), "{text}");
    }
    // What an answer does not hold is said to be missing.
    bad["performer"] = (0..200).map(|at| json!({"reference": format!("Practitioner/none-{at}")})).collect();
    let issues = app.send("POST Observation", &bad).await.body["issue"].as_array().unwrap().clone();
    assert_eq!(issues.len(), ISSUES_MAX + 1);
    assert_eq!(issues[ISSUES_MAX]["details"]["text"], "there are more issues than these");
}

#[tokio::test]
async fn all_malformed_entries_of_a_transaction_are_named() {
    let app = App::new().await;
    let whole = transaction(vec![
        entry("PUT", "Patient/a", "", patient("b")),
        entry("PUT", "Patient/c", "", patient("c")),
        entry("POST", "Patient", "", json!({"resourceType": "Patient", "name": []})),
    ]);
    let answer = app.send("POST ", &whole).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(faults(&answer.body), ["Bundle.entry[0].resource.id", "Bundle.entry[2].resource.name"]);
    assert_eq!(app.ask("GET Patient/c").await.status, 404);
}

#[tokio::test]
async fn every_way_of_writing_is_held_to_it() {
    let app = enforcing().await;
    app.send("PUT Patient/p", &patient("p")).await;
    let mut good = observation("Patient/p");
    good["id"] = json!("o");
    let mut bad = observation("Patient/none");
    bad["id"] = json!("o");
    let identified = |mut body: Value| {
        body["identifier"] = json!([{"value": "1"}]);
        body
    };
    assert_eq!(app.send("PUT Observation/o", &bad).await.status, 422);
    assert_eq!(app.send("PUT Observation/o", &identified(good.clone())).await.status, 201);
    assert_eq!(app.send("PUT Observation/o", &identified(bad.clone())).await.status, 422);
    assert_eq!(app.send("PUT Observation?identifier=1", &identified(bad.clone())).await.status, 422);
    assert_eq!(app.send("POST Observation | If-None-Exist: identifier=2", &bad).await.status, 422);
    let patch = json!([{"op": "replace", "path": "/subject/reference", "value": "Patient/none"}]);
    assert_eq!(app.send("PATCH Observation/o", &patch).await.status, 422);
    assert_eq!(app.send("PATCH Observation?identifier=1", &patch).await.status, 422);
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry("POST", "Observation", "", bad.clone())]});
    assert_eq!(outcome(&app.send("POST ", &batch).await.body), [422]);
    let whole = transaction(vec![
        entry("PUT", "Patient/q", "", patient("q")),
        entry("PUT", "Observation/o", "", bad),
    ]);
    let answer = app.send("POST ", &whole).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.to_string().contains("Bundle.entry[1]"), "{}", answer.body);
    assert_eq!(app.ask("GET Patient/q").await.status, 404, "all or nothing");
    assert_eq!(app.ask("GET Observation/o").await.version, Some(1));
}

#[tokio::test]
async fn what_is_referred_to_is_not_deleted() {
    let app = enforcing().await;
    app.send("PUT Patient/p", &patient("p")).await;
    // By an element that no search parameter knows.
    let mut other = patient("other");
    other["contact"] = json!([{"organization": {"reference": "Organization/o"}}]);
    app.send("PUT Organization/o", &json!({"resourceType": "Organization", "id": "o"})).await;
    assert_eq!(app.send("PUT Patient/other", &other).await.status, 201);
    let made = app.send("POST Observation", &observation("Patient/p")).await;
    let location = made.location.unwrap();
    let observed = location.split("/_history").next().unwrap();
    let refused = app.ask("DELETE Patient/p").await;
    assert_eq!((refused.status, issue(&refused.body).0.as_str()), (409, "conflict"));
    assert!(issue(&refused.body).1.contains(observed), "{}", refused.body);
    assert_eq!(app.ask("DELETE Organization/o").await.status, 409);
    assert_eq!(app.ask("DELETE Patient?_id=p").await.status, 409);
    let whole = transaction(vec![entry("DELETE", "Patient/p", "", Value::Null)]);
    assert_eq!(app.send("POST ", &whole).await.status, 409);
    assert_eq!(app.ask("GET Patient/p").await.status, 200);
    // When nothing refers to it any more, as it was changed or deleted, it goes.
    app.send("PUT Patient/other", &patient("other")).await;
    assert_eq!(app.ask("DELETE Organization/o").await.status, 204);
    app.ask(&format!("DELETE {observed}")).await;
    assert_eq!(app.ask("DELETE Patient/p").await.status, 204);
    // Nor does one keep itself.
    let mut own = patient("own");
    own["link"] = json!([{"other": {"reference": "Patient/own"}, "type": "seealso"}]);
    assert_eq!(app.send("PUT Patient/own", &own).await.status, 201);
    assert_eq!(app.ask("DELETE Patient/own").await.status, 204);
}

#[tokio::test]
async fn a_transaction_is_seen_as_a_whole() {
    let app = enforcing().await;
    let urn = "urn:uuid:11111111-2222-3333-4444-555555555555";
    let both = transaction(vec![
        entry("POST", "Observation", "", observation(urn)),
        entry("POST", "Patient", urn, json!({"resourceType": "Patient"})),
        entry("PUT", "Observation/a", "", {
            let mut body = observation("Patient/chosen");
            body["id"] = json!("a");
            body
        }),
        entry("PUT", "Patient/chosen", "", patient("chosen")),
    ]);
    let answer = app.send("POST ", &both).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (observed, made) = (located(&answer.body, 0), located(&answer.body, 1));
    // Referrer and target go together, in any order.
    let gone = |first: &str, second: &str| {
        transaction(vec![entry("DELETE", first, "", Value::Null), entry("DELETE", second, "", Value::Null)])
    };
    assert_eq!(app.send("POST ", &gone(&made, &observed)).await.status, 200);
    // The reference is taken away in the transaction that deletes what it led to.
    let mut free = observation("Patient/chosen");
    (free["id"], free["subject"]) = (json!("a"), json!({"display": "nobody"}));
    let away = transaction(vec![
        entry("DELETE", "Patient/chosen", "", Value::Null),
        entry("PUT", "Observation/a", "", free),
    ]);
    assert_eq!(app.send("POST ", &away).await.status, 200);
    // What is deleted is not there for the others.
    app.send("PUT Patient/late", &patient("late")).await;
    let late = transaction(vec![
        entry("DELETE", "Patient/late", "", Value::Null),
        entry("POST", "Observation", "", observation("Patient/late")),
    ]);
    assert_eq!(app.send("POST ", &late).await.status, 422);
    // Several at once, all of them or none.
    app.send("PUT Patient/x", &patient("x")).await;
    app.send("PUT Observation/x", &{
        let mut body = observation("Patient/x");
        body["id"] = json!("x");
        body
    })
    .await;
    assert_eq!(app.send("POST ", &gone("Observation/x", "Patient/x")).await.status, 200);
}

/// Creates race with the delete of what they refer to, and updates of it go on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_race_leaves_a_reference_that_leads_nowhere() {
    const RACES: usize = 1000;
    let app = Arc::new(enforcing().await);
    let (mut created, mut deleted) = (0, 0);
    for race in 0..RACES {
        let id = format!("r{race}");
        app.send(&format!("PUT Patient/{id}"), &patient(&id)).await;
        let run = |line: String, body: Value| {
            let app = app.clone();
            tokio::spawn(async move {
                match body {
                    Value::Null => app.ask(&line).await.status,
                    body => app.send(&line, &body).await.status,
                }
            })
        };
        let target = format!("Patient/{id}");
        let mut whole = observation(&target);
        whole["id"] = json!(id);
        // In turns one statement, a transaction of several, and an update.
        let create = match race % 3 {
            0 => run("POST Observation".to_owned(), observation(&target)),
            1 => run(
                "POST ".to_owned(),
                transaction(vec![
                    entry("POST", "Observation", "", observation(&target)),
                    entry("POST", "Observation", "", observation(&target)),
                ]),
            ),
            _ => run(format!("PUT Observation/{id}"), whole),
        };
        // Now and again what it refers to is changed, or made anew, at the same time.
        let change = (race % 2 == 0).then(|| run(format!("PUT {target}"), patient(&id)));
        let delete = run(format!("DELETE {target}"), Value::Null);
        let (create, delete) = (create.await.unwrap(), delete.await.unwrap());
        if let Some(change) = change {
            assert!(matches!(change.await.unwrap(), 200 | 201), "race {race}");
        }
        assert!(matches!(create, 200 | 201 | 422), "race {race}: create {create}");
        assert!(matches!(delete, 204 | 409), "race {race}: delete {delete}");
        created += usize::from(create < 300);
        deleted += usize::from(delete == 204);
        let is_there = app.ask(&format!("GET {target}")).await.status == 200;
        let referring = app.found(&format!("Observation?subject={target}")).await;
        assert!(is_there || referring.is_empty(), "race {race}: {referring} refers to nothing");
    }
    assert!(created > 0 && deleted > 0, "no races: {created} created, {deleted} deleted");
}

#[tokio::test]
async fn a_server_that_does_not_enforce_stores_what_it_gets() {
    let app = App::new().await;
    assert_eq!(app.send("POST Observation", &observation("Patient/none")).await.status, 201);
    app.send("PUT Patient/p", &patient("p")).await;
    app.send("POST Observation", &observation("Patient/p")).await;
    assert_eq!(app.ask("DELETE Patient/p").await.status, 204);
    let policy = |body: &Value| body["rest"][0]["resource"][0]["referencePolicy"].clone();
    assert_eq!(policy(&app.ask("GET metadata").await.body), json!(["literal", "logical"]));
    let enforced = enforcing().await.ask("GET metadata").await.body;
    assert_eq!(policy(&enforced), json!(["literal", "logical", "enforced"]));
}
