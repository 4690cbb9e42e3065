//! SearchParameters that take effect: by every way of writing, and what searches say of it.

use std::sync::Arc;
use std::time::Duration;

use fhir_interactions::{RequestLimits, Settings};
use fhir_store::{Options, ReindexOptions, Store, testing};
use serde_json::{Value, json};

use crate::app::App;

fn definition(id: &str, code: &str, expression: &str) -> Value {
    json!({
        "resourceType": "SearchParameter", "id": id, "url": format!("http://example.org/{id}"), "name": code,
        "status": "active", "description": "d", "code": code, "base": ["Patient"], "type": "string",
        "expression": expression,
    })
}

fn good(id: &str) -> Value {
    definition(id, &format!("nick-{id}"), "Patient.name.text")
}

fn bad(id: &str) -> Value {
    definition(id, "bad", "Patient.name..text")
}

fn transaction(entries: &[(&str, &str, Value)]) -> Value {
    let entry = |(method, url, resource): &(&str, &str, Value)| json!({ "request": { "method": method, "url": url }, "resource": resource });
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries.iter().map(entry).collect::<Vec<_>>() })
}

fn knows(app: &App, code: &str) -> bool {
    app.cx.registry.for_type("Patient").unwrap().param(code).is_some()
}

/// Every way in which a SearchParameter can be written lets it take effect, and refuses one that cannot.
#[tokio::test]
async fn every_way_of_writing() {
    let app = App::new().await;
    let put_draft = |id: &str| {
        let mut draft = good(id);
        draft["status"] = json!("draft");
        draft
    };
    for id in ["patched", "fhirpath"] {
        assert_eq!(app.send(&format!("PUT SearchParameter/{id}"), &put_draft(id)).await.status, 201);
        assert!(!knows(&app, &format!("nick-{id}")));
    }
    let activate = json!([{ "op": "replace", "path": "/status", "value": "active" }]);
    let break_it = json!([{ "op": "replace", "path": "/status", "value": "active" },
        { "op": "replace", "path": "/expression", "value": "Patient.name..text" }]);
    let by_path = json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
        { "name": "type", "valueCode": "replace" }, { "name": "path", "valueString": "SearchParameter.status" },
        { "name": "value", "valueCode": "active" },
    ]}]});
    let batch = |resource: Value| {
        let mut batch = transaction(&[("POST", "SearchParameter", resource)]);
        batch["type"] = json!("batch");
        batch
    };
    let rows = [
        // what is refused, what takes effect, its code
        (("POST SearchParameter", bad("x")), ("POST SearchParameter", good("posted")), "nick-posted"),
        (("PUT SearchParameter/put", bad("put")), ("PUT SearchParameter/put", good("put")), "nick-put"),
        (
            ("PUT SearchParameter?url=http://example.org/cond", bad("cond")),
            ("PUT SearchParameter?url=http://example.org/cond", good("cond")),
            "nick-cond",
        ),
        (
            ("PATCH SearchParameter/patched", break_it.clone()),
            ("PATCH SearchParameter/patched", activate),
            "nick-patched",
        ),
        (
            ("PATCH SearchParameter?url=http://example.org/fhirpath", break_it),
            ("PATCH SearchParameter?url=http://example.org/fhirpath", by_path),
            "nick-fhirpath",
        ),
        (
            ("POST ", transaction(&[("POST", "SearchParameter", bad("x"))])),
            ("POST ", transaction(&[("PUT", "SearchParameter/tx", good("tx"))])),
            "nick-tx",
        ),
    ];
    for ((refused, wrong), (line, right), code) in rows {
        let answer = app.send(refused, &wrong).await;
        assert_eq!(answer.status, 422, "{refused}: {}", answer.body);
        assert!(answer.body.to_string().contains("at byte 13"), "{refused}: {}", answer.body);
        assert!(!knows(&app, code), "{refused}");
        let answer = app.send(line, &right).await;
        assert!(matches!(answer.status, 200 | 201), "{line}: {}", answer.body);
        assert!(knows(&app, code), "{line}");
    }
    let answer = app.send("POST ", &batch(bad("x"))).await.body;
    assert_eq!(answer["entry"][0]["response"]["status"], "422 Unprocessable Content");
    app.send("POST ", &batch(good("batch"))).await;
    assert!(knows(&app, "nick-batch"));
    // And every way in which one can go.
    let mut retired = good("put");
    retired["status"] = json!("retired");
    for (line, body, code) in [
        ("DELETE SearchParameter/patched", None, "nick-patched"),
        ("DELETE SearchParameter?url=http://example.org/cond", None, "nick-cond"),
        ("PUT SearchParameter/put", Some(retired), "nick-put"),
        (
            "POST ",
            Some(json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
                { "request": { "method": "DELETE", "url": "SearchParameter/tx" } },
            ]})),
            "nick-tx",
        ),
    ] {
        let answer = match &body {
            Some(body) => app.send(line, body).await,
            None => app.ask(line).await,
        };
        assert!(matches!(answer.status, 200 | 204), "{line}: {}", answer.body);
        assert!(!knows(&app, code), "{line}");
    }
}

#[tokio::test]
async fn the_fault_is_placed_in_its_entry() {
    let app = App::new().await;
    let patient = json!({ "resourceType": "Patient", "id": "p" });
    let entries = [("PUT", "Patient/p", patient), ("POST", "SearchParameter", bad("x"))];
    let answer = app.send("POST ", &transaction(&entries)).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.body["issue"][0]["expression"][0], "Bundle.entry[1].resource.expression");
    assert_eq!(app.ask("GET Patient/p").await.status, 404);
}

/// Its job never comes to an end, within the time of a test.
async fn slow() -> Arc<Store> {
    let reindex = ReindexOptions { batch: 1, pause: Duration::from_secs(3600), ..ReindexOptions::default() };
    testing::fresh_with(Options { connections_max: 4, reindex, ..Options::default() }).await.unwrap()
}

#[tokio::test]
async fn what_is_not_ready_is_said() {
    let app = App::on(slow().await, Settings::default(), RequestLimits::default());
    let patient = json!({ "resourceType": "Patient", "id": "p", "name": [{ "text": "Ann" }],
        "managingOrganization": { "reference": "Organization/o" } });
    app.send("PUT Patient/p", &patient).await;
    app.send("PUT Organization/o", &json!({ "resourceType": "Organization", "id": "o" })).await;
    app.send("PUT SearchParameter/nick", &definition("nick", "nick", "Patient.name.text")).await;
    let mut keeper = definition("keeper", "keeper", "Patient.managingOrganization");
    keeper["type"] = json!("reference");
    keeper["target"] = json!(["Organization"]);
    app.send("PUT SearchParameter/keeper", &keeper).await;
    for (query, code) in [
        ("Patient?nick=ann", "nick"),
        ("Patient?nick:missing=true", "nick"),
        ("Patient?_sort=nick", "nick"),
        ("Patient?keeper.name=x", "keeper"),
        ("Observation?subject:Patient.nick=ann", "nick"),
        ("Organization?_has:Patient:keeper:nick=ann", "nick"),
        ("Organization?_has:Patient:keeper:gender=male", "keeper"),
        ("Organization?_revinclude=Patient:keeper", "keeper"),
        ("Organization?_revinclude=Patient:*", "keeper"),
    ] {
        let answer = app.ask(&format!("GET {query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let said = format!("`{code}` is being indexed: 0 %");
        assert!(answer.body.to_string().contains(&said), "{query}: {}", answer.body);
        let strict = app.ask(&format!("GET {query} | Prefer: handling=strict")).await;
        assert_eq!(strict.status, 503, "{query}: {}", strict.body);
        assert_eq!(strict.body["issue"][0]["code"], "transient", "{query}");
    }
    // What a write depends on must be whole.
    let answer = app.send("PUT Patient?nick=ann", &json!({ "resourceType": "Patient" })).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    // What needs no index is whole.
    let included = app.ask("GET Patient?_include=Patient:keeper | Prefer: handling=strict").await;
    assert_eq!((included.status, included.body["entry"].as_array().unwrap().len()), (200, 2));
}

/// A process that has just been told of a parameter by nobody looks before it says that it does not know it.
#[tokio::test]
async fn another_process_looks_before_it_passes_a_parameter_over() {
    let url = testing::database().await.unwrap();
    let open = async || {
        let options = Options { connections_max: 4, ..Options::default() };
        let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
        App::on(store, Settings::default(), RequestLimits::default())
    };
    let (one, other) = (open().await, open().await);
    one.send("PUT SearchParameter/nick", &definition("nick", "nick", "Patient.name.text")).await;
    let answer = other.ask("GET Patient?nick:contains=ann").await.body.to_string();
    assert!(!answer.contains("not a search parameter"), "{answer}");
}

#[tokio::test]
async fn capabilities_name_what_was_added() {
    let app = App::new().await;
    let named = async |mode: &str| {
        let statement = app.ask(&format!("GET metadata{mode}")).await.body;
        let types = statement["rest"][0]["resource"].as_array().unwrap().clone();
        let patient = types.iter().find(|t| t["type"] == "Patient").unwrap();
        let params = patient["searchParam"].as_array().unwrap();
        params.iter().find(|p| p["name"] == "nick").map(|p| p["definition"].as_str().unwrap().to_owned())
    };
    for mode in ["", "?mode=full"] {
        assert_eq!(named(mode).await, None);
    }
    app.send("PUT SearchParameter/nick", &definition("nick", "nick", "Patient.name.text")).await;
    for mode in ["", "?mode=full"] {
        assert_eq!(named(mode).await.as_deref(), Some("http://example.org/nick"));
    }
    app.ask("DELETE SearchParameter/nick").await;
    assert_eq!(named("").await, None);
}
