//! history: <https://hl7.org/fhir/R4/http.html#history>

use fhir_model::date::format_instant;
use serde_json::{Value, json};

use crate::app::{App, BASE, link};

async fn some() -> App {
    let app = App::new().await;
    app.send(
        "POST Observation",
        &json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}}),
    )
    .await;
    for gender in ["male", "female"] {
        app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a", "gender": gender})).await;
    }
    app.send("PUT Patient/b", &json!({"resourceType": "Patient", "id": "b"})).await;
    app.ask("DELETE Patient/a").await;
    app
}

/// `DELETE Patient/a 204` per entry, newest first.
fn lines(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let line = |e: &Value| {
        let (request, response) = (&e["request"], &e["response"]);
        let status = response["status"].as_str().unwrap().split(' ').next().unwrap();
        format!("{} {} {status}", request["method"].as_str().unwrap(), request["url"].as_str().unwrap())
    };
    entries.iter().map(line).collect()
}

#[tokio::test]
async fn versions_are_listed_newest_first() {
    let app = some().await;
    let of_a = app.ask("GET Patient/a/_history").await.body;
    assert_eq!(lines(&of_a), ["DELETE Patient/a 204", "PUT Patient/a 200", "PUT Patient/a 201"]);
    assert_eq!((of_a["type"].clone(), of_a["total"].clone()), (json!("history"), json!(3)));
    assert!(of_a["entry"][0]["resource"].is_null());
    assert_eq!(of_a["entry"][0]["fullUrl"], format!("{BASE}/Patient/a"));
    assert_eq!(of_a["entry"][1]["resource"]["gender"], "female");
    assert_eq!(of_a["entry"][1]["response"]["etag"], "W/\"2\"");
    let of_type = app.ask("GET Patient/_history").await.body;
    assert_eq!(lines(&of_type).len(), 4);
    assert_eq!(lines(&of_type)[1], "PUT Patient/b 201");
    let of_all = app.ask("GET _history").await.body;
    assert_eq!(lines(&of_all)[4], "POST Observation 201");
    assert_eq!(app.ask("GET Patient/never/_history").await.status, 404);
}

#[tokio::test]
async fn pages_partition_the_history() {
    let app = some().await;
    for (path, all) in [("_history", 5), ("Patient/_history", 4), ("Patient/a/_history", 3)] {
        let mut url = format!("{path}?_count=2");
        let mut seen = Vec::new();
        loop {
            let page = app.ask(&format!("GET {url}")).await.body;
            seen.extend(lines(&page));
            match link(&page, "next") {
                Some(next) => url = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, lines(&app.ask(&format!("GET {path}")).await.body), "{path}");
        assert_eq!(seen.len(), all);
        let stolen = url.replace(path, "Observation/_history");
        assert_eq!(app.ask(&format!("GET {stolen}")).await.status, 400, "a link belongs to its history");
    }
}

#[tokio::test]
async fn time_narrows_the_history() {
    let app = some().await;
    let last = app.ask("GET Patient/a/_history").await.body["entry"][0]["response"]["lastModified"].clone();
    let last = last.as_str().unwrap();
    let since = app.ask(&format!("GET Patient/a/_history?_since={last}")).await.body;
    assert_eq!(lines(&since).last().unwrap(), lines(&since).first().unwrap());
    assert!(!lines(&since).is_empty());
    let future = format_instant(app.cx.store.now() + 3_600_000_000);
    assert!(lines(&app.ask(&format!("GET Patient/a/_history?_since={future}")).await.body).is_empty());
    assert!(lines(&app.ask("GET Patient/a/_history?_at=2000").await.body).is_empty());
    let this_year = &last[..4];
    assert_eq!(lines(&app.ask(&format!("GET Patient/a/_history?_at={this_year}")).await.body).len(), 3);
    for bad in ["_since=yesterday", "_at=x", "_count=x", "_cursor=x"] {
        assert_eq!(app.ask(&format!("GET Patient/_history?{bad}")).await.status, 400, "{bad}");
    }
    assert_eq!(app.ask("GET Patient/_history?x=1").await.status, 200);
    assert_eq!(app.ask("GET Patient/_history?x=1 | Prefer: handling=strict").await.status, 400);
}
