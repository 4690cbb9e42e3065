//! A build that indexes some search parameters otherwise: what is answered while resources are indexed anew.

use std::time::Duration;

use fhir_http::Hosts;
use fhir_operations::{Everything, Reindex};
use fhir_search::registry::index_change::IndexChange;
use fhir_store::{Options, ReindexOptions};
use reqwest::Response;
use serde_json::{Value, json};

use super::app::{Setup, TestApp, issue, json};

/// How long what is done in the background may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of Patient.
const CHANGED: [&str; 3] = ["given", "gender", "identifier"];

/// A server, called by a name that it keeps whatever its port: that is a setting of the index.
struct Named(TestApp);

impl Named {
    async fn start(url: &str, further_formats: Vec<IndexChange>, pause: Duration) -> Named {
        let lease = Duration::from_millis(500);
        let reindex = ReindexOptions { batch: 1, pause, lease };
        let setup = Setup {
            names: Some(Hosts::new("127.0.0.1:80".parse().unwrap(), None, &[])),
            modules: vec![Box::new(Everything), Box::new(Reindex)],
            store: Options { connections_max: 4, further_formats, reindex, ..Options::default() },
            database: Some(url.to_owned()),
            ..Setup::default()
        };
        Named(TestApp::set_up(setup).await)
    }

    /// `METHOD path`, with a header where one is named: `GET Patient | if-none-exist: gender=male`.
    async fn send(&self, asked: &str, body: &Value) -> Response {
        let (request, header) = asked.split_once(" | ").unwrap_or((asked, ""));
        let (method, path) = request.split_once(' ').unwrap();
        let mut request = self.0.ask(method, path).header("host", "localhost");
        if let Some((name, value)) = header.split_once(": ") {
            request = request.header(name, value);
        }
        if !body.is_null() {
            let kind = match method {
                "PATCH" => "application/json-patch+json",
                _ => "application/fhir+json",
            };
            request = request.header("content-type", kind).body(body.to_string());
        }
        request.send().await.unwrap()
    }

    async fn status(&self, asked: &str, body: &Value) -> u16 {
        self.send(asked, body).await.status().as_u16()
    }

    /// A request to another organisation of the server.
    async fn of_north(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.0.at(method, &format!("/o/north/fhir/R4/{path}")).header("host", "localhost");
        let request = match body {
            Value::Null => request,
            body => request.header("content-type", "application/fhir+json").body(body.to_string()),
        };
        json(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Value {
        json(self.send(&format!("GET {path}"), &Value::Null).await).await.1
    }

    /// What `/metadata` says of a parameter of Patient.
    async fn documentation(&self, code: &str) -> String {
        let statement = self.get("metadata").await;
        let types = statement["rest"][0]["resource"].as_array().unwrap().clone();
        let patient = types.iter().find(|one| one["type"] == "Patient").unwrap();
        let params = patient["searchParam"].as_array().unwrap();
        let param = params.iter().find(|param| param["name"] == code).unwrap();
        param["documentation"].as_str().unwrap_or_default().to_owned()
    }

    /// Codes and states of search parameters, as `$reindex-status` has them.
    async fn parameters(&self) -> Vec<String> {
        let status = self.get("$reindex-status?type=Patient,Observation").await;
        let parts = status["parameter"].as_array().cloned().unwrap_or_default();
        let value = |part: &Value, name: &str| {
            let parts = part["part"].as_array().unwrap();
            let found = parts.iter().find(|part| part["name"] == name).unwrap();
            found["valueCode"].as_str().map_or_else(|| found["valueDecimal"].to_string(), str::to_owned)
        };
        let said = parts.iter().filter(|part| part["name"] == "search-parameter");
        said.map(|part| ["code", "state", "percent"].map(|name| value(part, name)).join(" ")).collect()
    }

    async fn leave(self) {
        self.0.cx.store.leave().await;
        self.0.running.abort();
    }
}

fn patient(id: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": id, "gender": "male", "birthDate": "1990-01-01",
        "name": [{"family": "Okafor", "given": ["Chidi"]}], "identifier": [{"system": "http://s", "value": id}],
        "managingOrganization": {"reference": "Organization/o"},
    })
}

fn transaction(entry: &Value) -> Value {
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": [entry] })
}

fn observation(subject: &str) -> Value {
    json!({
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": subject},
    })
}

#[tokio::test]
async fn what_relies_on_what_is_indexed_otherwise_is_refused_meanwhile() {
    let url = fhir_store::testing::database().await.unwrap();
    let former = Named::start(&url, Vec::new(), Duration::ZERO).await;
    for (path, body) in [
        ("PUT Organization/o", json!({ "resourceType": "Organization", "id": "o", "name": "Clinic" })),
        ("PUT Patient/p", patient("p")),
        (
            "PUT Observation/x",
            json!({ "id": "x", "resourceType": "Observation", "status": "final",
            "code": {"text": "x"}, "subject": {"reference": "Patient/p"} }),
        ),
    ] {
        assert_eq!(former.status(path, &body).await, 201, "{path}");
    }
    assert_eq!(former.of_north("PUT", "Patient/p", &patient("p")).await.0, 201);
    assert!(former.parameters().await.is_empty());
    former.leave().await;
    let changed = vec![IndexChange::Parameters {
        changed: |type_name, param| type_name == "Patient" && CHANGED.contains(&&*param.code),
        former: None,
    }];
    let app = Named::start(&url, changed.clone(), Duration::from_secs(3600)).await;
    let none = Value::Null;
    let patch = json!([{ "op": "replace", "path": "/birthDate", "value": "1990-01-02" }]);
    let create = |request: Value| transaction(&json!({ "request": request, "resource": patient("q") }));
    let refused = [
        ("GET Patient?given=chidi", none.clone()),
        ("GET Patient?gender:missing=false&_summary=count", none.clone()),
        ("GET Patient?family=okafor&_sort=gender", none.clone()),
        ("GET Patient?_filter=gender eq male", none.clone()),
        ("GET Observation?subject:Patient.gender=male", none.clone()),
        ("GET Observation?patient.identifier=p", none.clone()),
        ("GET Observation?_sort=subject:Patient.given", none.clone()),
        ("GET Organization?_has:Patient:organization:given=chidi", none.clone()),
        ("GET Practitioner/d/Patient?gender=male", none.clone()),
        ("GET Patient/p/Observation?subject:Patient.gender=male", none.clone()),
        ("POST Patient | if-none-exist: identifier=http://s|p", patient("q")),
        ("PUT Patient?identifier=http://s|p", patient("p")),
        ("PATCH Patient?identifier=http://s|p", patch.clone()),
        ("DELETE Patient?gender=male", none.clone()),
        (
            "POST ",
            create(json!({ "method": "POST", "url": "Patient", "ifNoneExist": "identifier=http://s|p" })),
        ),
        ("POST ", create(json!({ "method": "PUT", "url": "Patient?identifier=http://s|p" }))),
        (
            "POST ",
            transaction(&json!({
                "request": { "method": "POST", "url": "Observation" },
                "resource": observation("Patient?identifier=http://s|p"),
            })),
        ),
    ];
    for (asked, body) in &refused {
        let answer = app.send(asked, body).await;
        let retry = answer.headers().get("retry-after").is_some();
        let (status, outcome) = json(answer).await;
        assert_eq!((status, retry), (503, true), "{asked}: {outcome}");
        let (code, text) = issue(&outcome);
        assert!(
            code == "transient" && text.contains("` is being indexed: 0 % of the resources"),
            "{asked}: {text}"
        );
    }
    assert_eq!(app.of_north("GET", "Patient?gender=male", &none).await.0, 503);
    assert_eq!(app.of_north("GET", "Patient?family=okafor", &none).await.1["total"], 1);
    // What does not rely on it is whole.
    for (asked, found) in [
        ("Patient?family=okafor&_sort=birthdate&_include=Patient:organization", 2),
        ("Patient/p/$everything", 3),
        ("Patient/p/Observation", 1),
        ("Patient?_revinclude=Observation:subject", 2),
        ("Observation?subject:Patient.birthdate=1990", 1),
        ("Organization?_has:Patient:organization:family=okafor", 1),
    ] {
        let answer = app.get(asked).await;
        assert_eq!(answer["entry"].as_array().map_or(0, Vec::len), found, "{asked}: {answer}");
    }
    for (asked, body, status) in [
        ("GET Patient/p", &none, 200),
        ("PUT Patient/p", &patient("p"), 200),
        ("PATCH Patient/p", &patch, 200),
        ("POST Patient", &patient("x"), 201),
        ("POST Patient | if-none-exist: family=okafor&birthdate=gt2000", &patient("x"), 201),
        ("PUT Patient/gone", &patient("gone"), 201),
        ("DELETE Patient/gone", &none, 204),
    ] {
        assert_eq!(app.status(asked, body).await, status, "{asked}");
    }
    let said = app.documentation("gender").await;
    assert!(said.contains("answered 503"), "{said}");
    assert_eq!(app.documentation("family").await, "");
    assert_eq!(app.parameters().await, ["identifier building 0", "gender building 0", "given building 0"]);
    app.leave().await;
    let app = Named::start(&url, changed, Duration::ZERO).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while app.0.cx.registry.pending_change().is_some() {
        assert!(tokio::time::Instant::now() < deadline, "resources are not indexed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (asked, body) in &refused {
        let status = app.status(asked, body).await;
        assert_ne!(status, 503, "{asked}");
    }
    assert_eq!(app.of_north("GET", "Patient?gender=male", &none).await.1["total"], 1);
    assert_eq!((app.documentation("gender").await, app.parameters().await), (String::new(), vec![]));
}
