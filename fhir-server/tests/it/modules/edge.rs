//! Routes of modules at the edge: who may call, what may be sent, and in which form errors come.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fhir_access::{DenyAll, Open};
use fhir_app::envelope::{Answered, success};
use fhir_app::{Access, App, Caller, Error, Kind, Module, Permission, Routes, routes, utoipa};
use fhir_http::{CorsOrigins, HttpLimits};
use fhir_interactions::{Guard, Method, Request};
use serde_json::{Value, json};

use crate::app::{Setup, TestApp, json};

struct Doors;

impl Module for Doors {
    fn name(&self) -> &'static str {
        "doors"
    }

    fn routes(&self, app: &Arc<App>) -> Routes {
        Routes::new()
            .add(Access::Caller, routes!(patients))
            .add(Access::Public, routes!(open))
            .add(Access::Caller, routes!(echo, replace))
            .add(Access::Holder(Permission::Administer), routes!(administer))
            .add(Access::Public, routes!(v1))
            .add(Access::Public, routes!(fails, hangs))
            .with_state(app.clone())
    }

    fn below_fhir(&self, _: &Arc<App>) -> Routes {
        Routes::new().add(Access::Public, routes!(well_known)).add(Access::Caller, routes!(files))
    }
}

#[utoipa::path(get, path = "/api/doors/open", responses((status = 200, description = "Open.")))]
async fn open() -> Answered {
    Ok(success(StatusCode::OK, &json!("open")))
}

#[utoipa::path(get, path = "/api/patients", responses((status = 200, description = "Their number.")))]
async fn patients(State(app): State<Arc<App>>, caller: Caller) -> Answered {
    let plain = Request::new(Method::Get, "Patient", &*app.cx().definitions)?;
    let (query, base, principal) = ("_summary=count".to_owned(), caller.base, caller.principal);
    let reply = app.handle(Request { query, base, principal, ..plain }).await?;
    let found: Value = serde_json::from_slice(&reply.body.unwrap()).unwrap();
    Ok(success(StatusCode::OK, &json!({ "total": found["total"], "is_past": app.now() > 0 })))
}

#[derive(serde::Deserialize)]
struct Asked {
    n: u8,
}

#[utoipa::path(get, path = "/api/doors/{id}", params(("id" = String, Path)), responses((status = 200, description = "What was asked.")))]
async fn echo(caller: Caller, Path(id): Path<String>, Query(asked): Query<Asked>) -> Answered {
    Ok(success(StatusCode::OK, &json!({ "id": id, "n": asked.n, "request": caller.request_id })))
}

#[utoipa::path(put, path = "/api/doors/{id}", params(("id" = String, Path)), responses((status = 200, description = "The length.")))]
async fn replace(_id: Path<String>, body: String) -> Answered {
    Ok(success(StatusCode::OK, &json!(body.len())))
}

#[utoipa::path(post, path = "/admin/doors", responses((status = 200, description = "Done.")))]
async fn administer() -> Answered {
    Ok(success(StatusCode::OK, &json!("done")))
}

#[utoipa::path(get, path = "/v1/doors", responses((status = 200, description = "Never.")))]
async fn v1() -> Answered {
    Err(Error::new(Kind::Rule, "it is not so").at("email").into())
}

#[utoipa::path(get, path = "/api/fails/{how}", params(("how" = String, Path)), responses((status = 200, description = "Never.")))]
async fn fails(Path(how): Path<String>) -> Response {
    match &*how {
        "panic" => panic!("Wanjiku was here"),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::OK.into_response()
        }
        "internal" => fhir_app::envelope::Failure::from(Error::internal("Wanjiku")).into_response(),
        "text" => (StatusCode::CONFLICT, "already").into_response(),
        "teapot" => (StatusCode::IM_A_TEAPOT, [("retry-after", "7")], "short and stout").into_response(),
        "upstream" => StatusCode::BAD_GATEWAY.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[utoipa::path(post, path = "/api/fails/{how}", params(("how" = String, Path)), responses((status = 200, description = "Never.")))]
async fn hangs(_how: Path<String>) -> Response {
    std::future::pending().await
}

#[utoipa::path(get, path = "/.well-known/doors", responses((status = 200, description = "The base.")))]
async fn well_known(caller: Caller) -> Response {
    json!({ "base": caller.base, "tenant": caller.tenant.number() }).to_string().into_response()
}

#[utoipa::path(get, path = "/$doors/{n}", params(("n" = u8, Path)), responses((status = 200, description = "Never.")))]
async fn files(Path(n): Path<u8>) -> Answered {
    Err(Error::not_found(format!("file {n}")).into())
}

async fn start(guard: Arc<dyn Guard>, limits: HttpLimits) -> TestApp {
    let origins = CorsOrigins::new(&["https://app.example.org".to_owned()]).unwrap();
    let modules: Vec<Box<dyn Module>> = vec![Box::new(Doors)];
    TestApp::set_up(Setup { guard, limits, origins, modules, ..Setup::default() }).await
}

async fn ask(app: &TestApp, method: &str, path: &str) -> (u16, Value) {
    json(app.at(method, path).send().await.unwrap()).await
}

/// Errors have the form of their path, whoever makes them: the handler, an extractor, the server.
#[tokio::test]
async fn errors_have_the_form_of_their_path() {
    let limits = HttpLimits { url_bytes_max: 600, body_bytes_max: 1000, ..HttpLimits::default() };
    let app = start(Arc::new(Open), limits).await;
    let long = format!("/api/doors/{}?n=1", "x".repeat(700));
    let rows = [
        ("GET", "/api/doors/open", 200, ""),
        ("GET", "/api/doors/7?n=3", 200, ""),
        ("GET", "/api/doors/7?n=300", 400, "VALIDATION_ERROR"),
        ("GET", "/api/doors/7", 400, "VALIDATION_ERROR"),
        ("GET", "/api/doors/%ff?n=1", 400, "VALIDATION_ERROR"),
        ("DELETE", "/api/doors/7", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/api/doors/open", 405, "METHOD_NOT_ALLOWED"),
        ("BREW", "/api/doors/open", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/doors", 404, "NOT_FOUND"),
        ("GET", "/api/doors/7/8", 404, "NOT_FOUND"),
        ("GET", "/api", 404, "NOT_FOUND"),
        ("GET", "/admin/none", 404, "NOT_FOUND"),
        ("GET", &long, 414, "TOO_LARGE"),
        ("GET", "/api/fails/panic", 500, "INTERNAL_ERROR"),
        ("GET", "/api/fails/internal", 500, "INTERNAL_ERROR"),
        ("GET", "/api/fails/text", 409, "CONFLICT"),
        ("GET", "/api/fails/other", 404, "NOT_FOUND"),
        ("GET", "/api/fails/teapot", 418, "VALIDATION_ERROR"),
        ("GET", "/api/fails/upstream", 502, "INTERNAL_ERROR"),
    ];
    for (method, path, status, code) in rows {
        let (got, answer) = ask(&app, method, path).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        assert_eq!(answer["success"], json!(status == 200), "{path}: {answer}");
        assert_eq!(answer["error"]["code"].as_str().unwrap_or(""), code, "{path}: {answer}");
        assert!(!answer.to_string().contains("Wanjiku"), "{answer}");
    }
    let text = app.at("GET", "/api/fails/text").send().await.unwrap().text().await.unwrap();
    assert_eq!(text, r#"{"success":false,"error":{"code":"CONFLICT","message":"already"}}"#);
    let (status, answer) = ask(&app, "GET", "/v1/doors").await;
    let fields = json!({ "email": "it is not so" });
    let error = json!({ "code": "validation_failed", "message": "it is not so", "fields": fields });
    assert_eq!((status, answer), (422, json!({ "error": error })));
    let (status, answer) = ask(&app, "GET", "/v1/none").await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("not_found")));
    for path in ["/fhir/R4/$doors/7", "/fhir/R4/$doors/many", "/o/none/fhir/R4/.well-known/doors"] {
        let (status, answer) = ask(&app, "GET", path).await;
        assert_eq!(answer["resourceType"], "OperationOutcome", "{path}: {answer}");
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    let teapot = app.at("GET", "/api/fails/teapot").send().await.unwrap();
    assert_eq!(teapot.headers()["retry-after"], "7", "a handler's own headers stay");
    let (_, upstream) = ask(&app, "GET", "/api/fails/upstream").await;
    assert_eq!(upstream["error"]["message"], "Bad Gateway");
    // Not a byte more of a body than is allowed, packed or not.
    let (status, answer) =
        json(app.at("PUT", "/api/doors/7").body(vec![b'x'; 1000]).send().await.unwrap()).await;
    assert_eq!((status, &answer["data"]), (200, &json!(1000)));
    let (status, answer) =
        json(app.at("PUT", "/api/doors/7").body(vec![b'x'; 1001]).send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("TOO_LARGE")));
    let lines = app.at("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    let route = "module=\"doors\",route=\"/api/doors/{id}\"";
    assert!(
        lines.contains(&format!("cari_module_requests_total{{method=\"other\",{route},status=\"405\"}} 1")),
        "{lines}"
    );
    assert!(!lines.contains("BREW"), "no label is a client's to choose");
}

/// A handler that takes too long is ended, and keeps no place among the requests.
#[tokio::test]
async fn what_hangs_is_ended() {
    let limits = HttpLimits { handler_timeout: Duration::from_millis(300), ..HttpLimits::default() };
    let app = start(Arc::new(Open), limits).await;
    for method in ["GET", "POST"] {
        let (status, answer) = ask(&app, method, "/api/fails/slow").await;
        assert_eq!((status, &answer["error"]["code"]), (504, &json!("TIMEOUT")), "{method}");
        assert_eq!(app.metric("fhir_requests_in_flight").await, "0", "{method}");
    }
}

/// As much as the edge allows, whatever extractors hold to be much; and HEAD has no body, over HTTP/2 either.
#[tokio::test]
async fn bodies_are_bounded_by_the_edge_alone() {
    let app = start(Arc::new(Open), HttpLimits::default()).await;
    let long = vec![b'x'; 5 << 20];
    let (status, answer) = json(app.at("PUT", "/api/doors/7").body(long).send().await.unwrap()).await;
    assert_eq!((status, &answer["data"]), (200, &json!(5 << 20)));
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for path in [
        "/api/doors/open",
        "/api/none",
        "/v1/none",
        "/openapi.json",
        "/docs/",
        "/health",
        "/metrics",
        "/icon.svg",
        "/fhir/R4/metadata",
        "/fhir/R4/$doors/1",
        "/admin/doors",
    ] {
        let url = format!("http://{}{path}", app.address);
        let head = http2.head(&url).send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let (status, length) = (head.status(), head.headers().get("content-length").cloned());
        assert!(head.bytes().await.unwrap().is_empty(), "{path}");
        let get = http2.get(&url).send().await.unwrap();
        // The method is another there.
        if path != "/admin/doors" {
            assert_eq!(get.status(), status, "{path}");
        }
        let whole = get.bytes().await.unwrap().len().to_string();
        let is_fixed = !matches!(path, "/metrics" | "/api/doors/open");
        assert!(!is_fixed || length.is_some_and(|length| length == *whole), "{path}: {whole}");
    }
}

/// Access is of the route: nobody needs to ask for it in a handler.
#[tokio::test]
async fn access_is_of_the_route() {
    let app = start(Arc::new(DenyAll), HttpLimits::default()).await;
    for (method, path, wanted) in [
        ("GET", "/api/doors/open", 200),
        ("GET", "/api/doors/7?n=3", 401),
        ("HEAD", "/api/doors/7?n=3", 401),
        ("PUT", "/api/doors/7", 401),
        ("POST", "/admin/doors", 401),
        ("GET", "/fhir/R4/.well-known/doors", 200),
        ("GET", "/fhir/R4/$doors/7", 401),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs/", 200),
    ] {
        let answer = app.at(method, path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), wanted, "{method} {path}");
        assert_eq!(answer.headers().contains_key("www-authenticate"), wanted == 401, "{path}");
    }
    let (_, answer) = ask(&app, "POST", "/admin/doors").await;
    let error = json!({ "code": "UNAUTHORIZED", "message": "Invalid or expired token" });
    assert_eq!(answer, json!({ "success": false, "error": error }));
    let (_, answer) = ask(&app, "GET", "/fhir/R4/$doors/7").await;
    assert_eq!(answer["issue"][0]["code"], "login");
}

/// Below each base, with the base and the organisation as they were asked.
#[tokio::test]
async fn routes_below_a_base_know_it() {
    let app = start(Arc::new(Open), HttpLimits::default()).await;
    let root = format!("http://{}", app.address);
    for (path, base) in [
        ("/fhir/R4/.well-known/doors?x=1", "/fhir/R4"),
        ("/fhir/.well-known/doors", "/fhir"),
        ("/o/north/fhir/R4/.well-known/doors", "/o/north/fhir/R4"),
    ] {
        let (status, answer) = ask(&app, "GET", path).await;
        assert_eq!((status, &answer["base"]), (200, &json!(format!("{root}{base}"))), "{path}");
        let is_default = answer["tenant"] == json!(0);
        assert_eq!(is_default, !path.starts_with("/o/"), "{answer}");
    }
    // What is below a base is nowhere else, and the other way about.
    assert_eq!(ask(&app, "GET", "/.well-known/doors").await.0, 404);
    assert_eq!(ask(&app, "GET", "/fhir/R4/api/doors/open").await.0, 404);
}

/// Resources are asked for in the name of the caller.
#[tokio::test]
async fn a_module_asks_as_its_caller() {
    for (guard, wanted) in [(Arc::new(Open) as Arc<dyn Guard>, 200), (Arc::new(DenyAll), 401)] {
        let app = start(guard, HttpLimits::default()).await;
        app.send("POST", "Patient", r#"{"resourceType":"Patient"}"#).send().await.unwrap();
        let (status, answer) = ask(&app, "GET", "/api/patients").await;
        assert_eq!(status, wanted, "{answer}");
        assert!(status == 401 || answer["data"] == json!({ "total": 1, "is_past": true }), "{answer}");
    }
}

/// Hosts, origins, ids, caching: as of every answer.
#[tokio::test]
async fn a_module_stands_behind_the_same_edge() {
    let app = start(Arc::new(Open), HttpLimits::default()).await;
    let answer = app.at("GET", "/api/doors/7?n=3").header("x-request-id", "trace").send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "trace");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert_eq!(json(answer).await.1["data"]["request"], "trace");
    // A page of another origin can change nothing; one that is let in may, and may ask first.
    let elsewhere = app.at("PUT", "/api/doors/7").header("origin", "https://evil.example").body("x");
    let (status, answer) = json(elsewhere.send().await.unwrap()).await;
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("FORBIDDEN")));
    let let_in = app.at("PUT", "/api/doors/7").header("origin", "https://app.example.org").body("x");
    let let_in = let_in.send().await.unwrap();
    assert_eq!(let_in.status().as_u16(), 200);
    assert_eq!(let_in.headers()["access-control-allow-origin"], "https://app.example.org");
    let preflight = app
        .at("OPTIONS", "/api/doors/7")
        .header("origin", "https://app.example.org")
        .header("access-control-request-method", "PUT");
    assert_eq!(preflight.send().await.unwrap().status().as_u16(), 204);
    let misdirected = app.at("GET", "/api/doors/open").header("host", "evil.example").send().await.unwrap();
    assert_eq!(misdirected.status().as_u16(), 421);
    let (_, answer) = json(misdirected).await;
    assert_eq!(answer["success"], json!(false), "{answer}");
}

/// Every path and method that is described is there, and no other method of these paths.
#[tokio::test]
async fn the_description_is_what_is_served() {
    let app = start(Arc::new(Open), HttpLimits::default()).await;
    let (_, described) = ask(&app, "GET", "/openapi.json").await;
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1"), "{}", described["openapi"]);
    let paths = described["paths"].as_object().unwrap();
    let (mut asked, mut ids) = (0, std::collections::HashSet::new());
    for (path, item) in paths {
        let at = path
            .replace("{type}", "Patient")
            .replace("{member}", "Observation")
            .replace("{id}", "1")
            .replace("{version}", "1")
            .replace("{n}", "1")
            .replace("{how}", "other");
        if path.contains("{how}") {
            continue;
        }
        assert!(!at.contains('{'), "{at}");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let operation = &item[method.to_lowercase()];
            // Operations that wait, go away or panic are the tests' own.
            if at.contains("$hold") || at.contains("$panic") || at.contains("$away") {
                continue;
            }
            let answer = app.at(method, &at).header("accept", "application/json").send().await.unwrap();
            let status = answer.status().as_u16();
            if operation.is_null() {
                assert_eq!(status, 405, "{method} {path} is not described");
                continue;
            }
            asked += 1;
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{}",
                operation["operationId"]
            );
            let text = answer.text().await.unwrap();
            assert_ne!(status, 405, "{method} {path}: {text}");
            assert!(
                !text.contains("nothing here") && !text.contains("there is nothing at"),
                "{method} {path}: {text}"
            );
            assert!(status < 500, "{method} {path}: {status}");
        }
    }
    assert!(asked > 30, "{asked}");
    for path in
        ["/api/doors/{id}", "/fhir/R4/.well-known/doors", "/fhir/R4/{type}/{id}", "/metrics", "/v1/doors"]
    {
        assert!(paths.contains_key(path), "{path}");
    }
    // The page, and all that it needs, come from here.
    let page = app.at("GET", "/docs/").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && policy.contains("default-src 'none'"), "{policy}");
    let page = page.text().await.unwrap();
    let needed: Vec<&str> = page.split(['"', '\'']).filter(|part| part.starts_with("./")).collect();
    assert!(needed.len() >= 3 && !page.contains("https://"), "{page}");
    for file in needed {
        let answer = app.at("GET", &format!("/docs/{}", &file[2..])).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{file}");
        assert!(!answer.text().await.unwrap().is_empty(), "{file}");
    }
    assert_eq!(app.at("GET", "/docs/none.js").send().await.unwrap().status().as_u16(), 404);
}
