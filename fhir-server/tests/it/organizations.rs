//! Organisations over HTTP: `/o/<slug>/fhir/R4` is a base of its own; and what a scope hides is not there.

use std::sync::Arc;

use async_trait::async_trait;
use fhir_interactions::{AccessRequest, Guard};
use fhir_search::condition::Condition;
use fhir_store::{Rule, Rules, Scope, Store};
use serde_json::{Value, json};

use crate::app::{TestApp, condition, json as read};

async fn send(app: &TestApp, method: &str, path: &str, body: Value) -> (u16, Value, String) {
    let request = app.at(method, path).header("content-type", "application/fhir+json").body(body.to_string());
    let answer = request.send().await.unwrap();
    let location =
        answer.headers().get("location").map(|l| l.to_str().unwrap().to_owned()).unwrap_or_default();
    let (status, body) = read(answer).await;
    (status, body, location)
}

async fn get(app: &TestApp, path: &str) -> (u16, Value) {
    read(app.at("GET", path).send().await.unwrap()).await
}

fn patient(family: &str) -> Value {
    json!({"resourceType": "Patient", "id": "p", "name": [{"family": family}]})
}

#[tokio::test]
async fn each_organisation_has_a_base_of_its_own() {
    let app = TestApp::start().await;
    for (mount, family) in
        [("/fhir/R4", "Bare"), ("/o/north/fhir/R4", "North"), ("/o/south/fhir/R4", "South")]
    {
        let (status, _, location) = send(&app, "PUT", &format!("{mount}/Patient/p"), patient(family)).await;
        assert_eq!(status, 201, "{mount}");
        assert!(location.ends_with(&format!("{mount}/Patient/p/_history/1")), "{location}");
    }
    for (mount, family) in [("/fhir/R4", "Bare"), ("/o/north/fhir/R4", "North"), ("/o/south/fhir", "South")] {
        let (status, body) = get(&app, &format!("{mount}/Patient/p")).await;
        assert_eq!((status, &body["name"][0]["family"]), (200, &json!(family)), "{mount}");
        let (_, page) = get(&app, &format!("{mount}/Patient?_total=accurate")).await;
        assert_eq!(page["total"], 1, "{mount}");
        let url = page["entry"][0]["fullUrl"].as_str().unwrap();
        assert!(url.ends_with(&format!("{mount}/Patient/p")), "{url}");
        let (_, history) = get(&app, &format!("{mount}/_history")).await;
        assert_eq!(history["entry"].as_array().unwrap().len(), 1, "{mount}");
        let (_, statement) = get(&app, &format!("{mount}/metadata")).await;
        assert!(statement["implementation"]["url"].as_str().unwrap().ends_with(mount), "{statement}");
    }
    for path in [
        "/o/east/fhir/R4/Patient/p",
        "/o/east/fhir/R4/metadata",
        "/o//fhir/R4/Patient/p",
        "/o/north/Patient/p",
    ] {
        let (status, outcome) = get(&app, path).await;
        assert_eq!((status, &outcome["resourceType"]), (404, &json!("OperationOutcome")), "{path}");
    }
    app.stop.now();
}

#[tokio::test]
async fn pages_and_transactions_stay_below_the_base() {
    let app = TestApp::start().await;
    let base = format!("http://{}/o/north/fhir/R4", app.address);
    let entry = |n: usize| {
        json!({"fullUrl": format!("{base}/Patient/p{n}"), "request": {"method": "PUT", "url": format!("Patient/p{n}")},
            "resource": {"resourceType": "Patient", "id": format!("p{n}"),
            "link": [{"type": "seealso", "other": {"reference": format!("{base}/Patient/p0")}}]}})
    };
    let bundle =
        json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry(0), entry(1), entry(2)]});
    assert_eq!(send(&app, "POST", "/o/north/fhir/R4", bundle).await.0, 200);
    let (_, found) = get(&app, "/o/north/fhir/R4/Patient?link=Patient/p0&_summary=count").await;
    assert_eq!(found["total"], 3);
    let (mut url, mut seen) = (format!("{base}/Patient?_count=1"), 0);
    while !url.is_empty() {
        assert!(url.starts_with(&base), "{url}");
        let (status, page) = read(app.client.get(&url).send().await.unwrap()).await;
        assert_eq!(status, 200);
        seen += page["entry"].as_array().map_or(0, Vec::len);
        let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
        url = next.map(|link| link["url"].as_str().unwrap().to_owned()).unwrap_or_default();
    }
    assert_eq!(seen, 3);
    // Pages for people lead nowhere else either.
    for path in ["Patient", "Patient/p1", "Patient/p1/_history", "metadata"] {
        let page =
            app.client.get(format!("{base}/{path}")).header("accept", "text/html").send().await.unwrap();
        assert_eq!(page.status().as_u16(), 200, "{path}");
        let page = page.text().await.unwrap();
        let mut links = page.split(" href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let leads_out = links.clone().find(|link| link.starts_with("/fhir") || link.starts_with("/o/south"));
        assert_eq!(leads_out, None, "{path}");
        assert!(links.any(|link| link.starts_with("/o/north/fhir/R4")), "{path}: {page}");
    }
    // Search parameters are the server's own.
    let parameter = json!({"resourceType": "SearchParameter", "url": "http://x.org/clan", "name": "clan", "status": "active",
        "description": "d", "code": "clan", "base": ["Patient"], "type": "string", "expression": "Patient.name.family"});
    let stored =
        app.at("POST", "/o/north/fhir/R4/SearchParameter").header("prefer", "return=OperationOutcome");
    let stored = stored.header("content-type", "application/fhir+json").body(parameter.to_string());
    let (status, outcome) = read(stored.send().await.unwrap()).await;
    assert_eq!((status, &outcome["issue"][1]["severity"]), (201, &json!("warning")), "{outcome}");
    // The link to a page is followed below the base that gave it, and nowhere else.
    let (_, page) = get(&app, "/o/north/fhir/R4/Patient?_count=1").await;
    let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
    let next = next["url"].as_str().unwrap().strip_prefix(&base).unwrap().to_owned();
    assert_eq!(get(&app, &format!("/o/north/fhir/R4{next}")).await.0, 200);
    for mount in ["/o/south/fhir/R4", "/fhir/R4"] {
        assert_eq!(get(&app, &format!("{mount}{next}")).await.0, 400, "{mount}");
    }
    assert_eq!(get(&app, "/fhir/R4/Patient?_summary=count").await.1["total"], 0);
    // A url of another organisation leads nowhere in this one.
    let other = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
        "request": {"method": "GET", "url": format!("http://{}/o/south/fhir/R4/Patient/p0", app.address)}}]});
    let status = send(&app, "POST", "/o/north/fhir/R4", other).await.0;
    assert!((400..500).contains(&status), "{status}");
    app.stop.now();
}

/// Shows Patients but for one family, no Encounters, and lets nobody write what is hidden.
struct Hiding;

#[async_trait]
impl Guard for Hiding {
    async fn scope(&self, access: AccessRequest<'_>) -> fhir_model::Result<Scope> {
        let store = STORE.get().unwrap();
        let filter = |type_name: &str, name: &str, value: &str| {
            let hidden = condition(store, access.tenant, (type_name, name, value));
            Rule { filter: Condition::Not(Box::new(hidden)), ..Rule::all() }
        };
        if access.query.contains("_summary=false") {
            return Ok(Scope::new(access.tenant, vec![(access.tenant, Rules::All)]));
        }
        let rules = [
            ("Patient", filter("Patient", "_tag", "http://t|secret")),
            ("Observation", filter("Observation", "patient", "Patient/hidden")),
        ];
        let rules = rules.into_iter().map(|(name, rule)| (name.into(), rule)).collect();
        Ok(Scope::new(access.tenant, vec![(access.tenant, Rules::by_type(rules)?)]))
    }
}

static STORE: std::sync::OnceLock<Arc<Store>> = std::sync::OnceLock::new();

#[tokio::test]
async fn what_is_hidden_is_not_there() {
    let app = TestApp::guarded(Arc::new(Hiding)).await;
    assert!(STORE.set(app.cx.store.clone()).is_ok());
    let all = "?_summary=false";
    let secret = json!({"resourceType": "Patient", "id": "hidden", "name": [{"family": "Otieno"}],
        "meta": {"tag": [{"system": "http://t", "code": "secret"}]}});
    let open = json!({"resourceType": "Patient", "id": "open", "name": [{"family": "Otieno"}]});
    let observation = |id: &str, of: &str| {
        json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "c"},
            "subject": {"reference": format!("Patient/{of}")}})
    };
    for (path, body) in [
        ("Patient/hidden", secret.clone()),
        ("Patient/open", open.clone()),
        ("Observation/o1", observation("o1", "hidden")),
        ("Observation/o2", observation("o2", "open")),
        (
            "Encounter/e",
            json!({"resourceType": "Encounter", "id": "e", "status": "planned", "class": {"code": "AMB"}}),
        ),
    ] {
        assert_eq!(send(&app, "PUT", &format!("/fhir/R4/{path}{all}"), body).await.0, 201, "{path}");
    }
    let totals = [
        ("Patient?name=otieno", 1),
        ("Patient?_tag=secret", 0),
        ("Observation?status=final", 1),
        ("Observation?patient.name=otieno", 1),
        ("Observation?patient=hidden", 0),
        ("Patient?_has:Observation:patient:status=final", 1),
        ("Encounter?status=planned", 0),
    ];
    for (search, total) in totals {
        let (status, page) = get(&app, &format!("/fhir/R4/{search}&_total=accurate")).await;
        assert_eq!((status, &page["total"]), (200, &json!(total)), "{search}");
        assert_eq!(page["entry"].as_array().map_or(0, Vec::len), total, "{search}");
    }
    // A hidden id answers as one that is free does.
    for path in [
        "Patient/hidden",
        "Patient/hidden/_history/1",
        "Patient/hidden/_history",
        "Encounter/e",
        "Observation/o1",
    ] {
        let (status, outcome) = get(&app, &format!("/fhir/R4/{path}")).await;
        let free = path.replace("hidden", "free").replace("Encounter/e", "Encounter/f").replace("/o1", "/o9");
        let (other, nothing) = get(&app, &format!("/fhir/R4/{free}")).await;
        assert_eq!((status, other), (404, 404), "{path}");
        let text = outcome["issue"].to_string().replace(&id_of(path), "/X");
        assert_eq!(text, nothing["issue"].to_string().replace(&id_of(&free), "/X"), "{path}");
    }
    for id in ["hidden", "free"] {
        let body = json!({"resourceType": "Patient", "id": id});
        assert_eq!(send(&app, "PUT", &format!("/fhir/R4/Patient/{id}"), body.clone()).await.0, 404, "{id}");
        let entry = json!({"resource": body, "request": {"method": "PUT", "url": format!("Patient/{id}")}});
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
        assert_eq!(send(&app, "POST", "/fhir/R4", bundle).await.0, 404, "{id} in a transaction");
        let deleted = app.at("DELETE", &format!("/fhir/R4/Patient/{id}")).send().await.unwrap();
        assert_eq!(deleted.status(), 204, "{id}");
    }
    // Neither is anything moved out of sight, nor made there.
    assert_eq!(
        send(
            &app,
            "PUT",
            "/fhir/R4/Patient/open",
            json!({"resourceType": "Patient", "id": "open",
        "meta": {"tag": [{"system": "http://t", "code": "secret"}]}})
        )
        .await
        .0,
        403
    );
    assert_eq!(
        send(
            &app,
            "POST",
            "/fhir/R4/Observation",
            observation("", "hidden")
                .as_object()
                .map(|o| {
                    let mut o = o.clone();
                    o.remove("id");
                    Value::Object(o)
                })
                .unwrap()
        )
        .await
        .0,
        403
    );
    assert_eq!(get(&app, "/fhir/R4/_history").await.1["entry"].as_array().unwrap().len(), 2);
    // Who sees everything finds all of it as it was.
    let (status, body) = get(&app, &format!("/fhir/R4/Patient/hidden{all}")).await;
    assert_eq!((status, &body["meta"]["versionId"]), (200, &json!("1")));
    app.stop.now();
}

/// `/1` of `Patient/1/_history`.
fn id_of(path: &str) -> String {
    format!("/{}", path.split('/').nth(1).unwrap())
}
