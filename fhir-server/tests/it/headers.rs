//! What headers say, both ways.

use std::io::Read;

use crate::app::{TestApp, issue, json};
use fhir_http::{CorsOrigins, HttpLimits};

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::start().await;
    app.send("PUT", "Patient/h", r#"{"resourceType":"Patient","id":"h"}"#).send().await.unwrap();
    for path in ["Patient/h", "Patient/h/_history/1", "Patient?_id=h", "metadata", "Patient/none"] {
        let get = app.ask("GET", path).send().await.unwrap();
        let head = app.ask("HEAD", path).send().await.unwrap();
        assert_eq!(head.status(), get.status(), "{path}");
        for name in ["content-type", "etag", "last-modified"] {
            assert_eq!(head.headers().get(name), get.headers().get(name), "{path} {name}");
        }
        let length = head.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap();
        assert_eq!(length, get.text().await.unwrap().len(), "{path}");
        assert_eq!(head.text().await.unwrap(), "", "{path}");
    }
}

/// It is kept packed; whoever takes gzip gets those bytes, whoever wants another shape does not.
#[tokio::test]
async fn the_statement_goes_out_packed() {
    let app = TestApp::start().await;
    let plain = app.ask("GET", "metadata").send().await.unwrap().bytes().await.unwrap();
    let asked = |path: &str| app.ask("GET", path).header("accept-encoding", "gzip").send();
    let packed = asked("metadata").await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["content-type"], "application/fhir+json; charset=utf-8");
    assert_eq!(unpacked(packed).await, plain);
    let head = app.ask("HEAD", "metadata").header("accept-encoding", "gzip").send().await.unwrap();
    let length = head.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap();
    assert!(length < plain.len() / 10, "{length}");
    for (path, begins) in [("metadata?_pretty=true", "{\n"), ("metadata?_format=xml", "<")] {
        let other = unpacked(asked(path).await.unwrap()).await;
        assert!(other.starts_with(begins.as_bytes()), "{path}");
    }
}

async fn unpacked(answer: reqwest::Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = answer.bytes().await.unwrap();
    flate2::read::GzDecoder::new(&*packed).read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn versions_dates_and_places() {
    let app = TestApp::start().await;
    let made = app.send("POST", "Patient", r#"{"resourceType":"Patient"}"#).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 201);
    let header = |name: &str| made.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("etag"), "W/\"1\"");
    let (location, modified) = (header("location"), header("last-modified"));
    let place = location.strip_prefix(&format!("{}/Patient/", app.base())).unwrap().to_owned();
    let id = place.strip_suffix("/_history/1").unwrap().to_owned();

    let path = format!("Patient/{id}");
    for (name, value) in [("if-none-match", "W/\"1\""), ("if-modified-since", modified.as_str())] {
        let unchanged = app.ask("GET", &path).header(name, value).send().await.unwrap();
        assert_eq!(unchanged.status().as_u16(), 304, "{name}");
        assert_eq!(unchanged.headers()["etag"], "W/\"1\"");
        let whole = app.ask("GET", &path).send().await.unwrap();
        for kept in ["cache-control", "vary", "etag", "last-modified"] {
            assert_eq!(unchanged.headers().get(kept), whole.headers().get(kept), "{name}: {kept}");
        }
        assert_eq!(unchanged.text().await.unwrap(), "");
    }
    let changed = app.ask("GET", &path).header("if-none-match", "W/\"2\"").send().await.unwrap();
    assert_eq!(changed.status().as_u16(), 200);

    // The other mount is the same server, and links stay on it.
    let other = app.at("GET", &format!("/fhir/{path}/")).send().await.unwrap();
    assert_eq!(other.status().as_u16(), 200);
    let other = app.at("POST", "/fhir/Patient").header("content-type", "application/json");
    let other = other.body(r#"{"resourceType":"Patient"}"#).send().await.unwrap();
    let location = other.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(&format!("http://{}/fhir/Patient/", app.address)), "{location}");
}

#[tokio::test]
async fn request_ids_are_taken_over_or_made() {
    let app = TestApp::start().await;
    let id_of = |sent: Option<&'static str>, path: &'static str| {
        let ask = app.ask("GET", path);
        let ask = if let Some(sent) = sent { ask.header("x-request-id", sent) } else { ask };
        async { ask.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned() }
    };
    assert_eq!(id_of(Some("trace-7.a"), "Patient/1").await, "trace-7.a");
    let replaced = id_of(Some("a b\"c"), "metadata").await;
    assert!(replaced.len() == 16 && replaced.bytes().all(|b| b.is_ascii_hexdigit()), "{replaced}");
    assert_ne!(id_of(None, "metadata").await, id_of(None, "metadata").await);
}

#[tokio::test]
async fn a_method_that_means_nothing_says_what_would() {
    let app = TestApp::start().await;
    for (method, path, allowed) in
        [("PUT", "metadata", "GET"), ("POST", "Patient/1/_history", "GET"), ("TRACE", "Patient/1", "DELETE")]
    {
        let answer = app.ask(method, path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 405, "{method} {path}");
        let allow = answer.headers()["allow"].to_str().unwrap().to_owned();
        assert!(allow.split(", ").any(|one| one == allowed), "{method} {path}: {allow}");
        assert_eq!(issue(&json(answer).await.1).0, "not-supported");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_by_name() {
    let origins = CorsOrigins::new(&["https://app.example.org".to_owned()]).unwrap();
    let app = TestApp::with(HttpLimits::default(), origins).await;
    for (origin, wanted) in [("https://app.example.org", true), ("https://other.example.org", false)] {
        let read = app.ask("GET", "metadata").header("origin", origin).send().await.unwrap();
        assert_eq!(read.headers().contains_key("access-control-allow-origin"), wanted, "{origin}");
        let asked = app.ask("OPTIONS", "Patient").header("origin", origin);
        let asked = asked.header("access-control-request-method", "POST").send().await.unwrap();
        assert_eq!(asked.status().as_u16(), if wanted { 204 } else { 405 }, "{origin}");
        if !wanted {
            let (code, text) = issue(&json(asked).await.1);
            assert!(code == "not-supported" && text.contains("`allow_origins`"), "{text}");
        }
        for path in ["/health", "/ready"] {
            let read = app.at("GET", path).header("origin", origin).send().await.unwrap();
            assert_eq!(
                read.headers().contains_key("access-control-allow-credentials"),
                wanted,
                "{path} {origin}"
            );
            let asked = app.at("OPTIONS", path).header("origin", origin);
            let asked = asked.header("access-control-request-method", "GET").send().await.unwrap();
            assert_eq!(asked.status().as_u16(), if wanted { 204 } else { 405 }, "{path} {origin}");
        }
    }
    let vary = |answer: &reqwest::Response| {
        let all = answer.headers().get_all("vary").iter().map(|one| one.to_str().unwrap().to_owned());
        all.collect::<Vec<_>>().join(", ")
    };
    let unasked = app.ask("GET", "metadata").send().await.unwrap();
    assert_eq!(vary(&unasked), "accept, accept-encoding, authorization, cookie, x-organization-id, origin");
}

/// What a page of any site can make a browser send without asking whether it may.
#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let origins = CorsOrigins::new(&["https://app.example.org".to_owned()]).unwrap();
    let app = TestApp::with(HttpLimits::default(), origins).await;
    app.send("PUT", "Patient/c", r#"{"resourceType":"Patient","id":"c"}"#).send().await.unwrap();
    let plain =
        |method: &str, path: &str, kind: &str| app.ask(method, path).header("content-type", kind).body("a=b");
    for (method, path, kind) in [
        ("POST", "Binary", "text/plain"),
        ("POST", "Binary", "application/x-www-form-urlencoded"),
        ("POST", "Patient/_search", "application/x-www-form-urlencoded"),
        ("PUT", "Binary/c", "text/plain"),
        ("DELETE", "Patient/c", "text/plain"),
        ("POST", "nowhere", "text/plain"),
    ] {
        for origin in ["https://evil.example.org", "null"] {
            let sent = plain(method, path, kind).header("origin", origin).send().await.unwrap();
            let (status, outcome) = json(sent).await;
            let (code, text) = issue(&outcome);
            assert_eq!((status, code.as_str()), (403, "forbidden"), "{method} {path} {origin}");
            assert!(text.contains("`allow_origins`"), "{text}");
        }
        let unsaid = plain(method, path, kind).header("sec-fetch-site", "cross-site").send().await.unwrap();
        assert_eq!(unsaid.status().as_u16(), 403, "{method} {path}");
    }
    assert_eq!(app.ask("GET", "Patient/c").send().await.unwrap().status().as_u16(), 200);
    let own = format!("http://{}", app.address);
    for (name, value) in [
        ("origin", "https://app.example.org"),
        ("origin", own.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("x-request-id", "no-browser"),
    ] {
        let sent = plain("POST", "Binary", "text/plain").header(name, value).send().await.unwrap();
        assert_eq!(sent.status().as_u16(), 201, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_patch_of_another_kind_is_told_which_are_read() {
    let app = TestApp::start().await;
    app.send("PUT", "Patient/m", r#"{"resourceType":"Patient","id":"m"}"#).send().await.unwrap();
    let patch = app.ask("PATCH", "Patient/m").header("content-type", "application/merge-patch+json");
    let (status, outcome) = json(patch.body(r#"{"active":true}"#).send().await.unwrap()).await;
    let text = issue(&outcome).1;
    assert!(
        status == 415 && text.contains("JSON Patch") && text.contains("FHIRPath Patch"),
        "{status} {text}"
    );
}

#[tokio::test]
async fn criteria_in_a_url_are_read() {
    let app = TestApp::start().await;
    let criteria = "identifier=http://a.org/x|1";
    let body = r#"{"resourceType":"Patient","identifier":[{"system":"http://a.org/x","value":"1"}]}"#;
    let create = |exist: String| app.send("POST", "Patient", body).header("if-none-exist", exist).send();
    assert_eq!(create(criteria.to_owned()).await.unwrap().status().as_u16(), 201);
    for before in ["?", "Patient?", &format!("{}/Patient?", app.base()), "https://proxy.org/r4/Patient?"] {
        let exist = format!("{before}{criteria}");
        assert_eq!(create(exist.clone()).await.unwrap().status().as_u16(), 200, "{exist}");
        for kind in ["batch", "transaction"] {
            let bundle = serde_json::json!({"resourceType": "Bundle", "type": kind, "entry": [{
                "resource": serde_json::from_str::<serde_json::Value>(body).unwrap(),
                "request": {"method": "POST", "url": "Patient", "ifNoneExist": exist},
            }]});
            let (_, answer) = json(app.send("POST", "", &bundle.to_string()).send().await.unwrap()).await;
            assert!(
                answer["entry"][0]["response"]["status"].as_str().unwrap().starts_with("200"),
                "{answer}"
            );
        }
    }
    assert_eq!(create(format!("{}/Group?{criteria}", app.base())).await.unwrap().status().as_u16(), 400);
}
