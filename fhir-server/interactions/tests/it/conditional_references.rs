//! Conditional references see what the transaction writes: <https://hl7.org/fhir/R4/http.html#trules>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::app::App;
use crate::transaction::{entry, located, outcome, transaction};

fn practitioner(id: &str, identifier: &str) -> Value {
    let mut practitioner = json!({"resourceType": "Practitioner", "identifier": [{"system": "http://npi", "value": identifier}]});
    if !id.is_empty() {
        practitioner["id"] = json!(id);
    }
    practitioner
}

fn role(criteria: &str) -> Value {
    entry(
        "POST",
        "PractitionerRole",
        "",
        json!({"resourceType": "PractitionerRole", "practitioner": {"reference": format!("Practitioner?{criteria}")}}),
    )
}

fn post(identifier: &str) -> Value {
    entry("POST", "Practitioner", "", practitioner("", identifier))
}

fn put(id: &str, identifier: &str) -> Value {
    entry("PUT", &format!("Practitioner/{id}"), "", practitioner(id, identifier))
}

fn delete(id: &str) -> Value {
    entry("DELETE", &format!("Practitioner/{id}"), "", Value::Null)
}

fn if_none_exist(identifier: &str) -> Value {
    let mut create = post(identifier);
    create["request"]["ifNoneExist"] = json!(format!("identifier=http://npi|{identifier}"));
    create
}

fn patch(id: &str, identifier: &str) -> Value {
    let operations = json!([{"op": "replace", "path": "/identifier/0/value", "value": identifier}]);
    let binary = json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": STANDARD.encode(operations.to_string())});
    entry("PATCH", &format!("Practitioner/{id}"), "", binary)
}

/// What is there, what the transaction writes beside a reference, the reference's criteria, and what that means: an entry,
/// an id, or an error.
type Row = (&'static [(&'static str, &'static str)], Vec<Value>, &'static str, &'static str);

#[tokio::test]
async fn references_mean_what_is_there_after_the_writes() {
    let one = "identifier=http://npi|1";
    let rows: Vec<Row> = vec![
        (&[], vec![post("1")], one, "entry 0"),
        (&[], vec![post("2")], one, "412"),
        (&[], vec![post("1"), post("1")], one, "412"),
        (&[("a", "1")], vec![post("1")], one, "412"),
        (&[("a", "1")], vec![post("2")], one, "a"),
        (&[("a", "1")], vec![if_none_exist("1")], one, "a"),
        (&[], vec![if_none_exist("1"), if_none_exist("1")], one, "entry 0"),
        (&[("a", "1")], vec![put("a", "1")], one, "a"),
        (&[("a", "1")], vec![put("a", "2")], one, "412"),
        (&[("a", "1")], vec![put("a", "2"), post("1")], one, "entry 1"),
        (&[("a", "2")], vec![put("a", "1")], one, "a"),
        (&[("a", "1"), ("b", "2")], vec![put("b", "1")], one, "412"),
        (&[("a", "1")], vec![delete("a")], one, "412"),
        (&[("a", "1")], vec![delete("a"), post("1")], one, "entry 1"),
        (&[("a", "1"), ("b", "1")], vec![delete("a")], one, "b"),
        (&[("a", "1")], vec![patch("a", "2")], one, "412"),
        (&[("a", "2")], vec![patch("a", "1")], one, "a"),
        (
            &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")],
            vec![put("a", "2"), put("b", "2"), put("c", "2")],
            one,
            "d",
        ),
        (&[("a", "1"), ("b", "1"), ("c", "1")], vec![put("a", "2"), post("2")], one, "412"),
        (
            &[("a", "1")],
            vec![entry("PUT", "Practitioner?identifier=1", "", practitioner("", "2"))],
            one,
            "412",
        ),
        (&[("a", "2")], vec![entry("PUT", "Practitioner?identifier=2", "", practitioner("", "1"))], one, "a"),
        (&[], vec![entry("PUT", "Practitioner?identifier=1", "", practitioner("", "1"))], one, "entry 0"),
        (&[], vec![put("x", "1")], "_id=x", "x"),
        (&[("x", "1")], vec![put("y", "1")], "_id=x", "x"),
        (&[], vec![post("1")], "identifier=http://npi|1&name:missing=true", "entry 0"),
        (&[("a", "1")], vec![post("2")], "identifier:not=http://npi|2", "a"),
        // What other resources decide cannot be said before they are written.
        (&[], vec![post("1")], "identifier=http://npi|1&_has:Encounter:practitioner:_id=e", "400"),
        (&[], vec![post("2")], "identifier=http://npi|1&_has:Encounter:practitioner:_id=e", "412"),
    ];
    for (there, writes, criteria, wanted) in rows {
        let app = App::new().await;
        for (id, identifier) in there {
            app.send(&format!("PUT Practitioner/{id}"), &practitioner(id, identifier)).await;
        }
        for last in [true, false] {
            let mut entries = writes.clone();
            entries.insert(if last { entries.len() } else { 0 }, role(criteria));
            let row = format!("{there:?} {criteria} {writes:?} {last}");
            let before = app.ask("GET _history?_summary=count").await.body["total"].clone();
            let answer = app.send("POST ", &transaction(entries.clone())).await;
            if let Ok(status) = wanted.parse::<u16>() {
                assert_eq!(answer.status, status, "{row}: {}", answer.body);
                let at = if last { entries.len() - 1 } else { 0 };
                let place = format!("Bundle.entry[{at}].resource.practitioner.reference");
                assert_eq!(answer.body["issue"][0]["expression"], json!([place]), "{row}");
                assert_eq!(app.ask("GET _history?_summary=count").await.body["total"], before, "{row}");
                continue;
            }
            assert_eq!(answer.status, 200, "{row}: {}", answer.body);
            let role = if last { entries.len() - 1 } else { 0 };
            let stored = app.ask(&format!("GET {}", located(&answer.body, role))).await.body;
            let meant = match wanted.strip_prefix("entry ") {
                Some(at) => located(&answer.body, at.parse::<usize>().unwrap() + usize::from(!last)),
                None => format!("Practitioner/{wanted}"),
            };
            assert_eq!(stored["practitioner"]["reference"], meant, "{row}");
            // It is found by what it was given.
            let found = app.found(&format!("PractitionerRole?practitioner={meant}")).await;
            assert!(found.contains(stored["id"].as_str().unwrap()), "{row}");
            // A second time the state is another one.
            break;
        }
    }
}

/// A reference may be what another one is looked up by.
#[tokio::test]
async fn references_by_what_references_mean() {
    let app = App::new().await;
    app.send("PUT Practitioner/known", &practitioner("known", "1")).await;
    let observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"},
        "performer": [{"reference": "PractitionerRole?practitioner=Practitioner/known"}]});
    let bundle =
        transaction(vec![entry("POST", "Observation", "", observation), role("identifier=1"), post("2")]);
    let answer = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&answer), [201, 201, 201], "{answer}");
    let stored = app.ask(&format!("GET {}", located(&answer, 0))).await.body;
    assert_eq!(stored["performer"][0]["reference"], located(&answer, 1));
}

/// A client that is not sure whether its transaction arrived sends it again.
#[tokio::test]
async fn criteria_that_name_an_entry_create_once() {
    let app = App::new().await;
    let conditional = |mut entry: Value, criteria: &str| {
        entry["request"]["ifNoneExist"] = json!(criteria);
        entry
    };
    let patient = json!({"resourceType": "Patient", "identifier": [{"value": "1"}]});
    let encounter = json!({"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"},
        "subject": {"reference": "urn:uuid:p"}});
    let observation = |code: &str| {
        json!({"resourceType": "Observation", "status": "final", "code": {"coding": [{"code": code}]},
            "subject": {"reference": "urn:uuid:p"}, "encounter": {"reference": "urn:uuid:e"}})
    };
    let condition = json!({"resourceType": "Condition", "subject": {"reference": "urn:uuid:p"},
        "encounter": {"reference": "Encounter?subject=urn:uuid:p"}});
    let bundle = transaction(vec![
        // The order of the entries does not matter.
        conditional(
            entry("POST", "Observation", "", observation("a")),
            "subject=urn:uuid:p&encounter=urn:uuid:e&code=a",
        ),
        entry("PUT", "Observation?code=b&encounter=urn:uuid:e,urn:uuid:e", "", observation("b")),
        conditional(entry("POST", "Encounter", "urn:uuid:e", encounter), "patient=urn:uuid:p"),
        conditional(entry("POST", "Patient", "urn:uuid:p", patient), "identifier=1"),
        conditional(entry("POST", "Condition", "", condition), "patient=urn:uuid:p"),
    ]);
    let first = app.send("POST ", &bundle).await.body;
    assert_eq!(outcome(&first), [201, 201, 201, 201, 201], "{first}");
    let stored = app.ask(&format!("GET {}", located(&first, 4))).await.body;
    assert_eq!(stored["encounter"]["reference"], located(&first, 2));
    for _ in 0..2 {
        let again = app.send("POST ", &bundle).await.body;
        assert_eq!(outcome(&again), [200, 200, 200, 200, 200], "{again}");
        for at in 0..5 {
            assert_eq!(located(&again, at), located(&first, at));
        }
    }
    let named = |of: &str, criteria: &str| {
        conditional(
            entry("POST", "Group", of, json!({"resourceType": "Group", "type": "person", "actual": true})),
            criteria,
        )
    };
    // One after the other, up to a limit.
    let waiting = |n: usize| -> Vec<Value> {
        let mut entries: Vec<Value> = (0..n)
            .map(|at| named(&format!("urn:uuid:{at}"), &format!("member=urn:uuid:{}", at + 1)))
            .collect();
        entries.push(named(&format!("urn:uuid:{n}"), "identifier=none"));
        entries
    };
    assert_eq!(app.send("POST ", &transaction(waiting(8))).await.status, 200);
    assert_eq!(app.send("POST ", &transaction(waiting(9))).await.status, 413);
    let circle = vec![named("urn:uuid:a", "member=urn:uuid:b"), named("urn:uuid:b", "member=urn:uuid:a")];
    let itself = vec![named("urn:uuid:a", "member=urn:uuid:a")];
    let deleted = vec![
        entry("DELETE", "Observation?subject=urn:uuid:p", "", Value::Null),
        entry("POST", "Patient", "urn:uuid:p", json!({"resourceType": "Patient"})),
    ];
    for entries in [circle, itself, deleted] {
        let answer = app.send("POST ", &transaction(entries)).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
}
