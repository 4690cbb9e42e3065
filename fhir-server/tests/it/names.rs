//! What the server is called: whom it answers, and which references are its own.

use crate::app::{TestApp, issue, json};

#[tokio::test]
async fn what_is_meant_for_another_server_is_refused() {
    let app = TestApp::start().await;
    for (host, wanted) in [("localhost:1", 200), ("ehr.local", 200), ("evil.org", 421)] {
        let answer = app.ask("GET", "metadata").header("host", host).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), wanted, "{host}");
    }
    let asked = |method: &str, path: &str| app.at(method, path).header("host", "evil.org").send();
    let (status, outcome) = json(asked("GET", "/fhir/R4/Patient").await.unwrap()).await;
    assert_eq!((status, issue(&outcome).0.as_str()), (421, "security"));
    let xml = asked("GET", "/fhir/R4/Patient?_format=xml").await.unwrap();
    assert!(xml.headers()["content-type"].to_str().unwrap().contains("xml"));
    // What is no FHIR is refused as well; that the process lives is nobody's secret.
    for (path, wanted) in [("/anything", 421), ("/health", 200)] {
        assert_eq!(asked("GET", path).await.unwrap().status().as_u16(), wanted, "{path}");
    }
    let preflight =
        app.ask("OPTIONS", "Patient").header("host", "evil.org").header("origin", "http://evil.org");
    let preflight = preflight.header("access-control-request-method", "POST").send().await.unwrap();
    assert_eq!(preflight.status().as_u16(), 421);
}

#[tokio::test]
async fn entries_may_name_this_server_by_every_name_of_it() {
    let app = TestApp::start().await;
    let port = app.address.port();
    let own = [
        "Patient".to_owned(),
        format!("http://127.0.0.1:{port}/fhir/R4/Patient"),
        format!("http://127.0.0.1:{port}/fhir/Patient"),
        "https://ehr.local/fhir/R4/Patient".to_owned(),
    ];
    let other = ["https://other.org/fhir/Patient", "http://localhost:1/fhir/R4/Patient", "//x://y"];
    for (url, status) in own.iter().map(|url| (&**url, 200)).chain(other.map(|url| (url, 400))) {
        for kind in ["batch", "transaction"] {
            let bundle = format!(
                r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{{"request":{{"method":"GET","url":"{url}?_count=1"}}}}]}}"#
            );
            let (answered, answer) = json(app.send("POST", "", &bundle).send().await.unwrap()).await;
            let of_entry = answer["entry"][0]["response"]["status"].as_str().unwrap_or_default();
            let found = if kind == "batch" { of_entry[..3].parse().unwrap() } else { answered };
            assert_eq!(found, status, "{kind} {url}: {answer}");
        }
    }
}

#[tokio::test]
async fn absolute_references_to_this_server_are_local_by_every_name_of_it() {
    let app = TestApp::start().await;
    let port = app.address.port();
    app.send("PUT", "Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).send().await.unwrap();
    let own = [
        "Patient/p".to_owned(),
        format!("http://127.0.0.1:{port}/fhir/R4/Patient/p"),
        format!("http://127.0.0.1:{port}/fhir/Patient/p"),
        format!("http://localhost:{port}/fhir/R4/Patient/p/_history/1"),
        format!("http://[::1]:{port}/fhir/Patient/p"),
        format!("http://ehr.local:{port}/fhir/R4/Patient/p"),
        "https://ehr.local/fhir/Patient/p".to_owned(),
    ];
    let other =
        ["http://localhost:1/fhir/Patient/p".to_owned(), "https://other.org/fhir/Patient/p".to_owned()];
    for (n, reference) in own.iter().chain(&other).enumerate() {
        let body = format!(
            r#"{{"resourceType":"Observation","id":"o{n}","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{reference}"}}}}"#
        );
        let put = app.send("PUT", &format!("Observation/o{n}"), &body).send().await.unwrap();
        assert_eq!(put.status().as_u16(), 201);
        // Only the index takes them for the same.
        assert_eq!(json(put).await.1["subject"]["reference"], reference.as_str());
    }
    let total = async |query: &str| {
        let answer = app.ask("GET", &format!("Observation?_summary=count&{query}")).send().await.unwrap();
        json(answer).await.1["total"].as_u64().unwrap()
    };
    for reference in &own {
        assert_eq!(total(&format!("subject={reference}")).await, own.len() as u64, "{reference}");
    }
    for reference in &other {
        assert_eq!(total(&format!("subject={reference}")).await, 1, "{reference}");
    }
    assert_eq!(total("patient=p").await, own.len() as u64);
    let found = app.ask("GET", "Observation?_id=o5&_include=Observation:subject").send().await.unwrap();
    assert_eq!(json(found).await.1["entry"][1]["resource"]["id"], "p");
}
