//! Rate limits over HTTP: what is counted, how who is refused is told, and whose word on addresses is believed.

mod redis;

use std::path::Path;
use std::process::Child;
use std::sync::Arc;

use axum::http::StatusCode;
use fhir_app::envelope::{Answered, success};
use fhir_app::{Access, App, Caller, Module, Routes, routes, utoipa};
use fhir_http::{
    CorsOrigins, HttpLimits, LimitedMount, MountFigures, NetworkLimit, ProxyHeader, RateLimitOptions,
    TrustedProxies,
};
use reqwest::Response;
use serde_json::{Value, json};

use crate::app::{Setup, TestApp, issue, json as read};
use crate::process::{client, directory, program, serve};

/// A feature with routes of each form.
pub(crate) struct Desk;

impl Module for Desk {
    fn name(&self) -> &'static str {
        "desk"
    }

    fn routes(&self, _: &Arc<App>) -> Routes {
        Routes::new()
            .add(Access::Public, routes!(login))
            .add(Access::Public, routes!(visits))
            .add(Access::Public, routes!(v1))
    }
}

#[utoipa::path(post, path = "/api/auth/desk", responses((status = 200, description = "Whose address it is.")))]
async fn login(caller: Caller, body: String) -> Answered {
    Ok(success(StatusCode::OK, &json!({ "address": caller.address.to_string(), "bytes": body.len() })))
}

#[utoipa::path(get, path = "/api/desk", responses((status = 200, description = "Yes.")))]
async fn visits() -> Answered {
    Ok(success(StatusCode::OK, &json!("yes")))
}

#[utoipa::path(get, path = "/v1/desk", responses((status = 200, description = "Yes.")))]
async fn v1() -> Answered {
    Ok(success(StatusCode::OK, &json!("yes")))
}

/// The program, ended with the test, however that ends.
struct Served {
    process: Child,
    /// `http://127.0.0.1:8080`
    root: String,
}

impl Served {
    fn start(dir: &Path, settings: &str) -> Served {
        let options = ["serve", "--auth", "none", "--listen", "127.0.0.1:0", "--config", settings];
        let (process, base) = serve(dir, &options);
        Served { process, root: base.strip_suffix("/fhir/R4").unwrap().to_owned() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn app(per_minute: MountFigures, setup: Setup) -> TestApp {
    let rate_limits = RateLimitOptions { per_minute, ..setup.rate_limits };
    TestApp::set_up(Setup { modules: vec![Box::new(Desk)], rate_limits, ..setup }).await
}

/// The number in a header.
fn number(answer: &Response, name: &str) -> Option<i64> {
    answer.headers().get(name)?.to_str().unwrap().parse().ok()
}

/// Limit and remaining.
fn said(answer: &Response) -> Option<(i64, i64)> {
    Some((number(answer, "x-ratelimit-limit")?, number(answer, "x-ratelimit-remaining")?))
}

/// The answer of one who was refused, checked: its headers and its sentence agree.
async fn refused(app: &TestApp, answer: Response, limit: i64) -> Value {
    assert_eq!((answer.status().as_u16(), said(&answer)), (429, Some((limit, 0))));
    let (after, reset) =
        (number(&answer, "retry-after").unwrap(), number(&answer, "x-ratelimit-reset").unwrap());
    assert!((1..=61).contains(&after), "{after}");
    let now = app.cx.store.now() / 1_000_000;
    assert!((now + after - 5..=now + after + 2).contains(&reset), "{now} + {after}: {reset}");
    assert!(answer.headers().contains_key("x-request-id"));
    let (_, body) = read(answer).await;
    let at = fhir_model::date::format_instant(reset * 1_000_000);
    let text = format!("at most {limit} a minute are answered here; the limit resets in {after} s, at {at}");
    assert!(body.to_string().contains(&text), "{text}: {body}");
    body
}

/// As it is out of the box, over the program itself.
#[tokio::test]
async fn the_301st_request_to_auth_in_a_minute_is_refused() {
    let dir = directory();
    std::fs::write(dir.path().join("cari.toml"), "").unwrap();
    let server = Served::start(dir.path(), "cari.toml");
    let root = &server.root;
    let client = client();
    let get = async |path: &str| client.get(format!("{root}{path}")).send().await.unwrap();
    for n in 1..=300 {
        let answer = get("/api/auth/nothing").await;
        assert_eq!((answer.status().as_u16(), said(&answer)), (404, Some((300, 300 - n))));
    }
    let answer = get("/api/auth/token").await;
    assert_eq!((answer.status().as_u16(), said(&answer)), (429, Some((300, 0))));
    assert_eq!(read(answer).await.1["error"]["code"], "RATE_LIMITED");
    for (path, wanted) in [
        ("/api/visits", Some((600, 599))),
        ("/v1/me", Some((600, 598))),
        ("/fhir/R4/Patient", None),
        ("/admin/x", None),
        ("/health", None),
    ] {
        assert_eq!(said(&get(path).await), wanted, "{path}");
    }
}

#[tokio::test]
async fn nothing_is_counted_when_it_is_switched_off() {
    let dir = directory();
    let text = "[rate_limits]\nauth_per_minute = 1\nfhir_per_minute = 1\n";
    std::fs::write(dir.path().join("cari.toml"), text).unwrap();
    std::fs::write(dir.path().join("off.toml"), format!("{text}enabled = false\n")).unwrap();
    for (file, wanted) in [("cari.toml", 429), ("off.toml", 404)] {
        let server = Served::start(dir.path(), file);
        let root = &server.root;
        let get = async |path: &str| client().get(format!("{root}{path}")).send().await.unwrap();
        get("/api/auth/nothing").await;
        let answer = get("/api/auth/nothing").await;
        assert_eq!((answer.status().as_u16(), said(&answer).is_some()), (wanted, wanted == 429), "{file}");
    }
    let said = program(dir.path(), &["check"]).env("RATE_LIMITING_ENABLED", "perhaps").output().unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("rate_limits.enabled"), "{said:?}");
}

#[tokio::test]
async fn each_mount_refuses_in_its_form() {
    let page = "https://app.example.org";
    let origins = CorsOrigins::new(&[page.to_owned()]).unwrap();
    let setup = Setup { origins, ..Setup::default() };
    let app = app(MountFigures { auth: 1, api: 2, fhir: 2, other: 1 }, setup).await;
    let get = async |path: &str| app.at("GET", path).header("origin", page).send().await.unwrap();

    // A browser's question is not counted, what it asks for is.
    for _ in 0..3 {
        let question = app.at("OPTIONS", "/api/desk").header("origin", page);
        let answer = question.header("access-control-request-method", "GET").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), said(&answer)), (204, None));
    }
    let answer = get("/api/desk").await;
    assert_eq!((answer.status().as_u16(), said(&answer)), (200, Some((2, 1))));
    assert_eq!(get("/v1/desk").await.status().as_u16(), 200);
    let body = refused(&app, get("/api/desk").await, 2).await;
    assert_eq!((&body["success"], &body["error"]["code"]), (&json!(false), &json!("RATE_LIMITED")));
    let body = refused(&app, get("/v1/desk").await, 2).await;
    assert_eq!(body["error"]["code"], "rate_limited");
    // Also where there is nothing.
    refused(&app, get("/api/nothing").await, 2).await;

    let answer = get("/fhir/R4/metadata").await;
    assert_eq!((answer.status().as_u16(), said(&answer)), (200, Some((2, 1))));
    // Whose answer it is, a page may read how much is left.
    let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    assert_eq!(get("/o/north/fhir/R4/Patient").await.status().as_u16(), 200);
    let body = refused(&app, get("/o/south/fhir/R4/Patient").await, 2).await;
    assert_eq!(issue(&body).0, "throttled");
    let answer = app.ask("GET", "Patient").header("accept", "application/fhir+xml").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/fhir+xml; charset=utf-8");
    let answer = app.ask("HEAD", "Patient").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), said(&answer)), (429, Some((2, 0))));

    assert_eq!(get("/docs/").await.status().as_u16(), 200);
    refused(&app, get("/docs/").await, 1).await;
    for _ in 0..5 {
        for path in ["/health", "/ready", "/metrics"] {
            let answer = get(path).await;
            assert_eq!((answer.status().as_u16(), said(&answer)), (200, None), "{path}");
        }
    }
    for (limit, wanted) in [("api", "3"), ("fhir", "3"), ("other", "1")] {
        let name = format!("cari_rate_limited_requests_total{{limit=\"{limit}\"}}");
        assert_eq!(app.metric(&name).await, wanted, "{limit}");
    }
}

/// Before its body is read, and before it waits for its turn.
#[tokio::test]
async fn who_is_refused_costs_little() {
    let limits = HttpLimits { body_bytes_max: 1000, requests_max: 1, queue_max: 0, ..HttpLimits::default() };
    let app = Arc::new(
        app(MountFigures { auth: 1, ..MountFigures::default() }, Setup { limits, ..Setup::default() }).await,
    );
    let login = |bytes: usize| app.at("POST", "/api/auth/desk").body("x".repeat(bytes)).send();
    assert_eq!(read(login(7).await.unwrap()).await.1["data"]["bytes"], 7);
    let held = {
        let app = app.clone();
        tokio::spawn(async move { app.ask("POST", "$hold").send().await.unwrap() })
    };
    app.hold.arrived.acquire().await.unwrap().forget();
    // It is 413 and 503 otherwise.
    refused(&app, login(5000).await.unwrap(), 1).await;
    refused(&app, login(5).await.unwrap(), 1).await;
    app.hold.go_on.notify_waiters();
    assert_eq!(held.await.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn only_trusted_proxies_say_the_address() {
    let two = MountFigures { auth: 2, ..MountFigures::default() };
    let login = async |app: &TestApp, forwarded: &str| {
        let answer =
            app.at("POST", "/api/auth/desk").header("x-forwarded-for", forwarded).send().await.unwrap();
        let (status, body) = read(answer).await;
        (status, body["data"]["address"].as_str().unwrap_or_default().to_owned())
    };
    let untrusting = app(two, Setup::default()).await;
    for forged in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(login(&untrusting, forged).await, (200, "127.0.0.1".to_owned()));
    }
    assert_eq!(login(&untrusting, "192.0.2.3").await.0, 429);

    let networks = ["127.0.0.0/8", "10.0.0.0/8"].map(|network| network.parse().unwrap());
    let proxies = TrustedProxies::new(networks.to_vec(), ProxyHeader::XForwardedFor);
    let figure = |network: &str, mount, per_minute| NetworkLimit {
        network: network.parse().unwrap(),
        mount,
        per_minute,
    };
    let networks =
        vec![figure("198.51.100.0/24", None, 3), figure("198.51.100.7/32", Some(LimitedMount::Auth), 0)];
    let rate_limits = RateLimitOptions { networks, ..RateLimitOptions::default() };
    let trusting = app(two, Setup { proxies, rate_limits, ..Setup::default() }).await;
    for (forwarded, address, admitted) in [
        ("192.0.2.1", "192.0.2.1", 2),
        // What the client wrote itself changes nothing.
        ("203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1", 0),
        ("192.0.2.2", "192.0.2.2", 2),
        ("2001:db8::1", "2001:db8::1", 2),
        ("2001:db8::ffff", "2001:db8::ffff", 0),
        ("198.51.100.8", "198.51.100.8", 3),
        ("198.51.100.7", "198.51.100.7", 20),
    ] {
        for n in 0..20 {
            let wanted = if n < admitted { (200, address.to_owned()) } else { (429, String::new()) };
            assert_eq!(login(&trusting, forwarded).await, wanted, "{forwarded}, request {n}");
        }
    }
}
