//! read and vread: <https://hl7.org/fhir/R4/http.html#read>

use fhir_interactions::{Body, handle};
use fhir_model::json::Doc;
use serde_json::{Value, json};

use crate::app::{App, request};

#[tokio::test]
async fn what_was_written_is_read() {
    let app = App::new().await;
    let sent = r#"{"id":"a","status":"final","code":{"text":"c"},"valueQuantity":{"value":1.00},
        "extension":[{"url":"http://x","valueDecimal":1.5E-10}],"resourceType":"Observation"}"#;
    let body = Body::Resource(Doc::parse(sent, app.cx.limits.json).unwrap());
    let written = app.run(request("PUT Observation/a", Some(body))).await;
    assert_eq!(written.status, 201, "{}", written.body);
    let read = handle(&app.cx, request("GET Observation/a", None).unwrap()).await.unwrap();
    assert_eq!((read.status, read.version), (200, Some(1)));
    assert_eq!(read.last_modified, written.last_modified);
    let text = String::from_utf8(read.body.unwrap().to_vec()).unwrap();
    assert!(text.starts_with("{\"resourceType\":\"Observation\""), "{text}");
    assert!(text.contains(":1.00}") && text.contains(":1.5E-10}"), "{text}");
    let mut body: Value = serde_json::from_str(&text).unwrap();
    let meta = body.as_object_mut().unwrap().remove("meta").unwrap();
    assert_eq!(body, serde_json::from_str::<Value>(sent).unwrap());
    assert_eq!(meta["versionId"], "1");
}

#[tokio::test]
async fn versions_are_read() {
    let app = App::new().await;
    for gender in ["male", "female"] {
        app.send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a", "gender": gender})).await;
    }
    app.ask("DELETE Patient/a").await;
    for (line, status, gender) in [
        ("GET Patient/a/_history/1", 200, "male"),
        ("GET Patient/a/_history/2", 200, "female"),
        ("GET Patient/a/_history/3", 410, ""),
        ("GET Patient/a/_history/4", 404, ""),
        ("GET Patient/b/_history/1", 404, ""),
        ("GET Patient/a", 410, ""),
        ("GET Patient/b", 404, ""),
        ("GET Nothing/b", 404, ""),
        ("HEAD Patient/a/_history/1", 200, "male"),
    ] {
        let answer = app.ask(line).await;
        assert_eq!(answer.status, status, "{line}");
        if status == 200 {
            assert_eq!(answer.body["gender"], gender, "{line}");
        } else {
            assert_eq!(answer.body["resourceType"], "OperationOutcome", "{line}");
        }
    }
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let app = App::new().await;
    let at = app
        .send("PUT Patient/a", &json!({"resourceType": "Patient", "id": "a"}))
        .await
        .last_modified
        .unwrap();
    let (same, before) = (at, at - 1_000_000);
    for (line, status) in [
        ("GET Patient/a | If-None-Match: W/\"1\"".to_owned(), 304),
        ("GET Patient/a | If-None-Match: W/\"2\"".to_owned(), 200),
        ("GET Patient/a/_history/1 | If-None-Match: W/\"1\"".to_owned(), 304),
        (format!("GET Patient/a | If-Modified-Since: {same}"), 304),
        (format!("GET Patient/a | If-Modified-Since: {before}"), 200),
    ] {
        let answer = app.ask(&line).await;
        assert_eq!((answer.status, answer.body.is_null()), (status, status == 304), "{line}");
        assert_eq!(answer.version, Some(1));
    }
}

#[tokio::test]
async fn parts_are_read() {
    let app = App::new().await;
    let patient = json!({
        "resourceType": "Patient", "id": "a", "gender": "male", "birthDate": "2000-01-01",
        "contact": [{"gender": "female"}]
    });
    app.send("PUT Patient/a", &patient).await;
    let summary = app.ask("GET Patient/a?_summary=true").await.body;
    assert_eq!((summary["gender"].clone(), summary["contact"].is_null()), (json!("male"), true));
    assert_eq!(summary["meta"]["tag"][0]["code"], "SUBSETTED");
    let elements = app.ask("GET Patient/a?_elements=contact").await.body;
    assert_eq!((elements["gender"].is_null(), elements["contact"].is_array()), (true, true));
    assert_eq!(app.ask("GET Patient/a?_summary=wrong").await.status, 400);
}

#[tokio::test]
async fn what_is_not_known_is_refused_when_the_client_is_strict() {
    let app = App::new().await;
    let patient = json!({"resourceType": "Patient", "id": "a", "gender": "male", "birthDate": "2000-01-01"});
    app.send("PUT Patient/a", &patient).await;
    for (line, named) in [
        ("GET Patient/a?nonsense=1", "nonsense"),
        ("GET Patient/a?_count=1", "_count"),
        ("GET Patient/a/_history/1?_since=2020", "_since"),
        ("GET Patient/a?_elements=gender,nonsense", "_elements"),
        ("GET Patient/a?_elements=name.nonsense", "_elements"),
        ("GET Patient/a?_elements=Observation.gender", "_elements"),
        ("GET Patient/a/_history?_elements=nonsense", "_elements"),
        ("GET _history?_elements=nonsense", "_elements"),
        ("GET Patient?_elements=nonsense", "_elements"),
        ("GET Patient?_elements=status", "_elements"),
        ("GET Patient?_elements=gender,Observation.status", "_elements"),
        // The list is none of what is included.
        ("GET Patient?_elements=status&_revinclude=Observation:subject", "_elements"),
        ("PUT Patient/a?nonsense=1", "nonsense"),
        ("POST Patient?nonsense=1", "nonsense"),
        ("DELETE Patient/a?nonsense=1", "nonsense"),
    ] {
        let (strict, lenient) = (format!("{line} | Prefer: handling=strict"), line.to_owned());
        let ask = async |line: &str| match line.starts_with('P') {
            true => app.send(line, &patient).await,
            false => app.ask(line).await,
        };
        let refused = ask(&strict).await;
        assert_eq!(refused.status, 400, "{line}: {}", refused.body);
        assert_eq!(refused.body["issue"][0]["expression"], json!([named]), "{line}");
        let answered = ask(&lenient).await;
        assert!(matches!(answered.status, 200 | 201 | 204), "{line}: {}", answered.body);
    }
    app.send("PUT Patient/a", &patient).await;
    for known in [
        "Patient/a?_elements=gender,name.family,Patient.birthDate,deceased,deceasedBoolean,extension.value&_format=json",
        "Patient/a?_summary=text&_pretty=true",
        "?_type=Patient,Observation&_elements=gender,Observation.status",
    ] {
        let answer = app.ask(&format!("GET {known} | Prefer: handling=strict")).await;
        assert_eq!(answer.status, 200, "{known}: {}", answer.body);
    }
    // A search tells what it left out.
    let bundle = app.ask("GET Patient?_elements=gender,nonsense").await.body;
    let outcome = bundle["entry"].as_array().unwrap().last().unwrap();
    assert_eq!(outcome["search"]["mode"], "outcome");
    assert!(outcome.to_string().contains("nonsense"), "{outcome}");
}
