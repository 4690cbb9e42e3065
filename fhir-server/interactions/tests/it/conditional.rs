//! Conditional interactions: <https://hl7.org/fhir/R4/http.html#ccreate>, `#cond-update`, `#cdelete`

use fhir_interactions::{ConditionalDelete, RequestLimits, Settings};
use serde_json::{Value, json};

use crate::app::App;

fn patient(value: &str) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "http://s", "value": value}]})
}

fn patient_with_id(value: &str, id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "http://s", "value": value}]})
}

#[tokio::test]
async fn create_if_none_exists() {
    let app = App::new().await;
    let made = app.send("POST Patient | If-None-Exist: identifier=http://s|1", &patient("1")).await;
    assert_eq!(made.status, 201);
    for criteria in
        ["identifier=http://s|1", "?identifier=http%3A%2F%2Fs%7C1", "Patient?identifier=http://s|1"]
    {
        let found = app.send(&format!("POST Patient | If-None-Exist: {criteria}"), &patient("1")).await;
        assert_eq!((found.status, found.version), (200, Some(1)), "{criteria}");
        assert_eq!(found.location, made.location, "{criteria}");
        assert_eq!(found.body, made.body, "{criteria}");
    }
    app.send("POST Patient", &patient("1")).await;
    let several = app.send("POST Patient | If-None-Exist: identifier=http://s|1", &patient("1")).await;
    assert_eq!(several.status, 412);
    // Criteria that mean nothing would mean everything.
    for criteria in ["", "nonsense=1", "_sort=name"] {
        let refused = app.send(&format!("POST Patient | If-None-Exist: {criteria}"), &patient("1")).await;
        assert_eq!(refused.status, 400, "{criteria}");
    }
}

#[tokio::test]
async fn create_again_after_a_deletion() {
    let app = App::new().await;
    let line = "POST Patient | If-None-Exist: identifier=http://s|1";
    for _ in 0..3 {
        let made = app.send(line, &patient("1")).await;
        assert_eq!(made.status, 201);
        assert_eq!(
            app.ask(&format!("DELETE Patient/{}", made.body["id"].as_str().unwrap())).await.status,
            204
        );
    }
}

#[tokio::test]
async fn update_by_criteria() {
    let app = App::new().await;
    let by = "PUT Patient?identifier=http://s|";
    let made = app.send(&format!("{by}1"), &patient("1")).await;
    assert_eq!(made.status, 201);
    let id = made.body["id"].as_str().unwrap();
    let updated = app.send(&format!("{by}1"), &patient("1")).await;
    assert_eq!((updated.status, updated.version), (200, Some(2)));
    assert_eq!(app.send(&format!("{by}1"), &patient_with_id("1", id)).await.status, 200);
    assert_eq!(app.send(&format!("{by}1"), &patient_with_id("1", "other")).await.status, 400);
    // Nothing found, with an id in the body: created under that id, unless somebody has it.
    let named = app.send(&format!("{by}2"), &patient_with_id("2", "two")).await;
    assert_eq!((named.status, named.body["id"].clone()), (201, json!("two")));
    assert_eq!(app.send(&format!("{by}3"), &patient_with_id("3", "two")).await.status, 409);
    app.send("POST Patient", &patient("1")).await;
    assert_eq!(app.send(&format!("{by}1"), &patient("1")).await.status, 412);
    assert_eq!(app.send("PUT Patient", &patient("1")).await.status, 400);
    assert_eq!(app.send(&format!("{by}2 | If-Match: W/\"9\""), &patient("2")).await.status, 412);
}

#[tokio::test]
async fn delete_by_criteria() {
    let app = App::new().await;
    let by = "DELETE Patient?identifier=http://s|1";
    assert_eq!(app.ask(by).await.status, 204);
    app.send("POST Patient", &patient("1")).await;
    let deleted = app.ask(by).await;
    assert_eq!((deleted.status, deleted.version), (204, Some(2)));
    for _ in 0..3 {
        app.send("POST Patient", &patient("1")).await;
    }
    assert_eq!(app.ask(by).await.status, 412);
    assert_eq!(app.ask("DELETE Patient").await.status, 400);
    let multiple = Settings { conditional_delete: ConditionalDelete::Multiple, ..Settings::default() };
    let few = RequestLimits { deletes_max: 2, ..RequestLimits::default() };
    let bounded = App::on(app.cx.store.clone(), multiple.clone(), few);
    assert_eq!(bounded.ask(by).await.status, 413);
    let off = Settings { conditional_delete: ConditionalDelete::Off, ..Settings::default() };
    assert_eq!(App::on(app.cx.store.clone(), off, RequestLimits::default()).ask(by).await.status, 405);
    let app = App::on(app.cx.store.clone(), multiple, RequestLimits::default());
    let told = app.ask(&format!("{by} | Prefer: return=OperationOutcome")).await;
    assert_eq!(told.status, 200);
    assert!(told.body["issue"][0]["details"]["text"].as_str().unwrap().starts_with("3 "));
    assert_eq!(app.found("Patient").await, "");
}
