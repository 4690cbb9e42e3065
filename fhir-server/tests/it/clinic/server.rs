//! A server with accounts, and others on its database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fhir_access::accounts::login_name::LoginName;
use fhir_access::accounts::organizations::Organization;
use fhir_access::accounts::users::NewUser;
use fhir_access::{AccountGuard, AccountOptions, Accounts, KeyDirectory, PasswordOptions};
use fhir_app::{App, Module, Modules};
use fhir_config::{Config, Sources};
use fhir_http::{
    CorsOrigins, Edge, EdgeOptions, Hosts, HttpLimits, Metrics, RateLimitOptions, Server, Stop,
    TrustedProxies,
};
use fhir_interactions::{Cx, Operations, Rules};
use fhir_store::Store;
use fhir_work::{CancellationToken, Work, Working};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::app::outbound;

/// Everything that may be done everywhere.
pub(super) const SUPERADMIN: &str = "SUPER:ADMIN";

/// A server of a database that it may share.
pub(super) struct ClinicServer {
    pub(super) accounts: Arc<Accounts>,
    pub(super) store: Arc<Store>,
    address: SocketAddr,
    client: Client,
    url: String,
    folder: Arc<TempDir>,
    variables: Vec<(String, String)>,
    stop: Stop,
    work: Option<Working>,
}

/// Somebody with an account.
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) email: String,
    pub(super) token: String,
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl ClinicServer {
    pub(super) async fn start() -> ClinicServer {
        ClinicServer::with(&[]).await
    }

    /// With these settings beside those of tests, as environment variables.
    pub(super) async fn with(variables: &[(&str, &str)]) -> ClinicServer {
        let url = fhir_store::testing::database().await.unwrap();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let mail = folder.path().join("mail");
        std::fs::create_dir(&mail).unwrap();
        let own = [
            ("CARI_ACCOUNTS__MAIL_FROM", "Cari <no-reply@example.org>"),
            ("CARI_ACCOUNTS__MAIL_FOLDER", mail.to_str().unwrap()),
        ];
        let variables = own.iter().chain(variables);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ClinicServer::on(url, folder, variables).await
    }

    /// Another process of the same database.
    pub(super) async fn second(&self) -> ClinicServer {
        ClinicServer::on(self.url.clone(), self.folder.clone(), self.variables.clone()).await
    }

    async fn on(url: String, folder: Arc<TempDir>, variables: Vec<(String, String)>) -> ClinicServer {
        let modules: Vec<Box<dyn Module>> =
            vec![Box::new(fhir_adapters::Accounts), Box::new(fhir_adapters::Clinic)];
        let modules = Modules::new(modules).unwrap();
        let migrations: Vec<_> = [fhir_store::MIGRATIONS, fhir_access::MIGRATIONS]
            .into_iter()
            .chain(modules.migrations())
            .collect();
        fhir_database::migrate(&url, &migrations).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hosts = Hosts::new(address, None, &["ehr.local".to_owned()]);
        // Both servers have the index settings of one, as those of a database do.
        let options = fhir_store::Options { connections_max: 4, ..fhir_store::Options::default() };
        let registry = fhir_store::testing::registry().await.unwrap();
        let store = Store::open(&url, options, registry).await.unwrap();
        let keys = KeyDirectory::open(folder.path().join("keys")).unwrap();
        let options = AccountOptions {
            issuer: "cari".to_owned(),
            token_lifetime: Duration::from_secs(900),
            session_lifetime: Duration::from_secs(86_400),
            shared_idle_max: Duration::from_secs(600),
            verify_email: true,
            passwords: PasswordOptions { memory_kib: 8192, ..PasswordOptions::default() },
        };
        let accounts = Arc::new(Accounts::new(store.clone(), keys, options).unwrap());
        accounts.ensure_organizations().await.unwrap();
        let guard = Arc::new(AccountGuard::new(store.clone(), accounts.clone()));
        let cx = Arc::new(Cx {
            operations: Operations::new(modules.operations(), &**store.registry().definitions()).unwrap(),
            rules: Rules::standard(store.indexes_references()).with(modules.rules()),
            ..Cx::new(store.clone(), guard)
        });
        let sources = Sources::default().modules(modules.settings());
        let sources = variables.iter().fold(sources, |all, (name, value)| all.variable(name, value));
        let settings = Config::load(sources).unwrap().modules;
        let app = App::new(cx.clone(), settings, outbound()).with_accounts(Some(accounts.clone()));
        let app = Arc::new(app);
        let edge = EdgeOptions {
            limits: HttpLimits::default(),
            metrics: Arc::new(Metrics::new().unwrap()),
            hosts,
            origins: CorsOrigins::default(),
            modules: modules.routes(&app).unwrap(),
            proxies: TrustedProxies::default(),
            rate_limits: RateLimitOptions::default(),
        };
        let (server, stop) = Server::new(listener, Edge::new(cx, edge).unwrap());
        tokio::spawn(server.run());
        let work = modules.work(&app, Work::new(store.clone())).unwrap();
        let work = Some(work.start(CancellationToken::new()).unwrap());
        // The second test of the process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        ClinicServer { accounts, store, address, client, url, folder, variables, stop, work }
    }

    /// Somebody with roles of the platform, who signed in.
    pub(super) async fn person(&self, name: &str, roles: &[&'static str]) -> Person {
        let email = format!("{name}@example.org");
        let user = NewUser {
            id: Uuid::new_v4(),
            first_name: name.to_owned(),
            last_name: "Otieno".to_owned(),
            logins: vec![(LoginName::email(&email).unwrap(), true)],
            roles: roles.to_vec(),
            fhir_user: None,
        };
        self.accounts.create_user(&user, None).await.unwrap();
        let token = self.accounts.open_session(user.id, false).await.unwrap().access;
        Person { id: user.id, email, token }
    }

    /// The same, as a member of an organisation.
    pub(super) async fn member(&self, name: &str, organization: &Organization, role: &str) -> Person {
        let person = self.person(name, &[]).await;
        self.accounts.set_member_user(organization.id, person.id, &[role]).await.unwrap();
        person
    }

    /// An organisation, without its resource.
    pub(super) async fn organization(&self, slug: &str) -> Organization {
        let mut client = self.store.connections().client().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let name = format!("Clinic {slug}");
        let added = self.accounts.add_organization(&transaction, &name, slug).await.unwrap();
        transaction.commit().await.unwrap();
        self.accounts.organization_added(&added);
        added
    }

    pub(super) async fn get(&self, path: &str, who: Option<&Person>) -> Answer {
        self.send("GET", path, who, None, &[]).await
    }

    pub(super) async fn post(&self, path: &str, who: &Person, body: Value) -> Answer {
        self.send("POST", path, Some(who), Some(body), &[]).await
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        who: Option<&Person>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = body.map(|body| body.to_string());
        self.send_text(method, path, who, body, headers).await
    }

    pub(super) async fn send_text(
        &self,
        method: &str,
        path: &str,
        who: Option<&Person>,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if let Some(who) = who {
            request = request.bearer_auth(&who.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(json!(text));
        Answer { status, headers, body }
    }

    /// Asks until the answer is what is waited for.
    pub(super) async fn until(&self, path: &str, who: &Person, is_it: impl Fn(&Answer) -> bool) -> Answer {
        for _ in 0..300 {
            let answer = self.get(path, Some(who)).await;
            if is_it(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let answer = self.get(path, Some(who)).await;
        panic!("{path}: {} {}", answer.status, answer.body);
    }

    /// The texts of mail that was sent.
    pub(super) fn mail(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path().join("mail")).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    pub(super) async fn stop(mut self) {
        self.stop.now();
        if let Some(work) = self.work.take() {
            work.stop().await;
        }
    }
}

impl Answer {
    /// The fields that are wrong, of a 422.
    pub(super) fn fields(&self) -> Vec<&str> {
        assert_eq!(self.status, 422, "{}", self.body);
        assert_eq!(self.body["error"]["code"], "validation_failed", "{}", self.body);
        let fields = self.body["error"]["fields"].as_object().map(|fields| fields.keys());
        fields.into_iter().flatten().map(String::as_str).collect()
    }

    /// The code of an error, in the envelope of `/v1`.
    pub(super) fn error(&self) -> (u16, &str) {
        assert!(self.body["error"]["message"].is_string(), "{}", self.body);
        if self.status != 422 {
            assert!(self.body["error"].get("fields").is_none(), "{}", self.body);
        }
        (self.status, self.body["error"]["code"].as_str().unwrap())
    }

    pub(super) fn data(&self) -> &Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        &self.body["data"]
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
