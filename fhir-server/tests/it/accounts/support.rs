//! Servers with accounts, and what is asked of them.

use std::path::Path;
use std::sync::Arc;

use fhir_access::Accounts;
use fhir_access::accounts::login_name::LoginName;
use fhir_access::accounts::users::NewUser;
use fhir_database::Clock;
use fhir_http::Hosts;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::app::{Setup, TestApp, json as read};

/// The password of users of tests.
pub(crate) const PASSWORD: &str = "SecureP@ss123";

/// Servers of one database, with a clock that a test moves.
pub(crate) struct Servers {
    pub(crate) url: String,
    pub(crate) clock: Clock,
    pub(crate) directory: TempDir,
    variables: &'static [(&'static str, &'static str)],
    connections_max: usize,
}

impl Servers {
    pub(crate) async fn new(variables: &'static [(&'static str, &'static str)]) -> Servers {
        let url = fhir_store::testing::database().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        Servers { url, clock: Clock::default(), directory, variables, connections_max: 4 }
    }

    /// Whose servers have so many connections to the database.
    pub(crate) fn with_connections(self, connections_max: usize) -> Servers {
        Servers { connections_max, ..self }
    }

    pub(crate) async fn start(&self) -> Server {
        self.start_with(Vec::new()).await
    }

    pub(crate) async fn start_with(&self, more: Vec<Box<dyn fhir_app::Module>>) -> Server {
        let mut modules: Vec<Box<dyn fhir_app::Module>> = vec![
            Box::new(fhir_operations::Everything),
            Box::new(fhir_operations::Reindex),
            Box::new(fhir_adapters::Accounts),
            Box::new(fhir_adapters::Clinic),
            Box::new(fhir_adapters::DeadLetterQueue),
        ];
        modules.extend(more);
        let app = TestApp::set_up(Setup {
            modules,
            keys: Some(self.directory.path().to_owned()),
            database: Some(self.url.clone()),
            variables: self.variables,
            // Servers of one database are known by one url.
            names: Some(Hosts::new(([127, 0, 0, 1], 0).into(), Some("http://cari.example"), &[])),
            store: fhir_store::Options {
                connections_max: self.connections_max,
                clock: self.clock.clone(),
                ..fhir_store::Options::default()
            },
            ..Setup::default()
        })
        .await;
        Server { app }
    }

    /// The texts of all mail that was sent.
    pub(crate) fn mail(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.directory.path().join("mail")) else { return Vec::new() };
        let texts = files.map(|file| file.unwrap().path()).filter(|path| is_mail(path));
        texts.map(|path| std::fs::read_to_string(path).unwrap().replace("=\r\n", "")).collect()
    }
}

fn is_mail(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "eml")
}

/// One of them.
pub(crate) struct Server {
    pub(crate) app: TestApp,
}

impl Server {
    pub(crate) fn accounts(&self) -> &Arc<Accounts> {
        self.app.accounts.as_ref().unwrap()
    }

    /// A request with a body in JSON.
    pub(crate) fn request(&self, method: &str, path: &str, body: &Value) -> RequestBuilder {
        let request = self.app.at(method, path);
        if body.is_null() {
            request
        } else {
            request.header("content-type", "application/json").body(body.to_string())
        }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        read(self.request("POST", path, &body).send().await.unwrap()).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        read(self.request("POST", path, &body).bearer_auth(token).send().await.unwrap()).await
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> (u16, Value) {
        read(self.app.at("GET", path).bearer_auth(token).send().await.unwrap()).await
    }

    /// Asks FHIR.
    pub(crate) async fn fhir(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.app.at(method, path).bearer_auth(token);
        let request = match body.is_null() {
            true => request,
            false => request.header("content-type", "application/fhir+json").body(body.to_string()),
        };
        let answer: Response = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }

    pub(crate) async fn status_as(&self, token: &str, path: &str) -> u16 {
        self.app.at("GET", path).bearer_auth(token).send().await.unwrap().status().as_u16()
    }

    /// Makes a user, with roles of the platform and of organisations.
    pub(crate) async fn user(
        &self,
        email: &str,
        platform: &[&'static str],
        members: &[(&str, &[&str])],
    ) -> Uuid {
        let id = Uuid::new_v4();
        let logins = vec![(LoginName::parse(email).unwrap(), true)];
        let (first_name, last_name) = ("Jane".to_owned(), "Doe".to_owned());
        let user = NewUser { id, first_name, last_name, logins, roles: platform.to_vec(), fhir_user: None };
        self.accounts().create_user(&user, Some(PASSWORD)).await.unwrap();
        for (slug, roles) in members {
            let organization = self.accounts().organization_named(slug).await.unwrap().unwrap();
            self.accounts().set_member_user(organization.id, id, roles).await.unwrap();
        }
        id
    }

    /// Signs a user in; what is answered.
    pub(crate) async fn sign_in(&self, email: &str) -> Value {
        let (status, answer) =
            self.post("/api/auth/login", json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    /// The access token of a user who signs in.
    pub(crate) async fn token(&self, email: &str) -> String {
        self.sign_in(email).await["token"].as_str().unwrap().to_owned()
    }
}

/// A text of an answer.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}
