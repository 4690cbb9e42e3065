//! All that a server does.

use std::sync::Arc;

use example_module::Visits;
use fhir_app::Module;
use fhir_conformance::{Pages, run_pages};
use fhir_http::HttpLimits;
use fhir_model::Key;
use fhir_model::json::{Doc, JsonLimits};
use fhir_search::IndexSettings;
use fhir_search::sql::Placement;
use fhir_store::{Commit, Method, Options, Precondition, ResourceState, Scope, Store, Write};
use serde_json::{Value, json};

use super::recording::Recording;
use crate::app::{Setup, TestApp};
use crate::law;
use crate::modules::Ledger;

/// Random questions for each of four ways to ask.
const QUESTIONS: usize = 120;

/// Has servers do all that they do, each on a database of its own, as if its tables were placed so.
pub(super) async fn run(recording: &Recording, placement: Placement) {
    let searches = async {
        for (at, how) in [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
        {
            let setup = Setup {
                modules: vec![Box::new(fhir_operations::Everything)],
                database: Some(recording.database(&format!("law{at}")).await),
                store: store(placement),
                ..Setup::default()
            };
            // The same in each run: what is recorded is compared with lists.
            law::exercise(setup, at as u64 + 1, how, QUESTIONS).await;
        }
    };
    tokio::join!(pages(recording, placement), searches);
    references(recording, placement).await;
}

fn store(placement: Placement) -> Options {
    Options { placement: Some(placement), ..Setup::default().store }
}

/// The conformance pages, and what they do not ask.
async fn pages(recording: &Recording, placement: Placement) {
    let full_text = tempfile::tempdir().unwrap();
    let url = recording.database("pages").await;
    let modules: Vec<Box<dyn Module>> = vec![
        Box::new(fhir_operations::Everything),
        Box::new(fhir_operations::Reindex),
        Box::new(fhir_adapters::DeadLetterQueue),
        Box::new(Visits),
        Box::new(Ledger),
    ];
    let app = TestApp::set_up(Setup {
        limits: HttpLimits { url_bytes_max: 8 << 10, ..HttpLimits::default() },
        modules,
        database: Some(url.clone()),
        full_text: Some(full_text.path().to_owned()),
        // What is done where there is much is done here, too.
        store: Options { entries_few: 2, chain_rare: 2, ..store(placement) },
        ..Setup::default()
    })
    .await;
    let base = app.base();
    let tally =
        tokio::task::spawn_blocking(move || run_pages(&base, &Pages::default())).await.unwrap().unwrap();
    // It is not the server that `serve` makes, so that some fail.
    assert!(tally.passed > 20 * tally.failed, "{tally:?}");
    beside_the_pages(&app).await;
    app.cx.store.export(&Scope::everything(), |_| Ok(())).await.unwrap();
    app.stop.now();
    app.work.unwrap().stop().await;
    app.cx.store.leave().await;
    fhir_store::mark_restored(&url).await.unwrap();
    // The whole index is made anew for other settings.
    let settings = IndexSettings { fold_codes: true, ..IndexSettings::default() };
    let registry = fhir_store::testing::registry().await.unwrap();
    let options = Options { settings, ..store(placement) };
    let store: Arc<Store> = Store::open(&url, options, registry).await.unwrap();
    store.leave().await;
}

/// Dead letters, jobs, organisations, and searches of which no page has the like.
async fn beside_the_pages(app: &TestApp) {
    let client = app.cx.store.connections().client().await.unwrap();
    let bury = "insert into dead_letter (id, kind, name, key, attempts, reason, failed_at) \
         values (1, 1, 'mail.send', 'a', 3, 'refused', 1), (2, 2, 'mpi.link', 'Patient/1/_history/2', 3, 'refused', 1)";
    client.execute(bury, &[]).await.unwrap();
    for (method, path) in [
        ("GET", "/admin/dlq"),
        ("GET", "/admin/dlq/depth"),
        ("POST", "/admin/dlq/0000000000000002/retry"),
        ("DELETE", "/admin/dlq/0000000000000001"),
        ("GET", "/api/visits"),
        ("POST", "/fhir/R4/$forget-visits"),
        ("POST", "/fhir/R4/$reindex"),
        ("GET", "/fhir/R4/$reindex-status"),
    ] {
        ask(app, method, path, None).await;
    }
    for search in [
        "Observation?code=http://s|a,http://s|b&_sort=-date",
        "Observation?code=http://s|a,http://s|b&_sort=date&_count=1",
        "Observation?code=a,b&_sort=-date&_total=accurate",
        "Observation?code=http://s|a&_summary=count",
        "Patient?name:contains=abc",
        "RiskAssessment?_sort=probability",
        "RiskAssessment?_sort=-probability&_count=1",
        "Observation?_sort=value-quantity",
        "Encounter?_sort=length",
        "Patient?_sort=death-date",
        "Patient?_sort=family",
        "Observation?_sort=value-string",
        "Observation?patient=Patient/a,Patient/b&_sort=-date",
        "Observation?_sort=-value-date,value-quantity",
    ] {
        ask(app, "GET", &format!("/fhir/R4/{search}"), None).await;
    }
    let north = "/o/north/fhir/R4";
    for method in ["PUT", "DELETE"] {
        ask(app, "POST", north, Some(transaction(&[("a", method), ("b", method)]))).await;
    }
    for path in ["Patient?link=Patient/a", "_history", "Patient/_history", "Patient?_has:Patient:link:_id=a"]
    {
        ask(app, "GET", &format!("{north}/{path}"), None).await;
    }
}

/// A server that lets no reference lead nowhere, and keeps bodies packed.
async fn references(recording: &Recording, placement: Placement) {
    let settings = IndexSettings { references: true, ..IndexSettings::default() };
    let store = Options { packed: true, settings, ..store(placement) };
    let database = Some(recording.database("reference_targets").await);
    let app = TestApp::set_up(Setup { store, database, ..Setup::default() }).await;
    let base = "/fhir/R4";
    ask(&app, "PUT", &format!("{base}/Patient/a"), Some(patient("a", "a"))).await;
    ask(&app, "PUT", &format!("{base}/Patient/b"), Some(patient("b", "a"))).await;
    ask(&app, "PUT", &format!("{base}/Patient/b"), Some(patient("b", "b"))).await;
    ask(&app, "POST", base, Some(transaction(&[("a", "PUT"), ("c", "PUT")]))).await;
    let refused = app.ask("DELETE", "Patient/a").send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 409, "others refer to it");
    ask(&app, "POST", base, Some(transaction(&[("c", "DELETE"), ("b", "DELETE")]))).await;
    let create = app.send("POST", "Patient", &patient("x", "a").to_string());
    let create = create.header("if-none-exist", "identifier=http://ids.example|1");
    assert_eq!(create.send().await.unwrap().status().as_u16(), 201);
    preconditions(&app.cx.store).await;
    app.stop.now();
}

/// What rules of modules may demand of a write.
async fn preconditions(store: &Store) {
    let none = || Key::new("Patient", "none");
    let body = r#"{"resourceType":"Patient","id":"d","meta":{"versionId":"1"}}"#.to_owned();
    let write = Write {
        key: Key::new("Patient", "d"),
        before: ResourceState::Absent,
        version: 1,
        method: Method::Put,
        doc: Some(Doc::parse(body, JsonLimits::default()).unwrap()),
        preconditions: vec![
            Precondition::Absent(none()),
            Precondition::Unreferenced(none()),
            Precondition::Present(Key::new("Patient", "a")),
        ],
    };
    let timestamp = store.commit_timestamp().unwrap();
    let done = store.commit(&Scope::everything(), &timestamp, &[write]).await.unwrap();
    assert_eq!(done, Commit::Done);
}

async fn ask(app: &TestApp, method: &str, path: &str, body: Option<Value>) {
    let request = app.at(method, path).header("content-type", "application/fhir+json");
    let request = request.body(body.map(|body| body.to_string()).unwrap_or_default());
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert!(status < 400, "{method} {path}: {status} {}", answer.text().await.unwrap());
}

fn patient(id: &str, link: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "link": [{"type": "seealso", "other": {"reference": format!("Patient/{link}")}}]})
}

fn transaction(writes: &[(&str, &str)]) -> Value {
    let entry = |(id, method): &(&str, &str)| {
        let request = json!({"method": method, "url": format!("Patient/{id}")});
        match *method {
            "DELETE" => json!({ "request": request }),
            _ => json!({"resource": patient(id, "a"), "request": request}),
        }
    };
    let entries: Vec<Value> = writes.iter().map(entry).collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}
