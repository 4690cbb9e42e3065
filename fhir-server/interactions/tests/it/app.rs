//! A server without HTTP: requests are lines of text.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use fhir_interactions::{
    AccessRequest, Body, Conditions, Cx, Guard, Method, Prefer, Reply, Request, RequestLimits, Settings,
    handle,
};
use fhir_model::json::Doc;
use fhir_model::{Error, Result};
use fhir_profiles::Definitions;
use fhir_search::{ParseCx, Query};
use fhir_store::{Scope, Store, testing};
use serde_json::Value;

pub(crate) const BASE: &str = "http://test/fhir";

/// Nothing is decided here.
pub(crate) struct Everybody;

#[async_trait]
impl Guard for Everybody {
    async fn scope(&self, _: AccessRequest<'_>) -> Result<Scope> {
        Ok(Scope::everything())
    }
}

pub(crate) struct App {
    pub(crate) cx: Cx,
}

/// What came back: of a reply and of an error alike.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: Option<u32>,
    pub(crate) location: Option<String>,
    pub(crate) last_modified: Option<i64>,
    /// Null when there is none.
    pub(crate) body: Value,
}

impl App {
    pub(crate) async fn new() -> App {
        App::with(Settings::default(), RequestLimits::default()).await
    }

    pub(crate) async fn with(settings: Settings, limits: RequestLimits) -> App {
        App::on(testing::fresh().await.unwrap(), settings, limits)
    }

    pub(crate) fn on(store: Arc<Store>, settings: Settings, limits: RequestLimits) -> App {
        App { cx: Cx { limits, settings, ..Cx::new(store, Arc::new(Everybody)) } }
    }

    /// `GET Patient/1 | If-None-Match: W/"1"`
    pub(crate) async fn ask(&self, line: &str) -> Answer {
        self.run(request(line, None)).await
    }

    /// The same with a resource; for `PATCH`, an array is a JSON Patch.
    pub(crate) async fn send(&self, line: &str, body: &Value) -> Answer {
        let body = match body {
            Value::Array(_) => Body::JsonPatch(Bytes::from(body.to_string())),
            _ => Body::Resource(Doc::parse(body.to_string(), self.cx.limits.json).unwrap()),
        };
        self.run(request(line, Some(body))).await
    }

    pub(crate) async fn run(&self, request: Result<Request>) -> Answer {
        let done = match request {
            Ok(request) => handle(&self.cx, request).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(reply) => answer(reply),
            Err(error) => refused(&error),
        }
    }

    /// What a search asks for, read as strictly as may be.
    pub(crate) fn parse(&self, search: &str) -> Result<Query> {
        let (type_name, pair) = search.split_once('?').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        let cx = ParseCx {
            strict: true,
            bases: self.cx.store.bases(),
            zone: self.cx.store.zone(),
            now: self.cx.store.now(),
            count_default: 10,
            count_max: 10,
            values_max: 10,
            secret: self.cx.store.secret(),
            bound_to: "",
        };
        Query::parse(&self.cx.registry, type_name, &[(name.to_owned(), value.to_owned())], &cx)
    }

    /// The logical ids that a search finds, in order, with `+` before what is included.
    pub(crate) async fn found(&self, query: &str) -> String {
        let answer = self.ask(&format!("GET {query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        ids(&answer.body)
    }
}

pub(crate) fn ids(bundle: &Value) -> String {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let entries = entries.iter().filter(|e| e["search"]["mode"] != "outcome");
    let ids: Vec<String> = entries
        .map(|e| {
            let mark = if e["search"]["mode"] == "include" { "+" } else { "" };
            format!("{mark}{}", e["resource"]["id"].as_str().unwrap())
        })
        .collect();
    ids.join(" ")
}

/// The url of a link, below the base.
pub(crate) fn link<'a>(bundle: &'a Value, relation: &str) -> Option<&'a str> {
    let links = bundle["link"].as_array()?;
    let link = links.iter().find(|l| l["relation"] == relation)?;
    link["url"].as_str()?.strip_prefix(BASE)?.strip_prefix('/')
}

/// FHIR's types, for reading paths.
static TYPES: LazyLock<Definitions> = LazyLock::new(|| Definitions::load().unwrap());

pub(crate) fn request(line: &str, body: Option<Body>) -> Result<Request> {
    let mut parts = line.split(" | ");
    let (method, url) = parts.next().unwrap().split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut conditions = Conditions::default();
    let mut prefer = Prefer::default();
    for header in parts {
        let (name, value) = header.split_once(": ").unwrap();
        match name {
            "If-Match" => conditions.if_match = Some(value.to_owned()),
            "If-None-Match" => conditions.if_none_match = Some(value.to_owned()),
            "If-None-Exist" => conditions.if_none_exist = Some(value.to_owned()),
            "If-Modified-Since" => conditions.if_modified_since = Some(value.parse().unwrap()),
            "If-Unmodified-Since" => conditions.if_unmodified_since = Some(value.parse().unwrap()),
            "Prefer" => prefer = Prefer::parse(value),
            other => panic!("{other} is no header of these tests"),
        }
    }
    let plain = Request::new(Method::parse(method).unwrap(), path, &*TYPES);
    let (query, base) = (query.to_owned(), BASE.to_owned());
    Ok(Request { query, conditions, prefer, body, base, ..plain? })
}

fn answer(reply: Reply) -> Answer {
    Answer {
        status: reply.status,
        version: reply.version,
        location: reply.location,
        last_modified: reply.last_modified,
        body: reply.body.map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap()),
    }
}

fn refused(error: &Error) -> Answer {
    let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_ne!(error.kind.status(), 500, "{error}: {cause}");
    Answer {
        status: error.kind.status(),
        version: None,
        location: None,
        last_modified: None,
        body: error.outcome(),
    }
}
