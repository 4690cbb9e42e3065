//! `/admin/dlq`: what failed too often, for administrators.

use std::sync::Arc;

use fhir_access::{DenyAll, Open};
use fhir_interactions::Guard;
use serde_json::{Value, json};

use crate::app::{Setup, TestApp, json};

async fn start(guard: Arc<dyn Guard>) -> TestApp {
    let modules: Vec<Box<dyn fhir_app::Module>> = vec![Box::new(fhir_adapters::DeadLetterQueue)];
    TestApp::set_up(Setup {
        guard,
        modules,
        variables: &[("CARI_DLQ__ALERT_DEPTH", "2")],
        ..Setup::default()
    })
    .await
}

async fn ask(app: &TestApp, method: &str, path: &str) -> (u16, Value) {
    json(app.at(method, path).send().await.unwrap()).await
}

#[tokio::test]
async fn dead_letters_are_listed_retried_and_discarded() {
    let app = start(Arc::new(Open)).await;
    let (status, answer) = ask(&app, "GET", "/admin/dlq/depth").await;
    let data = json!({ "depth": 0, "alert": false, "alert_at": 2, "oldest_at": null });
    assert_eq!((status, answer), (200, json!({ "success": true, "data": data })));
    let client = app.cx.store.connections().client().await.unwrap();
    for (id, kind, name, key) in
        [(1_i64, 1_i16, "mail.send", "a"), (255, 2, "mpi.link", "Patient/1/_history/2")]
    {
        let bury = "insert into dead_letter (id, kind, name, key, attempts, reason, failed_at) \
            values ($1, $2, $3, $4, 3, 'refused', 1700000000000000 + $1)";
        client.execute(bury, &[&id, &kind, &name, &key]).await.unwrap();
    }
    let (status, answer) = ask(&app, "GET", "/admin/dlq").await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)));
    assert_eq!(answer["meta"], json!({ "page": 1, "limit": 20, "total": 2 }));
    assert_eq!(
        answer["data"][1],
        json!({
            "id": "00000000000000ff", "kind": "change", "name": "mpi.link", "key": "Patient/1/_history/2",
            "payload": "masked", "attempts": 3, "reason": "refused",
            "failed_at": "2023-11-14T22:13:20.000Z", "status": "dead",
        })
    );
    let (_, second) = ask(&app, "GET", "/admin/dlq?page=2&limit=1").await;
    assert_eq!((&second["data"][0]["id"], &second["meta"]["total"]), (&json!("00000000000000ff"), &json!(2)));
    let (_, depth) = ask(&app, "GET", "/admin/dlq/depth").await;
    assert_eq!((&depth["data"]["depth"], &depth["data"]["alert"]), (&json!(2), &json!(true)));
    // Asked twice, it is tried again once.
    for _ in 0..2 {
        let (status, answer) = ask(&app, "POST", "/admin/dlq/00000000000000ff/retry").await;
        assert_eq!((status, &answer["data"]["status"]), (202, &json!("retrying")));
    }
    let row = client.query_one("select count(*) from job where type = 'change/mpi.link'", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
    let (_, depth) = ask(&app, "GET", "/admin/dlq/depth").await;
    assert_eq!((&depth["data"]["depth"], &depth["data"]["alert"]), (&json!(1), &json!(false)));
    let (status, answer) = ask(&app, "DELETE", "/admin/dlq/0000000000000001").await;
    assert_eq!((status, &answer["data"]["status"]), (200, &json!("discarded")));
    for (method, path, wanted) in [
        ("DELETE", "/admin/dlq/0000000000000001", "NOT_FOUND"),
        ("POST", "/admin/dlq/0000000000000001/retry", "NOT_FOUND"),
        ("DELETE", "/admin/dlq/%27%20or%201", "NOT_FOUND"),
        ("PUT", "/admin/dlq", "METHOD_NOT_ALLOWED"),
    ] {
        let (_, answer) = ask(&app, method, path).await;
        assert_eq!((&answer["success"], &answer["error"]["code"]), (&json!(false), &json!(wanted)), "{path}");
    }
}

#[tokio::test]
async fn dead_letters_are_for_those_who_may_administer() {
    for (guard, wanted) in
        [(Arc::new(DenyAll) as Arc<dyn fhir_interactions::Guard>, 401), (Arc::new(Open), 200)]
    {
        let app = start(guard).await;
        for (method, path) in [
            ("GET", "/admin/dlq"),
            ("GET", "/admin/dlq/depth"),
            ("POST", "/admin/dlq/0000000000000001/retry"),
            ("DELETE", "/admin/dlq/0000000000000001"),
        ] {
            let (status, answer) = ask(&app, method, path).await;
            // What may be asked for is looked for, and is not there.
            let wanted = if wanted == 200 && method != "GET" { 404 } else { wanted };
            assert_eq!(status, wanted, "{method} {path}: {answer}");
        }
    }
}
