//! A server to test, and what the tests say to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use fhir_access::{AccountGuard, Accounts, KeyDirectory, Open};
use fhir_adapters::accounts::settings;
use fhir_app::{App, Module, Modules, OutboundClient, OutboundLimits};
use fhir_config::{Config, Sources};
use fhir_http::{
    CorsOrigins, Edge, EdgeOptions, Hosts, HttpLimits, Metrics, RateLimitOptions, Server, Stop,
    TrustedProxies,
};
use fhir_interactions::{Call, Cx, Guard, Operation, Operations, Reply, Rules};
use fhir_model::{Error, Kind, Result};
use fhir_search::condition::Condition;
use fhir_search::{ParseCx, Query, TenantId};
use fhir_store::Store;
use fhir_work::{CancellationToken, Work, Working};
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
    pub(crate) work: Option<Working>,
    /// Of a server with accounts.
    pub(crate) accounts: Option<Arc<Accounts>>,
}

/// What a test may choose of a server.
pub(crate) struct Setup {
    pub(crate) limits: HttpLimits,
    pub(crate) origins: CorsOrigins,
    pub(crate) names: Option<Hosts>,
    pub(crate) guard: Arc<dyn Guard>,
    /// The directory of keys of a server with accounts, which decide then in the guard's place.
    pub(crate) keys: Option<PathBuf>,
    pub(crate) modules: Vec<Box<dyn Module>>,
    /// Of these, what every test server has is overwritten: names, organisations, effects.
    pub(crate) store: fhir_store::Options,
    /// The url of its database, where it is not a fresh one.
    pub(crate) database: Option<String>,
    pub(crate) proxies: TrustedProxies,
    pub(crate) rate_limits: RateLimitOptions,
    /// Settings of the modules, as environment variables.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// Where the full text index is, for a server that has one.
    pub(crate) full_text: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            limits: HttpLimits::default(),
            origins: CorsOrigins::default(),
            names: None,
            guard: Arc::new(Open),
            keys: None,
            modules: Vec::new(),
            store: fhir_store::Options { connections_max: 4, ..fhir_store::Options::default() },
            database: None,
            proxies: TrustedProxies::default(),
            rate_limits: RateLimitOptions::default(),
            variables: &[],
            full_text: None,
        }
    }
}

/// A client for calls to other systems that reaches nothing of this machine.
pub(crate) fn outbound() -> OutboundClient {
    OutboundClient::new(Vec::new(), OutboundLimits::default()).unwrap()
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
        TestApp::set_up(Setup { limits, origins, ..Setup::default() }).await
    }

    /// A server that is called by these names.
    pub(crate) async fn named(names: Hosts) -> TestApp {
        TestApp::set_up(Setup { names: Some(names), ..Setup::default() }).await
    }

    /// A server with a policy.
    pub(crate) async fn guarded(guard: Arc<dyn Guard>) -> TestApp {
        TestApp::set_up(Setup { guard, ..Setup::default() }).await
    }

    /// A server with features.
    pub(crate) async fn with_modules(modules: Vec<Box<dyn Module>>) -> TestApp {
        TestApp::set_up(Setup { modules, ..Setup::default() }).await
    }

    pub(crate) async fn set_up(setup: Setup) -> TestApp {
        let Setup { limits, origins, names, guard, modules, store, database, variables, full_text, .. } =
            setup;
        let keys = setup.keys;
        let (proxies, rate_limits) = (setup.proxies, setup.rate_limits);
        let modules = Modules::new(modules).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let names = names.unwrap_or_else(|| Hosts::new(address, None, &["ehr.local".to_owned()]));
        let settings = fhir_search::IndexSettings { bases: names.bases().clone(), ..store.settings };
        let options = fhir_store::Options {
            settings,
            organizations: vec!["north".to_owned(), "south".to_owned()],
            effects: modules.effects(),
            ..store
        };
        let url = match database {
            Some(url) => url,
            None => fhir_store::testing::database().await.unwrap(),
        };
        let migrations: Vec<_> = [fhir_store::MIGRATIONS, fhir_access::MIGRATIONS]
            .into_iter()
            .chain(modules.migrations())
            .collect();
        fhir_database::migrate(&url, &migrations).await.unwrap();
        let registry = fhir_store::testing::registry().await.unwrap();
        let store = Store::open(&url, options, registry).await.unwrap();
        let hold = Arc::new(Hold { arrived: Semaphore::new(0), go_on: Notify::new() });
        let mut operations: Vec<Box<dyn Operation>> =
            vec![Box::new(HoldOn(hold.clone())), Box::new(Panic), Box::new(Away)];
        operations.extend(modules.operations());
        let sources = Sources::default().modules(modules.settings());
        let mut sources = variables.iter().fold(sources, |all, (name, value)| all.variable(name, value));
        if let Some(directory) = &keys {
            let mail = directory.join("mail");
            sources = sources
                .variable("CARI_ACCOUNTS__MAIL_FOLDER", mail.to_str().unwrap())
                .variable("CARI_ACCOUNTS__MAIL_FROM", "Cari <no-reply@cari.example>")
                .variable("CARI_ACCOUNTS__PASSWORD_MEMORY_KIB", "8192");
        }
        let config = Config::load(sources).unwrap();
        let accounts = match keys {
            Some(directory) => Some(accounts(&store, &directory, &config).await),
            None => None,
        };
        let guard = match &accounts {
            Some(accounts) => Arc::new(AccountGuard::new(store.clone(), accounts.clone())),
            None => guard,
        };
        let cx = Arc::new(Cx {
            operations: Operations::new(operations, &**store.registry().definitions()).unwrap(),
            rules: Rules::standard(store.indexes_references()).with(modules.rules()),
            observers: modules.observers(),
            ..Cx::new(store.clone(), guard)
        });
        let app = App::new(cx.clone(), config.modules, outbound());
        let app = Arc::new(app.with_accounts(accounts.clone()));
        let metrics = Arc::new(Metrics::new().unwrap());
        let routes = modules.routes(&app).unwrap();
        let edge = EdgeOptions {
            limits,
            metrics: metrics.clone(),
            hosts: names,
            origins,
            modules: routes,
            proxies,
            rate_limits,
        };
        let (server, stop) = Server::new(listener, Edge::new(cx.clone(), edge).unwrap());
        let running = tokio::spawn(server.run());
        let mut work = Work::new(store.clone());
        if let Some(folder) = full_text {
            let index = Arc::new(fhir_fulltext::Index::open(&folder, store.database_number()).unwrap());
            store.set_full_text(index.clone());
            work = work.consumer(fhir_fulltext::consumer(index));
        }
        let work = modules.work(&app, work).unwrap();
        let work = (!modules.is_empty()).then(|| work.start(CancellationToken::new()).unwrap());
        // The second test of the process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        TestApp { address, client, cx, metrics, stop, running, hold, work, accounts }
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

/// The accounts of a store, with keys in a directory that servers may share.
async fn accounts(store: &Arc<Store>, directory: &Path, config: &Config) -> Arc<Accounts> {
    let keys = KeyDirectory::open(directory.join("keys")).unwrap();
    let options = settings::options(&config.modules, None);
    let accounts = Accounts::new(store.clone(), keys, options).unwrap();
    accounts.ensure_organizations().await.unwrap();
    Arc::new(accounts)
}

/// Status and body of an answer.
pub(crate) async fn json(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status}, not JSON ({e}): {text}"));
    (status, value)
}

/// The condition of a search, such as `("Patient", "_tag", "http://t|secret")`, on rows of a tenant: for rules.
pub(crate) fn condition(
    store: &Store,
    tenant: TenantId,
    (type_name, name, value): (&str, &str, &str),
) -> Condition {
    let cx = ParseCx {
        strict: true,
        bases: store.bases(),
        zone: store.zone(),
        now: store.now(),
        count_default: 10,
        count_max: 10,
        values_max: 100,
        secret: store.secret(),
        bound_to: "",
    };
    let pairs = [(name.to_owned(), value.to_owned())];
    store.condition(tenant, &Query::parse(store.registry(), type_name, &pairs, &cx).unwrap())
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
