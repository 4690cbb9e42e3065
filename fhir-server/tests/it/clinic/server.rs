//! A server with accounts, and others on its database.

use std::sync::Arc;
use std::time::Duration;

use fhir_access::Accounts;
use fhir_access::accounts::login_name::LoginName;
use fhir_access::accounts::organizations::Organization;
use fhir_access::accounts::users::NewUser;
use fhir_app::Module;
use fhir_database::PooledClient;
use fhir_http::Hosts;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::app::{Setup, TestApp};

/// Everything that may be done everywhere.
pub(super) const SUPERADMIN: &str = "SUPER:ADMIN";

/// A server of a database that it may share.
pub(super) struct ClinicServer {
    app: TestApp,
    shared: Shared,
}

/// What servers of one database have in common.
#[derive(Clone)]
struct Shared {
    url: String,
    folder: Arc<TempDir>,
    variables: &'static [(&'static str, &'static str)],
    connections_max: usize,
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

    /// With these settings, as environment variables.
    pub(super) async fn with(variables: &'static [(&'static str, &'static str)]) -> ClinicServer {
        ClinicServer::with_connections(variables, 4).await
    }

    /// With so many connections to the database.
    pub(super) async fn with_connections(
        variables: &'static [(&'static str, &'static str)],
        connections_max: usize,
    ) -> ClinicServer {
        let url = fhir_store::testing::database().await.unwrap();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        ClinicServer::on(Shared { url, folder, variables, connections_max }).await
    }

    /// Another process of the same database.
    pub(super) async fn second(&self) -> ClinicServer {
        ClinicServer::on(self.shared.clone()).await
    }

    async fn on(settings: Shared) -> ClinicServer {
        let modules: Vec<Box<dyn Module>> =
            vec![Box::new(fhir_adapters::Accounts), Box::new(fhir_adapters::Clinic)];
        let app = TestApp::set_up(Setup {
            modules,
            keys: Some(settings.folder.path().to_owned()),
            database: Some(settings.url.clone()),
            variables: settings.variables,
            // Servers of one database are known by one url.
            names: Some(Hosts::new(([127, 0, 0, 1], 0).into(), Some("http://cari.example"), &[])),
            store: fhir_store::Options {
                connections_max: settings.connections_max,
                ..fhir_store::Options::default()
            },
            ..Setup::default()
        })
        .await;
        ClinicServer { app, shared: settings }
    }

    pub(super) fn accounts(&self) -> &Accounts {
        self.app.accounts.as_ref().unwrap()
    }

    /// A connection of the server's own.
    pub(super) async fn database(&self) -> PooledClient {
        self.app.cx.store.connections().client().await.unwrap()
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
        self.accounts().create_user(&user, None).await.unwrap();
        let token = self.accounts().open_session(user.id, false).await.unwrap().access;
        Person { id: user.id, email, token }
    }

    /// The same, as a member of an organisation.
    pub(super) async fn member(&self, name: &str, organization: &Organization, role: &str) -> Person {
        let person = self.person(name, &[]).await;
        self.accounts().set_member_user(organization.id, person.id, &[role]).await.unwrap();
        person
    }

    /// An organisation, without its resource.
    pub(super) async fn organization(&self, slug: &str) -> Organization {
        let mut client = self.database().await;
        let transaction = client.transaction().await.unwrap();
        let name = format!("Clinic {slug}");
        let added = self.accounts().add_organization(&transaction, &name, slug).await.unwrap();
        transaction.commit().await.unwrap();
        self.accounts().organization_added(&added);
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
        let mut request = self.app.at(method, path);
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
        let Ok(files) = std::fs::read_dir(self.shared.folder.path().join("mail")) else { return Vec::new() };
        let paths = files.map(|file| file.unwrap().path());
        let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
        paths.map(|path| std::fs::read_to_string(path).unwrap().replace("=\r\n", "")).collect()
    }

    pub(super) async fn stop(self) {
        self.app.stop.now();
        if let Some(work) = self.app.work {
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
