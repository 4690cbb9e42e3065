//! Where resources go: into the database of this process, or to a running server. Both take Bundles.

use std::sync::Arc;
use std::time::Duration;

use fhir_interactions::{
    AccessRequest, Body, Cx, Interaction, Method, Prefer, Principal, Request, Return, handle,
};
use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::types::Types;
use fhir_model::{Key, Kind, Result};
use fhir_store::ResourceState;

use super::outcome::outcome_text;
use super::piece::Reading;
use super::remote::Remote;

/// How often a Bundle is tried while the database is away.
const ATTEMPTS_MAX: u32 = 6;

/// Where resources go.
#[derive(Clone)]
pub struct Target {
    pub(super) reading: Reading,
    to: To,
}

#[derive(Clone)]
enum To {
    Store(Arc<Cx>),
    Server(Arc<Remote>),
}

/// What is asked for before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    Key(Key),
    /// A search that should find one: `Patient?identifier=1`.
    Search(String),
}

/// Whether all entries of a Bundle are written, or each that can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BundleKind {
    Transaction,
    Batch,
}

/// What a Bundle's entry was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// What an outcome says.
    pub(super) text: String,
}

impl Answer {
    pub(super) fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Target {
    /// The database of this process.
    pub fn store(cx: &Arc<Cx>) -> Target {
        let reading = Reading { limits: cx.limits.json, types: cx.definitions.clone() };
        Target { reading, to: To::Store(cx.clone()) }
    }

    /// A running server.
    pub fn server(remote: Remote, limits: JsonLimits, types: Arc<dyn Types>) -> Target {
        Target { reading: Reading { limits, types }, to: To::Server(Arc::new(remote)) }
    }

    /// What is there now, in the order asked; `None` for what is not, or is several.
    pub(super) async fn current(&self, lookups: &[Lookup]) -> Result<Vec<Option<Doc>>> {
        match &self.to {
            To::Store(cx) => current(cx, lookups).await,
            To::Server(remote) => {
                let mut all = Vec::with_capacity(lookups.len());
                for some in lookups.chunks(LOOKUPS_MAX) {
                    let wanted = all.len() + some.len();
                    let gets: Vec<String> = some.iter().map(get).collect();
                    let response = remote.send(bundle(BundleKind::Batch, &gets), true).await?;
                    all.extend(entries(&response).zip(some).map(|(entry, lookup)| answered(entry, lookup)));
                    all.resize(wanted, None);
                }
                Ok(all)
            }
        }
    }

    /// Writes the entries, which are JSON texts. `is_repeatable`: nothing is done twice when it is sent twice.
    pub(super) async fn write(
        &self,
        kind: BundleKind,
        entries_json: &[String],
        is_repeatable: bool,
    ) -> Result<Vec<Answer>> {
        let text = bundle(kind, entries_json);
        let response = match &self.to {
            To::Store(cx) => {
                let bundle = Doc::parse(text, cx.limits.json)?;
                let post = request(cx, Method::Post, "", "", Some(Body::Resource(bundle)))?;
                let ask = || handle(cx, post.clone());
                Doc::parse(with_retries(ask).await?.body.unwrap_or_default(), JsonLimits::NONE)?
            }
            To::Server(remote) => remote.send(text, is_repeatable).await?,
        };
        Ok(entries(&response).map(answer).collect())
    }
}

/// Resources that a server is asked for at once.
const LOOKUPS_MAX: usize = 200;

async fn current(cx: &Arc<Cx>, lookups: &[Lookup]) -> Result<Vec<Option<Doc>>> {
    // Of a type that is none the write says what is wrong.
    let known = |lookup: &Lookup| match lookup {
        Lookup::Key(key) if cx.registry.number(&key.type_name).is_some() => Some(key.clone()),
        _ => None,
    };
    let keys: Vec<Key> = lookups.iter().filter_map(known).collect();
    let read = || async {
        let scope = cx.guard.scope(AccessRequest::own(&Interaction::Bundle)).await?;
        cx.store.read_many(&scope, &keys).await
    };
    let mut found = with_retries(read).await?.into_iter();
    let mut all = Vec::with_capacity(lookups.len());
    for lookup in lookups {
        all.push(match lookup {
            Lookup::Key(_) if known(lookup).is_some() => match found.next() {
                Some(ResourceState::Current(version)) => {
                    Some(Doc::parse(version.body.unwrap_or_default(), JsonLimits::NONE)?)
                }
                _ => None,
            },
            Lookup::Key(_) => None,
            Lookup::Search(url) => {
                let (path, query) = url.split_once('?').unwrap_or((url, ""));
                let get = request(cx, Method::Get, path, query, None)?;
                match with_retries(|| handle(cx, get.clone())).await {
                    Ok(reply) => {
                        only_match(Doc::parse(reply.body.unwrap_or_default(), JsonLimits::NONE)?.root())
                    }
                    Err(error) if error.kind.status() < 500 => None,
                    Err(error) => return Err(error),
                }
            }
        });
    }
    Ok(all)
}

/// Tries again while the database is away or busy.
async fn with_retries<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Result<T> {
    let mut attempt = 1;
    loop {
        match ask().await {
            Err(error) if error.kind == Kind::Unavailable && attempt < ATTEMPTS_MAX => {
                tracing::debug!("attempt {attempt}: {error}");
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                attempt += 1;
            }
            other => return other,
        }
    }
}

fn request(cx: &Cx, method: Method, path: &str, query: &str, body: Option<Body>) -> Result<Request> {
    let prefer = Prefer { ret: Some(Return::Minimal), ..Prefer::default() };
    let (query, principal) = (query.to_owned(), Principal::System("load"));
    Ok(Request { query, prefer, body, principal, ..Request::new(method, path, &*cx.definitions)? })
}

/// The text of a Bundle.
fn bundle(kind: BundleKind, entries_json: &[String]) -> String {
    let kind = match kind {
        BundleKind::Transaction => "transaction",
        BundleKind::Batch => "batch",
    };
    format!("{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\",\"entry\":[{}]}}", entries_json.join(","))
}

fn get(lookup: &Lookup) -> String {
    let url = match lookup {
        Lookup::Key(key) => key.to_string(),
        Lookup::Search(url) => url.clone(),
    };
    format!("{{\"request\":{{\"method\":\"GET\",\"url\":{}}}}}", serde_json::Value::from(url))
}

fn entries(response: &Doc) -> impl Iterator<Item = Ref<'_>> {
    response.root().get("entry").into_iter().flat_map(|entries| entries.items())
}

fn answered(entry: Ref<'_>, lookup: &Lookup) -> Option<Doc> {
    let resource = entry.get("resource").filter(|_| answer(entry).is_done())?;
    match lookup {
        Lookup::Key(_) => Doc::parse(resource.to_json(), JsonLimits::NONE).ok(),
        Lookup::Search(_) => only_match(resource),
    }
}

/// The one match of a searchset.
fn only_match(searchset: Ref<'_>) -> Option<Doc> {
    let is_match = |entry: &Ref<'_>| {
        let mode = entry.get("search").and_then(|search| search.get_str("mode"));
        mode.is_none_or(|mode| mode == "match")
    };
    let mut matches = searchset.get("entry").into_iter().flat_map(|entries| entries.items()).filter(is_match);
    let first = matches.next()?.get("resource")?;
    if matches.next().is_some() { None } else { Doc::parse(first.to_json(), JsonLimits::NONE).ok() }
}

fn answer(entry: Ref<'_>) -> Answer {
    let response = entry.get("response");
    let status = response.and_then(|response| response.get_str("status")).unwrap_or_default();
    let code = status.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
    let outcome = response.and_then(|response| response.get("outcome"));
    let text = outcome.and_then(outcome_text).unwrap_or_else(|| status.into_owned());
    Answer { status: code, text }
}
