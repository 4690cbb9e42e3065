//! create and update: <https://hl7.org/fhir/R4/http.html#create>, <https://hl7.org/fhir/R4/http.html#update>

use fhir_interactions::{RequestLimits, Settings};
use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn create_gives_an_id() {
    let app = App::new().await;
    let sent = json!({
        "resourceType": "Patient", "id": "mine", "active": true,
        "meta": {"versionId": "77", "lastUpdated": "2000-01-01T00:00:00Z", "tag": [{"code": "t"}]}
    });
    let made = app.send("POST Patient", &sent).await;
    assert_eq!((made.status, made.version), (201, Some(1)));
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_ne!(id, "mine");
    assert_eq!(made.location.as_deref(), Some(&*format!("Patient/{id}/_history/1")));
    assert_eq!(made.body["meta"]["versionId"], "1");
    assert_ne!(made.body["meta"]["lastUpdated"], "2000-01-01T00:00:00Z");
    assert_eq!(made.body["meta"]["tag"][0]["code"], "t");
    let read = app.ask(&format!("GET Patient/{id}")).await;
    assert_eq!(read.body, made.body);
}

#[tokio::test]
async fn the_client_chooses_what_it_hears() {
    let app = App::new().await;
    let patient = json!({"resourceType": "Patient"});
    for (prefer, kind) in [
        ("minimal", Value::Null),
        ("representation", json!("Patient")),
        ("OperationOutcome", json!("OperationOutcome")),
    ] {
        let made = app.send(&format!("POST Patient | Prefer: return={prefer}"), &patient).await;
        assert_eq!((made.status, made.body["resourceType"].clone()), (201, kind), "{prefer}");
        assert!(made.location.is_some());
    }
}

#[tokio::test]
async fn update_counts_versions() {
    let app = App::new().await;
    let patient = json!({"resourceType": "Patient", "id": "a"});
    assert_eq!(app.send("PUT Patient/a", &patient).await.status, 201);
    let second = app.send("PUT Patient/a", &patient).await;
    assert_eq!((second.status, second.version), (200, Some(2)));
    assert_eq!(second.body["meta"]["versionId"], "2");
    app.ask("DELETE Patient/a").await;
    let again = app.send("PUT Patient/a", &patient).await;
    assert_eq!((again.status, again.version), (201, Some(4)));
    assert_eq!(app.ask("GET Patient/a").await.status, 200);
}

#[tokio::test]
async fn updates_follow_versions() {
    let app = App::new().await;
    let patient = json!({"resourceType": "Patient", "id": "a"});
    for (line, status) in [
        ("PUT Patient/a | If-Match: W/\"1\"", 412),
        ("PUT Patient/a | If-None-Match: *", 201),
        ("PUT Patient/a | If-None-Match: *", 412),
        ("PUT Patient/a | If-Match: W/\"2\"", 412),
        ("PUT Patient/a | If-Match: W/\"1\"", 200),
        ("PUT Patient/a | If-Match: \"2\"", 200),
        ("PUT Patient/a | If-Match: nonsense\"", 400),
    ] {
        assert_eq!(app.send(line, &patient).await.status, status, "{line}");
    }
    let strict = Settings { if_match_required: true, update_creates: false, ..Settings::default() };
    let app = App::on(app.cx.store.clone(), strict, RequestLimits::default());
    assert_eq!(app.send("PUT Patient/a", &patient).await.status, 412);
    assert_eq!(app.send("PUT Patient/a | If-Match: W/\"3\"", &patient).await.status, 200);
    assert_eq!(app.send("PUT Patient/b", &json!({"resourceType": "Patient", "id": "b"})).await.status, 405);
}

#[tokio::test]
async fn bodies_that_cannot_be_are_refused() {
    let app = App::new().await;
    for (line, body) in [
        ("POST Patient", json!({"resourceType": "Observation"})),
        ("POST Patient", json!({"id": "a"})),
        ("POST Patient", json!({"resourceType": "Patient", "name": []})),
        ("POST Patient", json!({"resourceType": "Patient", "birthDate": null})),
        ("POST Patient", json!({"resourceType": "Patient", "contained": [{"resourceType": "Nothing"}]})),
        ("PUT Patient/a", json!({"resourceType": "Patient"})),
        ("PUT Patient/a", json!({"resourceType": "Patient", "id": "b"})),
        ("PUT Patient/a_b", json!({"resourceType": "Patient", "id": "a_b"})),
    ] {
        let answer = app.send(line, &body).await;
        assert_eq!(answer.status, 400, "{line} {body}");
        assert_eq!(answer.body["issue"][0]["severity"], "error");
    }
    assert_eq!(app.ask("POST Patient").await.status, 400);
    assert_eq!(app.send("POST Patient/a", &json!({"resourceType": "Patient"})).await.status, 405);
    assert_eq!(app.found("Patient").await, "");
}
