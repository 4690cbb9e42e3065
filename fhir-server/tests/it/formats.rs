//! JSON and XML, asked for and sent in all the ways FHIR knows. <https://hl7.org/fhir/R4/http.html#mime-type>

use crate::app::{TestApp, issue, json};

const JSON: &str = "application/fhir+json; charset=utf-8";
const XML: &str = "application/fhir+xml; charset=utf-8";

#[tokio::test]
async fn the_wanted_format_is_given_or_refused() {
    let app = TestApp::start().await;
    app.send("PUT", "Patient/f", r#"{"resourceType":"Patient","id":"f"}"#).send().await.unwrap();
    // query, Accept, what comes; "" is 406
    let rows = [
        ("", None, JSON),
        ("", Some("*/*"), JSON),
        ("", Some("application/fhir+xml"), XML),
        ("", Some("application/fhir+json;q=0.1, application/fhir+xml;q=0.2"), XML),
        ("", Some("image/png"), ""),
        ("?_format=xml", None, XML),
        ("?_format=application/fhir%2Bxml", Some("application/fhir+json"), XML),
        ("?_format=application/fhir+xml", None, XML),
        ("?_format=json", Some("application/fhir+xml"), JSON),
        ("?_format=turtle", None, ""),
    ];
    for (query, accept, wanted) in rows {
        for path in [format!("Patient/f{query}"), format!("metadata{query}"), format!("Patient/none{query}")]
        {
            let mut ask = app.ask("GET", &path);
            if let Some(accept) = accept {
                ask = ask.header("accept", accept);
            }
            let answer = ask.send().await.unwrap();
            let found = answer.headers()["content-type"].to_str().unwrap().to_owned();
            if wanted.is_empty() {
                assert_eq!((answer.status().as_u16(), found.as_str()), (406, JSON), "{path} {accept:?}");
                assert_eq!(issue(&json(answer).await.1).0, "not-supported");
            } else {
                assert_eq!(found, wanted, "{path} {accept:?}");
                let status = if path.starts_with("Patient/none") { 404 } else { 200 };
                assert_eq!(answer.status().as_u16(), status, "{path} {accept:?}");
                let first = answer.text().await.unwrap().chars().next();
                assert_eq!(first, Some(if wanted == XML { '<' } else { '{' }), "{path} {accept:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_sent_is_read_or_refused() {
    let app = TestApp::start().await;
    let resource = r#"{"resourceType":"Patient","id":"s","active":true}"#;
    let xml = r#"<Patient xmlns="http://hl7.org/fhir"><id value="s"/><active value="true"/></Patient>"#;
    let rows = [
        (Some("application/fhir+json"), resource, true),
        (Some("application/fhir+json; charset=UTF-8"), resource, true),
        (Some("application/json"), resource, true),
        (Some("application/fhir+xml"), xml, true),
        (Some("text/xml;charset=utf-8"), xml, true),
        (Some("application/fhir+json; charset=iso-8859-1"), resource, false),
        (Some("text/plain"), resource, false),
        (Some("application/x-www-form-urlencoded"), "a=b", false),
        (Some("application/json-patch+json"), "[]", false),
        (None, resource, false),
    ];
    for (content_type, body, taken) in rows {
        let mut ask = app.ask("PUT", "Patient/s").body(body.to_owned());
        if let Some(content_type) = content_type {
            ask = ask.header("content-type", content_type);
        }
        let answer = ask.send().await.unwrap();
        let status = answer.status().as_u16();
        if taken {
            assert!(matches!(status, 200 | 201), "{content_type:?}: {status}");
        } else {
            assert_eq!(status, 415, "{content_type:?}");
            assert_eq!(issue(&json(answer).await.1).0, "not-supported");
        }
    }
    let (_, read) = json(app.ask("GET", "Patient/s").send().await.unwrap()).await;
    assert_eq!(read["active"], true);
}

#[tokio::test]
async fn patches_by_their_media_types() {
    let app = TestApp::start().await;
    app.send("PUT", "Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).send().await.unwrap();
    let parameters = r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[
        {"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},
        {"name":"name","valueString":"active"},{"name":"value","valueBoolean":true}]}]}"#;
    let rows = [
        ("application/json-patch+json", r#"[{"op":"add","path":"/gender","value":"female"}]"#, 200),
        ("application/json", r#" [{"op":"replace","path":"/gender","value":"male"}]"#, 200),
        ("application/fhir+json", parameters, 200),
        ("application/xml-patch+xml", "<diff/>", 415),
        ("text/plain", "x", 415),
    ];
    for (content_type, body, wanted) in rows {
        let ask = app.ask("PATCH", "Patient/p").header("content-type", content_type).body(body);
        let (status, answer) = json(ask.send().await.unwrap()).await;
        assert_eq!(status, wanted, "{content_type}: {answer}");
        if content_type.contains("xml-patch") {
            assert!(issue(&answer).1.contains("JSON Patch"), "{answer}");
        }
    }
    let (_, read) = json(app.ask("GET", "Patient/p").send().await.unwrap()).await;
    assert_eq!((&read["gender"], &read["active"]), (&"male".into(), &true.into()));
}

#[tokio::test]
async fn pretty_is_for_eyes() {
    let app = TestApp::start().await;
    app.send("PUT", "Basic/d", r#"{"resourceType":"Basic","id":"d","code":{"text":"a \"b\", {c}"}}"#)
        .send()
        .await
        .unwrap();
    let text =
        |path: &'static str| async { app.ask("GET", path).send().await.unwrap().text().await.unwrap() };
    let (plain, pretty) = (text("Basic/d").await, text("Basic/d?_pretty=true").await);
    assert!(!plain.contains('\n') && pretty.contains("\n  \"id\": \"d\""), "{pretty}");
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(read(&plain), read(&pretty));
}

#[tokio::test]
async fn a_search_by_form_may_name_its_format() {
    let app = TestApp::start().await;
    let ask = app.ask("POST", "Patient/_search").header("content-type", "application/x-www-form-urlencoded");
    let answer = ask.body("_format=xml&_count=1").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["content-type"], XML);
    let ask = app.send("POST", "Patient/_search", r#"{"resourceType":"Patient"}"#);
    assert_eq!(ask.send().await.unwrap().status().as_u16(), 415);
}

#[tokio::test]
async fn what_xml_cannot_show_takes_its_place_in_a_page_and_no_more() {
    let app = TestApp::start().await;
    for (id, more) in [("a", ""), ("b", r#","unknown":{"x":1}"#), ("c", "")] {
        let body = format!(r#"{{"resourceType":"Patient","id":"{id}","active":true{more}}}"#);
        assert_eq!(app.send("PUT", &format!("Patient/{id}"), &body).send().await.unwrap().status(), 201);
    }
    let ask = |path: &'static str| async {
        let answer = app.ask("GET", path).header("accept", "application/fhir+xml").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let count = |text: &str, part: &str| text.matches(part).count();
    let (status, found) = ask("Patient?_sort=_id&_pretty=true").await;
    assert_eq!((status, count(&found, "<entry>"), count(&found, "<Patient>")), (200, 3, 2), "{found}");
    assert_eq!(count(&found, r#"<mode value="match"/>"#), 2, "{found}");
    assert_eq!(count(&found, r#"<mode value="outcome"/>"#), 1, "{found}");
    assert_eq!(count(&found, "<total value=\"3\"/>"), 1, "what was found is found");
    let place = |part: &str| found.find(part).unwrap_or_else(|| panic!("no {part}: {found}"));
    assert!(place("Patient/a\"/>") < place("<OperationOutcome>"));
    assert!(place("<OperationOutcome>") < place("Patient/c\"/>"));
    assert!(found.contains("Patient/b cannot be given as XML"), "{found}");

    let (status, history) = ask("Patient/_history").await;
    assert_eq!((status, count(&history, "<entry>"), count(&history, "<Patient>")), (200, 3, 2), "{history}");
    assert_eq!((count(&history, "<request>"), count(&history, "<response>")), (3, 3), "{history}");
    assert_eq!(count(&history, "<outcome><OperationOutcome>"), 1, "{history}");

    // Alone it is refused, as is a page that somebody stored.
    assert_eq!(ask("Patient/b").await.0, 406);
    let stored = r#"{"resourceType":"Bundle","id":"p","type":"searchset","entry":[{"resource":
        {"resourceType":"Patient","id":"b","unknown":{"x":1}}}]}"#;
    assert_eq!(app.send("PUT", "Bundle/p", stored).send().await.unwrap().status().as_u16(), 201);
    assert_eq!(ask("Bundle/p").await.0, 406);
    assert_eq!(ask("Bundle?_id=p").await.0, 200);
}
