//! What a search tells of itself: strict handling, `_explain`, and what took too long.

use std::time::Duration;

use fhir_access::Permission;
use fhir_interactions::{AccessRequest, Guard, Principal, RequestLimits, Settings};
use fhir_store::{Options, Scope, Store, testing};
use serde_json::json;

use super::some;
use crate::app::{App, ids};

#[tokio::test]
async fn strict_handling_names_what_is_not_understood() {
    let app = some().await;
    for (query, name) in [
        ("nonsense=1", "nonsense"),
        ("gender=", "gender"),
        ("_count=2&_count=3", "_count"),
        ("_include=Patient:nonsense", "nonsense"),
        ("_elements=nonsense", "nonsense"),
        ("subject:nonsense=1", "subject"),
    ] {
        let strict = app.ask(&format!("GET Patient?{query} | Prefer: handling=strict")).await;
        assert_eq!(strict.status, 400, "{query}");
        assert!(strict.body.to_string().contains(name), "{query}: {}", strict.body);
        let lenient = app.ask(&format!("GET Patient?{query}")).await;
        assert_eq!(lenient.status, 200, "{query}: {}", lenient.body);
        assert!(
            lenient.body["entry"].as_array().unwrap().last().unwrap().to_string().contains(name),
            "{query}"
        );
    }
    // What would answer another question is refused either way.
    for query in [
        "gender:nonsense=x",
        "birthdate:exact=2000",
        "birthdate=xx2000",
        "_count=x",
        "_count:exact=1",
        "_total=some",
        "_summary=most",
        "_sort=nonsense",
        "_include:nonsense=Patient:link",
        "_contained=true",
        "_contained=both",
        "_contained=some",
        "_containedType=some",
        "_query=x",
    ] {
        for prefer in ["", " | Prefer: handling=strict"] {
            assert_eq!(app.ask(&format!("GET Patient?{query}{prefer}")).await.status, 400, "{query}{prefer}");
        }
    }
}

#[tokio::test]
async fn those_who_run_the_server_are_told_how_it_answers() {
    let mut app = some().await;
    assert_eq!(app.ask("GET Patient?family=bea&_explain=true").await.status, 403);
    app.cx.guard = std::sync::Arc::new(Operator);
    let found = app.ask("GET Patient?family=bea&_explain=true").await.body;
    assert_eq!(ids(&found), "b");
    let outcome = found["entry"].as_array().unwrap().last().unwrap();
    assert_eq!(outcome["search"]["mode"], "outcome");
    let issue = &outcome["resource"]["issue"][0];
    assert_eq!((&issue["severity"], &issue["code"]), (&json!("information"), &json!("informational")));
    let text = issue["details"]["text"].as_str().unwrap();
    assert!(text.contains(": 1 rows, ") && text.contains("e.value >= $2"), "{text}");
    assert!(!text.to_lowercase().contains("bea"), "values are not told: {text}");
    assert!(
        app.ask("GET Patient?family=bea&_explain=false").await.body["entry"].as_array().unwrap().len() == 1
    );
    assert_eq!(app.ask("GET Patient?_explain=perhaps").await.status, 400);
}

/// What cannot be answered in time says what it was that took so long, and for which parameter.
#[tokio::test]
async fn what_takes_too_long_is_named() {
    let options =
        Options { connections_max: 4, statement_timeout: Duration::from_millis(100), ..Options::default() };
    let url = testing::database().await.unwrap();
    let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
    let app = App::on(store, Settings::default(), RequestLimits::default());
    let lock = testing::hold_resources(&url).await.unwrap();
    for (search, what, name) in [
        ("Patient?gender=male", "going through the resources of the type", None),
        ("Patient?_summary=count", "counting all that match", None),
        ("Patient?family=a&_total=accurate", "looking at all resources that have a value", None),
        ("Patient?_sort=identifier", "sorting all that match", Some("_sort")),
        ("Observation?subject:Patient.gender=male", "`subject`: ", Some("subject")),
        ("Patient?_has:Observation:patient:code=a", "`_has:", Some("_has:Observation:patient")),
        ("?_type=Patient,Observation&_tag=x", "going through the resources", None),
    ] {
        let answer = app.ask(&format!("GET {search}")).await;
        let issue = &answer.body["issue"][0];
        assert_eq!((answer.status, &issue["code"]), (504, &json!("timeout")), "{search}");
        let text = issue["details"]["text"].as_str().unwrap();
        assert!(text.contains(what) && text.contains("longer than this server allows"), "{search}: {text}");
        assert_eq!(issue["expression"][0].as_str(), name, "{search}: {text}");
    }
    drop(lock);
    assert_eq!(app.ask("GET Patient?gender=male").await.status, 200, "and then it goes on");
}

/// Who runs the server.
struct Operator;

#[async_trait::async_trait]

impl Guard for Operator {
    async fn scope(&self, _: AccessRequest<'_>) -> fhir_model::Result<Scope> {
        Ok(Scope::everything())
    }

    fn holds(&self, _: &Principal, _: Permission) -> bool {
        true
    }
}
