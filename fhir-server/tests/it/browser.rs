//! What a browser gets when somebody opens a url in it.

use std::net::SocketAddr;

use fhir_http::Hosts;
use reqwest::header::HeaderMap;

use crate::app::{TestApp, json};

/// What Chrome sends for a navigation.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
                       application/signed-exchange;v=b3;q=0.7";

async fn open(app: &TestApp, path: &str) -> (u16, HeaderMap, String) {
    let answer = app.at("GET", path).header("accept", BROWSER).send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.text().await.unwrap())
}

#[tokio::test]
async fn every_url_has_a_page() {
    let app = TestApp::start().await;
    for body in [
        r#"{"resourceType":"Patient","id":"a","name":[{"family":"<script>alert(1)</script>"}],"managingOrganization":{"reference":"Organization/o"}}"#,
        r#"{"resourceType":"Patient","id":"gone"}"#,
        r#"{"resourceType":"Organization","id":"o","name":"Clinic"}"#,
    ] {
        let id = body.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
        let kind = body.split('"').nth(3).unwrap();
        app.send("PUT", &format!("{kind}/{id}"), body).send().await.unwrap();
    }
    app.ask("DELETE", "Patient/gone").send().await.unwrap();
    let rows = [
        // path, status, what the page holds
        ("/", 200, "FHIR R4 server"),
        ("/fhir/R4", 200, "All resources"),
        ("/fhir/R4/", 200, "Resource types"),
        ("/fhir/R4/metadata", 200, "CapabilityStatement"),
        ("/fhir/R4/Patient/a", 200, "href=\"/fhir/R4/Organization/o\""),
        ("/fhir/R4/Patient/a/_history/1", 200, "Current version"),
        ("/fhir/R4/Patient/a/_history", 200, "/fhir/R4/Patient/a/_history/1"),
        ("/fhir/R4/Patient/_history", 200, "DELETE"),
        ("/fhir/R4/_history", 200, "Organization/o"),
        ("/fhir/R4/Patient?name=x", 200, "entries on this page"),
        ("/fhir/R4/Patient/a/*", 200, "Records related"),
        ("/fhir/Patient/a", 200, "href=\"/fhir/Organization/o\""),
        ("/fhir/R4/Patient?_format=html", 200, "Patient/a"),
        ("/fhir/R4/Patient?birthdate=never", 400, "<form"),
        ("/fhir/R4/Patient?_format=turtle", 406, "406"),
        ("/fhir/R4/Patient?name=%ff", 400, "400"),
        ("/fhir/R4/Patient/none", 404, "There is nothing here"),
        ("/fhir/R4/Nothing/1", 404, "There is nothing here"),
        ("/fhir/R4/Patient/gone", 410, "This was deleted"),
        ("/fhir/R4/Patient/_search", 405, "405"),
        ("/fhir/R4/$away", 503, "busy"),
        ("/fhir/R4/$panic", 500, "The server has failed"),
        ("/nothing/here", 404, "There is nothing here"),
    ];
    let long = format!("/fhir/R4/Patient?name={}", "x".repeat(17_000));
    for (path, wanted, part) in rows.into_iter().chain([(&*long, 414, "too long")]) {
        let (status, headers, page) = open(&app, path).await;
        let head = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!((status, head("content-type")), (wanted, "text/html; charset=utf-8"), "{path}");
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains(part), "{path}: {page}");
        assert!(!page.to_ascii_lowercase().contains("<script"), "{path}");
        assert!(
            head("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"),
            "{path}"
        );
        assert!(head("cache-control").contains("no-store"), "{path}");
        assert_eq!(head("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(head("x-content-type-options"), "nosniff", "{path}");
        assert!(head("vary").contains("accept-language") && head("vary").contains("accept,"), "{path}");
        assert_eq!(head("etag"), "", "{path}");
        // The same url says the same to a program.
        if path != "/" && !path.contains("_format") {
            let plain = app.at("GET", path).send().await.unwrap();
            assert_eq!(plain.status().as_u16(), wanted, "{path}");
            assert!(plain.headers()["content-type"].to_str().unwrap().starts_with("application/fhir+json"));
            assert!(plain.headers().get("content-security-policy").is_none(), "{path}");
            json(plain).await;
        }
    }
    assert_eq!(
        app.at("GET", "/").send().await.unwrap().status().as_u16(),
        404,
        "programs find FHIR at its base"
    );
}

#[tokio::test]
async fn what_an_error_says_in_its_headers_it_says_to_a_browser_too() {
    let app = TestApp::start().await;
    assert_eq!(open(&app, "/fhir/R4/$away").await.1["retry-after"], "1");
    assert!(open(&app, "/fhir/R4/Patient/_search").await.1["allow"].to_str().unwrap().contains("POST"));
    let (_, headers, page) = open(&app, "/fhir/R4/$away").await;
    assert!(page.contains(headers["x-request-id"].to_str().unwrap()));
    assert!(!page.contains("a secret of the server"));
    let evil = app.at("GET", "/").header("accept", BROWSER).header("host", "evil.org").send().await.unwrap();
    assert_eq!(evil.status().as_u16(), 421);
    let form =
        app.at("GET", "/fhir/R4/Patient?-form=1&name=a").header("host", "evil.org").send().await.unwrap();
    assert_eq!(form.status().as_u16(), 421);
}

#[tokio::test]
async fn a_form_leads_to_its_search() {
    let app = TestApp::start().await;
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (query, wanted) in [
        ("-form=1&-name=exact&name=Ann&-birthdate=&birthdate=", "/fhir/R4/Patient?name:exact=Ann"),
        ("-form=1&name=", "/fhir/R4/Patient"),
    ] {
        let url = format!("{}/Patient?{query}", app.base());
        let answer = client.get(url).header("accept", BROWSER).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, wanted));
    }
    // What cannot be read is told in words.
    assert_eq!(open(&app, "/fhir/R4/Patient?-form=1&name=%ff").await.0, 400);
}

#[tokio::test]
async fn pages_are_packed_headed_and_translated() {
    let app = TestApp::start().await;
    let ask = |method: &str| app.at(method, "/fhir/R4/Patient/none").header("accept", BROWSER);
    let packed = ask("GET").header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let head = ask("HEAD").send().await.unwrap();
    assert!(head.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap() > 1000);
    assert_eq!(head.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(head.text().await.unwrap(), "");
    let swahili = ask("GET").header("accept-language", "sw-KE,sw;q=0.9,en;q=0.8").send().await.unwrap();
    assert_eq!(swahili.headers()["content-language"], "sw");
    let page = swahili.text().await.unwrap();
    assert!(page.contains("<html lang=\"sw\"") && page.contains("Hakuna kitu hapa"), "{page}");
    let icon = app.at("GET", "/icon.svg").send().await.unwrap();
    assert_eq!(icon.headers()["content-type"], "image/svg+xml");
}

#[tokio::test]
async fn what_a_page_is_asked_to_write_is_written() {
    let app = TestApp::start().await;
    let body = r#"{"resourceType":"Patient","id":"w"}"#;
    let put = app.send("PUT", "Patient/w", body).header("accept", BROWSER).send().await.unwrap();
    assert_eq!(put.status().as_u16(), 201);
    assert!(put.headers()["location"].to_str().unwrap().ends_with("/Patient/w/_history/1"));
    assert_eq!(put.headers()["content-type"], "text/html; charset=utf-8");
    let gone = app.ask("DELETE", "Patient/w").header("accept", BROWSER).send().await.unwrap();
    assert_eq!((gone.status().as_u16(), gone.text().await.unwrap().len()), (204, 0));
    let form = app.ask("POST", "Patient/_search").header("content-type", "application/x-www-form-urlencoded");
    let found = form.header("accept", BROWSER).body("name=x").send().await.unwrap();
    assert_eq!(found.headers()["content-type"], "text/html; charset=utf-8");
}

#[tokio::test]
async fn a_binary_is_what_it_holds_unless_its_page_is_asked_for() {
    let app = TestApp::start().await;
    for (id, kind, data) in [("png", "image/png", "AAAA"), ("json", "application/fhir+json", "e30=")] {
        let body =
            format!(r#"{{"resourceType":"Binary","id":"{id}","contentType":"{kind}","data":"{data}"}}"#);
        app.send("PUT", &format!("Binary/{id}"), &body).send().await.unwrap();
        let (status, headers, _) = open(&app, &format!("/fhir/R4/Binary/{id}")).await;
        assert_eq!(status, 200);
        assert!(headers["content-type"].to_str().unwrap().starts_with(kind), "{headers:?}");
        let (status, headers, page) = open(&app, &format!("/fhir/R4/Binary/{id}?_format=html")).await;
        assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "text/html; charset=utf-8"));
        assert!(page.contains(&format!("<h1><bdi>Binary/{id}</bdi></h1>")), "{page}");
    }
    let (status, headers, page) = open(&app, "/fhir/R4/Binary/none").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (404, "text/html; charset=utf-8"));
    assert!(page.contains("There is nothing here"));
}

#[tokio::test]
async fn behind_a_proxy_links_keep_its_path() {
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let names = Hosts::new(address, Some("https://example.org/ehr"), &[]);
    let app = TestApp::named(names).await;
    app.send("PUT", "Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).send().await.unwrap();
    let (_, _, page) = open(&app, "/fhir/R4/Patient").await;
    for wanted in ["href=\"/ehr/fhir/R4/Patient/a\"", "href=\"/ehr/\"", "action=\"/ehr/fhir/R4/Patient\""] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
}

/// Without a policy that lets them in, nobody sees a thing, on a page as little as in JSON.
#[tokio::test]
async fn a_page_shows_no_more_than_the_caller_may_see() {
    let app = TestApp::guarded(std::sync::Arc::new(fhir_access::DenyAll)).await;
    for path in [
        "/fhir/R4/Patient/a",
        "/fhir/R4/Patient",
        "/fhir/R4/",
        "/fhir/R4/_history",
        "/fhir/R4/Patient?-form=1&name=a",
    ] {
        let (status, _, page) = open(&app, path).await;
        assert_eq!(status, 401, "{path}");
        assert!(page.contains("Please sign in"), "{path}: {page}");
    }
    assert_eq!(open(&app, "/fhir/R4/metadata").await.0, 200);
    assert_eq!(open(&app, "/").await.0, 200);
}
