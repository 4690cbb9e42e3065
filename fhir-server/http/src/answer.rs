//! The one way of every request but probes: request id, host and origin, rate limit, whose path it is, the answer, CORS, metrics,
//! the access log.
//!
//! A function rather than a stack of layers (decisions/0028): each step is a line, what one finds out goes to the next by its
//! name, and only what is large is boxed, where it begins.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use fhir_model::{Error, Kind, Result};
use futures_util::FutureExt;
use http_body_util::Either;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Version};

use crate::edge::Edge;
use crate::fhir::RequestSummary;
use crate::module_routes::Route;
use crate::pace::RequestBody;
use crate::panics::from_panic;
use crate::rate_limits::Client;
use crate::reply::{self, Answer};
use crate::request_id::HEADER as REQUEST_ID;
use crate::target::Target;
use crate::{browser, docs, fhir, module, probes};

/// Answers a request, whatever it is.
pub(crate) async fn answer(edge: &Arc<Edge>, peer: IpAddr, request: hyper::Request<RequestBody>) -> Answer {
    let is_head = request.method() == Method::HEAD;
    let answer = routed(edge, peer, request).await;
    if is_head { reply::without_body(answer) } else { answer }
}

async fn routed(edge: &Arc<Edge>, peer: IpAddr, request: hyper::Request<RequestBody>) -> Answer {
    let (path, headers) = (request.uri().path(), request.headers());
    if let Some(answer) = probes::at(edge, request.method(), path, headers).await {
        return answer;
    }
    let began = Instant::now();
    let id = edge.ids.from_headers(headers);
    let mut client = Client::new(edge.proxies.address(peer, headers));
    let checked = match check(edge, &request) {
        Ok(()) if is_preflight(edge, &request) => Ok(()),
        Ok(()) => edge.rate_limits.admit_address(&client, path).await,
        refused => refused,
    };
    if checked.is_ok()
        && let Some(mut answer) = browser::at_once(edge, &request).or_else(|| docs::at(edge, &request))
    {
        let own = Answered::Fhir(RequestSummary::nothing());
        own.record(edge, request.method(), &answer, &id, began);
        client.mark(&mut answer);
        reply::set(&mut answer, REQUEST_ID, id);
        return answer;
    }
    let (parts, body) = request.into_parts();
    if checked.is_ok()
        && let Some(answer) = edge.origins.preflight(&parts.method, &parts.headers)
    {
        return answer;
    }
    // Who does not say whom it means is not listened to any further.
    let close =
        parts.version < Version::HTTP_2 && checked.as_ref().is_err_and(|error| error.kind == Kind::Invalid);
    let (mut answer, answered) = match Target::parse(&edge.modules, parts.uri.path()) {
        Target::Module(called) => {
            let route = called.route().clone();
            let done = module::answer(edge, &client, called, checked, &parts, body, &id);
            let done =
                AssertUnwindSafe(done).catch_unwind().await.unwrap_or_else(|panic| Err(from_panic(panic)));
            let answer = done.unwrap_or_else(|error| module::refused(edge, &route, &error, &id));
            (answer.map(Either::Right), Answered::Module(route))
        }
        Target::Nobody(face) => {
            let answer =
                module::with_headers(face.refused(&checked.err().unwrap_or_else(module::nothing_here)));
            (answer.map(Either::Right), Answered::Fhir(RequestSummary::nothing()))
        }
        Target::Fhir(mounted) => {
            let (answer, seen) = fhir::answer(edge, &client, mounted, checked, &parts, body, &id).await;
            (answer, Answered::Fhir(seen))
        }
    };
    edge.origins.mark(&parts.headers, &mut answer);
    client.mark(&mut answer);
    answered.record(edge, &parts.method, &answer, &id, began);
    reply::set(&mut answer, REQUEST_ID, id);
    if close {
        reply::set(&mut answer, CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Whether a browser asks for a page that may call: that is answered at once, and its request is what counts.
fn is_preflight<B>(edge: &Edge, request: &hyper::Request<B>) -> bool {
    let (method, headers) = (request.method(), request.headers());
    method == Method::OPTIONS && edge.origins.preflight(method, headers).is_some()
}

/// What is demanded of every request, whatever it asks for.
///
/// # Errors
///
/// When it is meant for a server of another name, comes from a page that may not call, or its URL is too long.
fn check(edge: &Edge, request: &hyper::Request<RequestBody>) -> Result<()> {
    let (uri, headers) = (request.uri(), request.headers());
    edge.hosts.check(request.version(), uri, headers)?;
    edge.origins.check(request.method(), uri, headers, &edge.hosts)?;
    let length = uri.path_and_query().map_or(0, |url| url.as_str().len());
    if length > edge.limits.url_bytes_max {
        let max = edge.limits.url_bytes_max;
        let text = format!("a URL may have at most {max} bytes here; search with POST instead");
        return Err(Error::new(Kind::UrlTooLong, text));
    }
    Ok(())
}

/// Who answered.
enum Answered {
    Fhir(RequestSummary),
    Module(Arc<Route>),
}

impl Answered {
    /// Counts the answer and writes the access log. Neither ids nor queries: both can name a patient.
    fn record(&self, edge: &Edge, method: &Method, answer: &Answer, id: &HeaderValue, began: Instant) {
        let (status, took) = (answer.status(), began.elapsed());
        let (request_id, ms) = (id.to_str().unwrap_or(""), took.as_secs_f64() * 1e3);
        match self {
            Answered::Fhir(seen) => {
                edge.metrics.count(seen.interaction, status, took);
                tracing::debug!(
                    target: "access",
                    request_id,
                    method = method.as_str(),
                    interaction = seen.interaction,
                    type_name = seen.type_name,
                    status = status.as_u16(),
                    ms,
                );
            }
            Answered::Module(route) => {
                let method = route.known_method(method);
                edge.metrics.count_module(route.module, &route.template, method, status, took);
                tracing::debug!(
                    target: "access",
                    request_id,
                    method,
                    module = route.module,
                    route = route.template,
                    status = status.as_u16(),
                    ms,
                );
            }
        }
    }
}
