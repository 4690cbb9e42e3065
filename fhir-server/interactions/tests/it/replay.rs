//! A history that is sent to another server: <https://hl7.org/fhir/R4/http.html#transaction>

use serde_json::{Value, json};

use crate::app::App;
use crate::transaction::outcome;

fn patient(id: &str, gender: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "gender": gender})
}

/// Without what each server says for itself.
fn content(mut resource: Value) -> Value {
    resource.as_object_mut().unwrap().remove("meta");
    resource
}

#[tokio::test]
async fn our_own_history_can_be_replayed() {
    let (from, to) = (App::new().await, App::new().await);
    let created = from.send("POST Patient", &json!({"resourceType": "Patient", "active": true})).await;
    let created = created.body["id"].as_str().unwrap().to_owned();
    from.send("PUT Patient/a", &patient("a", "male")).await;
    from.send("PUT Patient/a", &patient("a", "female")).await;
    from.send("PATCH Patient/a", &json!([{"op": "add", "path": "/birthDate", "value": "2020-01-01"}])).await;
    from.send(&format!("PUT Patient/{created}"), &patient(&created, "other")).await;
    from.send("PUT Patient/gone", &patient("gone", "male")).await;
    from.ask("DELETE Patient/gone").await;
    from.send("PUT Patient/back", &patient("back", "male")).await;
    from.ask("DELETE Patient/back").await;
    from.send("PUT Patient/back", &patient("back", "female")).await;
    // A parameter twice: the history warns in an entry of its own.
    let history = from.ask("GET _history?_count=1000&_count=1").await.body;
    assert_eq!(history["entry"].as_array().unwrap().len(), 11, "{history}");
    for round in 1..=2 {
        let answer = to.send("POST ", &history).await;
        assert_eq!((answer.status, answer.body["type"].clone()), (200, json!("batch-response")));
        assert!(outcome(&answer.body).iter().all(|status| (200..300).contains(status)), "{}", answer.body);
        for id in ["a", "back", &created] {
            let (wanted, found) =
                (from.ask(&format!("GET Patient/{id}")).await, to.ask(&format!("GET Patient/{id}")).await);
            assert_eq!(content(found.body), content(wanted.body), "{id}");
            if round == 1 {
                assert_eq!(found.version, wanted.version, "{id}");
            }
        }
        assert_eq!(to.ask("GET Patient/gone").await.status, 410);
    }
}

#[tokio::test]
async fn histories_of_other_servers() {
    let app = App::new().await;
    let of_method = |method: &str, url: &str, resource: Value| {
        let mut entry = json!({"fullUrl": "http://other/fhir/Patient/x", "request": {"method": method, "url": url},
            "response": {"status": "200"}});
        if !resource.is_null() {
            entry["resource"] = resource;
        }
        entry
    };
    let version = |n: usize, gender: &str| json!({"resourceType": "Patient", "id": "x", "meta": {"versionId": n.to_string()}, "gender": gender});
    let history =
        |entries: Vec<Value>| json!({"resourceType": "Bundle", "type": "history", "entry": entries});
    let shapes = [
        ("Patient/x/_history/3", "Patient/x/_history/2", "Patient"),
        (
            "http://other/fhir/Patient/x/_history/3",
            "http://other/fhir/Patient/x",
            "http://other/fhir/Patient",
        ),
        ("Patient/x", "Patient/x", "Patient/x/_history/1"),
    ];
    for (third, second, first) in shapes {
        let answer = app
            .send(
                "POST ",
                &history(vec![
                    of_method("PUT", third, version(3, "female")),
                    of_method("DELETE", second, Value::Null),
                    of_method("POST", first, version(1, "male")),
                ]),
            )
            .await;
        let found = outcome(&answer.body);
        assert!(matches!(found.as_slice(), [201, 204, 200 | 201]), "{}", answer.body);
        assert_eq!(app.ask("GET Patient/x").await.body["gender"], "female");
    }
    // Oldest first is no history: its last version would be the first.
    let wrong = history(vec![
        of_method("POST", "Patient", version(1, "male")),
        of_method("PUT", "Patient/x", version(2, "other")),
    ]);
    let answer = app.send("POST ", &wrong).await;
    assert_eq!(
        (answer.status, app.ask("GET Patient/x").await.body["gender"].clone()),
        (400, json!("female"))
    );
    let rows = [
        of_method("PUT", "Patient/y", version(1, "male")),
        of_method("PUT", "Patient/x", Value::Null),
        json!({"request": {"method": "DELETE", "url": "Patient?name=x"}}),
        json!({"resource": version(1, "male")}),
        of_method("DANCE", "Patient/x", Value::Null),
    ];
    let answer = app.send("POST ", &history(rows.to_vec())).await.body;
    assert_eq!(outcome(&answer), [400; 5], "{answer}");
}
