//! Pages for people who open a url in a browser: what they are made of, from `fhir-html`.
//!
//! **Invariant:** a page is made of the JSON answer that any client would have got, and of nothing else: it can neither
//! show nor do what the API does not.

use std::sync::Arc;

use bytes::Bytes;
use fhir_html::{Site, Visit};
use fhir_i18n::Language;
use fhir_model::interaction::MOUNTS;
use http_body_util::{BodyExt, Either};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Uri};

use crate::edge::Edge;
use crate::reply::{self, Answer};
use crate::shape::Shape;
use crate::target::Mounted;
use crate::{media, request};

/// Answers up to this length become pages where they are made; longer ones where they keep no other request from its turn.
const SHORT_BYTES_MAX: usize = 32 * 1024;

/// What is not FHIR's and is answered without an interaction: the front page, the icon, and forms, whose fields become
/// the url of a search.
pub(crate) fn at_once<B>(edge: &Edge, asked: &Request<B>) -> Option<Answer> {
    let (uri, headers) = (asked.uri(), asked.headers());
    let is_form = uri.query().is_some_and(|query| query.starts_with(fhir_html::FORM));
    if !(is_form || matches!(uri.path(), "/" | "/icon.svg" | "/favicon.ico")) {
        return None;
    }
    if !matches!(*asked.method(), Method::GET | Method::HEAD) {
        return None;
    }
    match uri.path() {
        "/" => front(edge, uri, headers),
        "/icon.svg" | "/favicon.ico" => Some(reply::icon()),
        path => {
            let Mounted { mount, path } = Mounted::parse(path)?;
            let query = fhir_html::criteria(uri.query().unwrap_or("")).ok()?;
            let root = path_of(&edge.hosts.base(uri, headers, mount)).to_owned();
            let mark = if query.is_empty() { "" } else { "?" };
            reply::redirect(format!("{root}/{path}{mark}{query}")).ok()
        }
    }
}

/// What this server is; for browsers alone.
fn front(edge: &Edge, uri: &Uri, headers: &HeaderMap) -> Option<Answer> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if !accept.is_some_and(media::prefers_page) {
        return None;
    }
    let base = edge.hosts.base(uri, headers, MOUNTS[0]);
    let visit = visit(&base, "", "", headers, "");
    let shape = Shape { gzip: request::takes_gzip(headers.get_all(ACCEPT_ENCODING).iter()), ..Shape::PLAIN };
    let page = fhir_html::front(&site(edge), &visit);
    reply::html(StatusCode::OK, HeaderMap::new(), page, visit.language.tag(), &shape).ok()
}

/// The page of an answer in JSON. What is not JSON (a Binary's own content, an answer without a body) stays as it is.
pub(crate) async fn page(
    edge: &Arc<Edge>,
    parts: &Parts,
    shape: Shape,
    id: &HeaderValue,
    answer: Answer,
) -> Answer {
    let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/fhir+json");
    let is_error = answer.status().is_client_error() || answer.status().is_server_error();
    // What a Binary holds may be of any type.
    let is_resource = shape.content.is_none() && answer.headers().get(CONTENT_TYPE).is_some_and(is_json);
    if !(is_resource || is_error) {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let body = match body {
        Either::Left(whole) => {
            whole.collect().await.map_or_else(|never| match never {}, |all| all.to_bytes())
        }
        stream => return Answer::from_parts(head, stream),
    };
    let (edge, uri, headers) = (edge.clone(), parts.uri.clone(), parts.headers.clone());
    let (is_get, id) = (matches!(parts.method, Method::GET | Method::HEAD), id.clone());
    let plain = body.clone();
    let (status, answered) = (head.status, head.headers.clone());
    let bytes = body.len();
    let work = move || {
        let mounted = Mounted::parse(uri.path()).unwrap_or(Mounted { mount: MOUNTS[0], path: "" });
        let Mounted { mount, path } = mounted;
        let base = edge.hosts.base(&uri, &headers, mount);
        let query = uri.query().unwrap_or("");
        let visit = Visit { is_get, ..visit(&base, path, query, &headers, id.to_str().unwrap_or("")) };
        let page = fhir_html::page(&site(&edge), &visit, status.as_u16(), &body);
        reply::html(status, answered, page, visit.language.tag(), &shape)
    };
    let made = match bytes > SHORT_BYTES_MAX {
        true => tokio::task::spawn_blocking(work).await.ok(),
        false => Some(work()),
    };
    match made {
        Some(Ok(page)) => page,
        // Better JSON than nothing.
        _ => Answer::from_parts(head, Either::Left(Bytes::into(plain))),
    }
}

fn site(edge: &Edge) -> Site<'_> {
    let settings = &edge.cx.settings;
    Site {
        definitions: &edge.cx.definitions,
        registry: &edge.cx.registry,
        bases: edge.hosts.bases(),
        software: settings.software,
        version: settings.software_version,
        count_max: edge.cx.limits.count_max,
    }
}

fn visit<'a>(
    base: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &HeaderMap,
    request_id: &'a str,
) -> Visit<'a> {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Visit {
        base,
        root: path_of(base),
        path,
        query,
        is_get: true,
        language: Language::accepted(accepted.unwrap_or("")),
        request_id,
    }
}

/// The path of a base url: links on pages begin with it, so that they hold by whatever name and scheme the browser came.
fn path_of(base: &str) -> &str {
    let after = base.split_once("://").map_or(base, |(_, after)| after);
    after.find('/').and_then(|at| after.get(at..)).unwrap_or("")
}
