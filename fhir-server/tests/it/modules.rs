//! Features: what they bring is served, kept apart, and refused at the start where it does not fit.

mod edge;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use example_module::Visits;
use fhir_app::{
    ColumnType, Effect, EffectTable, EffectValue, MigrationFile, Module, Result, WriteChange, async_trait,
};
use serde_json::{Value, json};

use crate::app::{TestApp, json};

async fn visits(app: &TestApp) -> Value {
    let (status, answer) = json(app.at("GET", "/api/visits").send().await.unwrap()).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
    answer["data"]["visits"].clone()
}

async fn until(app: &TestApp, wanted: u64) {
    for _ in 0..200 {
        if visits(app).await == json!(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(visits(app).await, json!(wanted));
}

/// The module that the how-to quotes: its table, route, operation, job and consumer.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_works() {
    let app = TestApp::with_modules(vec![Box::new(Visits)]).await;
    assert_eq!(visits(&app).await, json!(0));
    let encounter = r#"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"}}"#;
    for _ in 0..3 {
        assert_eq!(app.send("POST", "Encounter", encounter).send().await.unwrap().status().as_u16(), 201);
    }
    app.send("POST", "Patient", r#"{"resourceType":"Patient"}"#).send().await.unwrap();
    until(&app, 3).await;
    assert_eq!(app.ask("GET", "$forget-visits").send().await.unwrap().status().as_u16(), 405);
    assert_eq!(app.ask("POST", "$forget-visits").send().await.unwrap().status().as_u16(), 202);
    until(&app, 0).await;
    let (_, statement) = json(app.ask("GET", "metadata").send().await.unwrap()).await;
    let operations = statement["rest"][0]["operation"].as_array().unwrap();
    assert!(operations.iter().any(|operation| operation["name"] == "forget-visits"), "{operations:?}");
    let line =
        "cari_module_requests_total{method=\"GET\",module=\"visits\",route=\"/api/visits\",status=\"200\"}";
    assert!(app.metric(line).await.parse::<u64>().unwrap() >= 2);
    app.work.unwrap().stop().await;
}

/// Records who was written, and refuses what says so.
pub(crate) struct Ledger;

struct LedgerEffect;

const TABLE: EffectTable = EffectTable {
    name: "ledger_line",
    columns: &[
        ("key", ColumnType::Text),
        ("at", ColumnType::Int8),
        ("handle", ColumnType::Int8),
        ("old", ColumnType::Int8),
        ("seal", ColumnType::Bytea),
    ],
};

impl Effect for LedgerEffect {
    fn table(&self) -> &'static EffectTable {
        &TABLE
    }

    fn rows(&self, change: &WriteChange<'_>) -> Result<Vec<Vec<EffectValue>>> {
        let old = match change.before.last_version() {
            0 => EffectValue::Null,
            version => EffectValue::Int8(version.into()),
        };
        // Two rows for a Patient, one for others, none for a Basic.
        let count = match &*change.key.type_name {
            "Patient" => 2,
            "Basic" => 0,
            _ => 1,
        };
        let row = |_| {
            vec![
                EffectValue::Text(format!("{}/{}", change.key, change.version)),
                EffectValue::Int8(change.updated_at),
                EffectValue::Int8(change.handle),
                old.clone(),
                EffectValue::Bytea(vec![0, 255]),
            ]
        };
        Ok((0..count).map(row).collect())
    }
}

#[async_trait]
impl Module for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn migrations(&self) -> &'static [MigrationFile] {
        const TABLE: &str =
            "create table ledger_line (key text, at int8, handle int8, old int8, seal bytea);\n";
        &[(1, "line", TABLE)]
    }

    fn effects(&self) -> Vec<Arc<dyn Effect>> {
        vec![Arc::new(LedgerEffect)]
    }
}

/// Rows of a module come with the write or not at all, whatever it is written by.
#[tokio::test]
async fn effects_are_of_the_write_itself() {
    let app = TestApp::with_modules(vec![Box::new(Ledger)]).await;
    let client = app.cx.store.connections().client().await.unwrap();
    let lines = async || {
        let sql = "select string_agg(l.key || coalesce('<' || l.old, ''), ' ' order by l.at, l.key) from ledger_line l \
                   join (select handle, updated_at from resource union all select handle, updated_at from resource_history) r \
                   on r.handle = l.handle and r.updated_at = l.at where l.seal = '\\x00ff'";
        client.query_one(sql, &[]).await.unwrap().get::<_, Option<String>>(0).unwrap_or_default()
    };
    let status = async |method: &str, path: &str, body: &str| {
        app.send(method, path, body).send().await.unwrap().status().as_u16()
    };
    let patient = r#"{"resourceType":"Patient","id":"p"}"#;
    assert_eq!(status("PUT", "Patient/p", patient).await, 201);
    assert_eq!(lines().await, "Patient/p/1 Patient/p/1");
    // Not for what is refused, or stale, or already so.
    assert_eq!(status("PUT", "Patient/other", patient).await, 400);
    let stale = app.send("PUT", "Patient/p", patient).header("if-match", "W/\"7\"").send().await.unwrap();
    assert_eq!(stale.status().as_u16(), 412);
    assert_eq!(status("DELETE", "Patient/none", "").await, 204);
    assert_eq!(lines().await, "Patient/p/1 Patient/p/1");
    assert_eq!(status("PUT", "Patient/p", r#"{"resourceType":"Patient","id":"p","active":true}"#).await, 200);
    assert_eq!(status("POST", "Basic", r#"{"resourceType":"Basic","code":{"text":"x"}}"#).await, 201);
    let two = |second: &str| {
        json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"request": {"method": "PUT", "url": "Group/g"},
             "resource": {"resourceType": "Group", "id": "g", "type": "person", "actual": true}},
            {"request": {"method": "PUT", "url": "List/l"},
             "resource": {"resourceType": "List", "id": second, "status": "current", "mode": "working"}}]})
        .to_string()
    };
    assert_eq!(status("POST", "", &two("other")).await, 400);
    assert_eq!(status("POST", "", &two("l")).await, 200);
    assert_eq!(status("DELETE", "List/l", "").await, 204);
    let wanted = "Patient/p/1 Patient/p/1 Patient/p/2<1 Patient/p/2<1 Group/g/1 List/l/1 List/l/2<1";
    assert_eq!(lines().await, wanted);
    // What the table itself refuses is not "others changed it, try again".
    client
        .batch_execute("create unique index ledger_line_key on ledger_line (key, at) where key like 'Group%'")
        .await
        .unwrap();
    client.execute("insert into ledger_line (key, at) select 'Group/h/1', 0", &[]).await.unwrap();
    client
        .batch_execute("create unique index ledger_line_h on ledger_line (key) where key = 'Group/h/1'")
        .await
        .unwrap();
    let group = r#"{"resourceType":"Group","id":"h","type":"person","actual":true}"#;
    assert_eq!(status("PUT", "Group/h", group).await, 500);
    assert_eq!(status("GET", "Group/h", "").await, 404);
    // The table is gone: nothing can be written that should be recorded there, and what needs no record can.
    client.batch_execute("drop table ledger_line").await.unwrap();
    assert_eq!(status("PUT", "Patient/q", &patient.replace("\"p\"", "\"q\"")).await, 500);
    assert_eq!(status("GET", "Patient/q", "").await, 404);
    assert_eq!(status("POST", "Basic", r#"{"resourceType":"Basic","code":{"text":"y"}}"#).await, 201);
}
