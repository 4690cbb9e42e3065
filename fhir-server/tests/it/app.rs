//! A server to test, and what the tests say to it.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use fhir_access::Open;
use fhir_adapters::Adapter;
use fhir_interactions::{
    Call, Cx, Guard, Operation, Operations, Reply, ServerErrorLog, Settings, Statements,
};
use fhir_model::{Error, Kind, Result};
use fhir_server::http::{App, CorsOrigins, Hosts, HttpLimits, Server, Stop};
use fhir_server::metrics::Metrics;
use fhir_server::wiring;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

/// A running server on a database of its own.
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) cx: Arc<Cx>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: Stop,
    pub(crate) running: JoinHandle<()>,
    pub(crate) hold: Arc<Hold>,
}

/// What a test may choose of a server.
struct Setup {
    limits: HttpLimits,
    origins: CorsOrigins,
    names: Option<Hosts>,
    guard: Arc<dyn Guard>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            limits: HttpLimits::default(),
            origins: CorsOrigins::default(),
            names: None,
            guard: Arc::new(Open),
        }
    }
}

/// What `$hold` waits for: a request that lasts as long as a test wants.
pub(crate) struct Hold {
    pub(crate) arrived: Semaphore,
    pub(crate) go_on: Notify,
}

impl TestApp {
    pub(crate) async fn start() -> TestApp {
        TestApp::with(HttpLimits::default(), CorsOrigins::default()).await
    }

    pub(crate) async fn with(limits: HttpLimits, origins: CorsOrigins) -> TestApp {
        TestApp::with_adapters(limits, origins, &[]).await
    }

    pub(crate) async fn with_adapters(
        limits: HttpLimits,
        origins: CorsOrigins,
        adapters: &[Box<dyn Adapter>],
    ) -> TestApp {
        let setup = Setup { limits, origins, ..Setup::default() };
        TestApp::set_up(setup, adapters).await
    }

    /// A server that is called by these names.
    pub(crate) async fn named(names: Hosts) -> TestApp {
        TestApp::set_up(Setup { names: Some(names), ..Setup::default() }, &[]).await
    }

    /// A server with a policy.
    pub(crate) async fn guarded(guard: Arc<dyn Guard>) -> TestApp {
        TestApp::set_up(Setup { guard, ..Setup::default() }, &[]).await
    }

    /// A server with a policy and adapters.
    pub(crate) async fn guarded_with(guard: Arc<dyn Guard>, adapters: &[Box<dyn Adapter>]) -> TestApp {
        TestApp::set_up(Setup { guard, ..Setup::default() }, adapters).await
    }

    async fn set_up(setup: Setup, adapters: &[Box<dyn Adapter>]) -> TestApp {
        let Setup { limits, origins, names, guard } = setup;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let names = names.unwrap_or_else(|| Hosts::new(address, None, &["ehr.local".to_owned()]));
        let settings = fhir_search::IndexSettings { bases: names.bases().clone(), ..Default::default() };
        let options = fhir_store::Options {
            connections_max: 4,
            settings,
            organizations: vec!["north".to_owned(), "south".to_owned()],
            ..fhir_store::Options::default()
        };
        let store = fhir_store::testing::fresh_with(options).await.unwrap();
        let registry = fhir_store::testing::registry().await.unwrap();
        let hold = Arc::new(Hold { arrived: Semaphore::new(0), go_on: Notify::new() });
        let operations: Vec<Box<dyn Operation>> =
            vec![Box::new(HoldOn(hold.clone())), Box::new(Panic), Box::new(Away)];
        let cx = Arc::new(Cx {
            store,
            definitions: definitions(),
            registry,
            guard,
            operations: Operations::new(operations).unwrap(),
            rules: fhir_interactions::Rules::standard(false),
            limits: fhir_interactions::RequestLimits::default(),
            settings: Settings::default(),
            statements: Statements::default(),
            error_log: ServerErrorLog::default(),
        });
        let metrics = Arc::new(Metrics::default());
        let mut app = App::new(cx.clone(), limits, metrics.clone(), names, origins);
        app.adapters = wiring::routes(&cx, adapters).unwrap();
        let (server, stop) = Server::new(listener, app);
        let running = tokio::spawn(server.run());
        // The second test of the process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        TestApp { address, client, cx, metrics, stop, running, hold }
    }

    /// `http://127.0.0.1:1234/fhir/R4`
    pub(crate) fn base(&self) -> String {
        format!("http://{}/fhir/R4", self.address)
    }

    /// A request to a path below the base.
    pub(crate) fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        self.at(method, &format!("/fhir/R4/{path}"))
    }

    /// A request to a path of the server.
    pub(crate) fn at(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// A request with a resource.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> RequestBuilder {
        self.ask(method, path).header("content-type", "application/fhir+json").body(body.to_owned())
    }

    /// The value of a metric.
    pub(crate) async fn metric(&self, name: &str) -> String {
        let text = self.at("GET", "/metrics").send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split(' ').nth(1)).unwrap_or("").to_owned()
    }
}

/// FHIR's types, decoded once.
fn definitions() -> Arc<fhir_profiles::Definitions> {
    static ONCE: std::sync::OnceLock<Arc<fhir_profiles::Definitions>> = std::sync::OnceLock::new();
    ONCE.get_or_init(|| Arc::new(fhir_profiles::Definitions::load().unwrap())).clone()
}

/// Status and body of an answer.
pub(crate) async fn json(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status}, not JSON ({e}): {text}"));
    (status, value)
}

/// The sentence and code of the first issue of an OperationOutcome.
pub(crate) fn issue(outcome: &Value) -> (String, String) {
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    let issue = &outcome["issue"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&issue["code"]), text(&issue["details"]["text"]))
}

struct HoldOn(Arc<Hold>);

#[async_trait]
impl Operation for HoldOn {
    fn definition(&self) -> &'static str {
        r#"{"resourceType":"OperationDefinition","url":"http://example.org/hold","code":"hold","system":true}"#
    }

    async fn run(&self, _: &Cx, _: Call) -> Result<Reply> {
        let go_on = self.0.go_on.notified();
        self.0.arrived.add_permits(1);
        go_on.await;
        Ok(Reply::resource(r#"{"resourceType":"Parameters"}"#))
    }
}

/// As if the database were away.
struct Away;

#[async_trait]
impl Operation for Away {
    fn definition(&self) -> &'static str {
        r#"{"resourceType":"OperationDefinition","url":"http://example.org/away","code":"away","system":true}"#
    }

    async fn run(&self, _: &Cx, _: Call) -> Result<Reply> {
        Err(Error::new(Kind::Unavailable, "the database is away").because("a secret of the server"))
    }
}

struct Panic;

#[async_trait]
impl Operation for Panic {
    fn definition(&self) -> &'static str {
        r#"{"resourceType":"OperationDefinition","url":"http://example.org/panic","code":"panic","system":true}"#
    }

    async fn run(&self, _: &Cx, _: Call) -> Result<Reply> {
        panic!("secret of the server");
    }
}
