//! A request to a route of a module: who may call it, its body, its turn, its time.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use fhir_access::{Authenticated, forbidden, unauthorized};
use fhir_model::interaction::MOUNTS;
use fhir_model::{Error, Kind, Result};
use futures_util::StreamExt;
use hyper::body::Body as _;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
    TRANSFER_ENCODING, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request};
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;

use crate::authenticate::{authenticate, recognise};
use crate::caller::Caller;
use crate::edge::Edge;
use crate::envelope::Failure;
use crate::module_routes::Route;
use crate::pace::RequestBody;
use crate::panics::from_panic;
use crate::rate_limits::Client;
use crate::routes::Access;
use crate::target::{Called, Face, Mounted};
use crate::{body, fhir};

/// The answer of a module's handler.
///
/// # Errors
///
/// What keeps the handler from being called. Its own errors are answers by now.
pub(crate) async fn answer(
    edge: &Arc<Edge>,
    client: &Client,
    called: Called<'_>,
    checked: Result<()>,
    parts: &Parts,
    sent: RequestBody,
    id: &HeaderValue,
) -> Result<Response> {
    checked?;
    let route = called.route().clone();
    let Some(access) = route.access(&parts.method) else {
        return Err(Error::new(Kind::MethodNotAllowed, "this method means nothing here"));
    };
    let base = match &called.base {
        Some(base) => fhir::tenant(edge, base).await?,
        None => None,
    };
    let authenticated = match access {
        Access::Public => recognise(edge, parts, base).await?,
        _ => authenticate(edge, parts, base).await?,
    };
    let Authenticated { principal, tenant } = authenticated;
    let principal = edge.rate_limits.admit_principal(client, principal).await?;
    let guard = &edge.cx.guard;
    match access {
        Access::Public => {}
        _ if !guard.may_call(&principal) => return Err(unauthorized()),
        Access::Holder(permission) if !guard.holds(&principal, permission) => {
            return Err(forbidden(permission));
        }
        Access::Caller | Access::Holder(_) => {}
    }
    let mount = called.base.map_or(MOUNTS[0], |base| base.mount);
    let caller = Caller {
        principal,
        tenant,
        base: edge.hosts.base(&parts.uri, &parts.headers, mount),
        address: client.address,
        request_id: id.to_str().unwrap_or("").to_owned(),
    };
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    // Whole, as all bodies are: what a handler reads has passed the limits, and is here.
    let mut held = edge.body_budget.reserve(1);
    let bytes = match sent.is_end_stream() {
        true => Vec::new(),
        // As with FHIR's, the body of what reads is not read.
        false if is_read => Vec::new(),
        false => body::read(sent, &parts.headers, &edge.limits, &mut held).await?,
    };
    let place = edge.concurrency.acquire().await?;
    let mut request = Request::new(Body::from(bytes));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = below(parts, called.base)?;
    *request.headers_mut() = parts.headers.clone();
    // They speak of the body as it came.
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
        request.headers_mut().remove(name);
    }
    request.extensions_mut().insert(caller);
    let (router, limit) = (called.router(), edge.limits.handler_timeout);
    // As with FHIR's writes: when the client goes away, what was begun is finished all the same. What takes too long is
    // not, or it would keep its permit for ever.
    let work = async move {
        let answered = tokio::time::timeout(limit, router.oneshot(request)).await;
        drop(held);
        match answered {
            Ok(Ok(answered)) => Ok(holding(answered, place)),
            Ok(Err(never)) => match never {},
            Err(_) => Err(Error::new(Kind::Timeout, "the request took longer than allowed")),
        }
    };
    let answered = match is_read {
        true => work.await?,
        false => match tokio::spawn(work).await {
            Ok(answered) => answered?,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => return Err(from_panic(panic)),
                Err(ended) => return Err(Error::internal(ended)),
            },
        },
    };
    Ok(finished(edge, &route, answered, id).await)
}

/// The answer, whose stream, where it is one, keeps the request's place until it ends.
fn holding(answered: Response, place: OwnedSemaphorePermit) -> Response {
    match answered.body().size_hint().exact() {
        Some(_) => answered,
        None => answered.map(|body| {
            Body::from_stream(body.into_data_stream().inspect(move |_| {
                let _held = &place;
            }))
        }),
    }
}

/// The URI as the module's routes have it: without the base that it is below.
fn below(parts: &Parts, base: Option<Mounted<'_>>) -> Result<hyper::Uri> {
    let Some(base) = base else { return Ok(parts.uri.clone()) };
    let mark = if parts.uri.query().is_some() { "?" } else { "" };
    let text = format!("/{}{mark}{}", base.path, parts.uri.query().unwrap_or(""));
    text.parse().map_err(|_| Error::invalid("the URL cannot be read"))
}

/// The answer of a handler, its errors in the form of the path.
async fn finished(edge: &Edge, route: &Route, answered: Response, id: &HeaderValue) -> Response {
    if let Some(Failure(error)) = answered.extensions().get::<Failure>() {
        return refused(edge, route, &error.clone(), id);
    }
    let is_error = answered.status().is_client_error() || answered.status().is_server_error();
    let is_text = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/plain");
    if is_error && answered.headers().get(CONTENT_TYPE).is_none_or(is_text) {
        return rejected(route, answered).await;
    }
    with_headers(answered)
}

/// What an extractor says of a request that it cannot read, or a handler that answers an error as a text: in the form of the
/// path, with its own status and headers.
async fn rejected(route: &Route, answered: Response) -> Response {
    let (mut head, body) = answered.into_parts();
    let kind = match head.status.as_u16() {
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        405 => Kind::MethodNotAllowed,
        408 => Kind::RequestTimeout,
        409 => Kind::Conflict,
        410 => Kind::Gone,
        412 => Kind::Precondition,
        413 => Kind::TooLarge,
        415 => Kind::UnsupportedMediaType,
        422 => Kind::Rule,
        429 => Kind::Throttled,
        503 => Kind::Unavailable,
        504 => Kind::Timeout,
        400..500 => Kind::Invalid,
        _ => Kind::Internal,
    };
    let text = axum::body::to_bytes(body, REJECTION_BYTES_MAX).await.unwrap_or_default();
    let text = match text.is_empty() {
        true => head.status.canonical_reason().unwrap_or("refused").to_owned(),
        false => String::from_utf8_lossy(&text).into_owned(),
    };
    let written = face(route).refused(&Error::new(kind, text));
    let kind = written.headers().get(CONTENT_TYPE).cloned();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.extend(kind.map(|kind| (CONTENT_TYPE, kind)));
    with_headers(Response::from_parts(head, written.into_body()))
}

/// The form of errors of a route.
fn face(route: &Route) -> Face {
    if route.is_below_fhir { Face::Fhir } else { Face::at_root(&route.template) }
}

/// Longest sentence of an extractor.
const REJECTION_BYTES_MAX: usize = 4096;

/// An error in the form of the path that was asked.
pub(crate) fn refused(edge: &Edge, route: &Route, error: &Error, id: &HeaderValue) -> Response {
    edge.cx.error_log.record(error, route.module, id.to_str().ok());
    let face = face(route);
    let mut answer = face.refused(error);
    let headers = answer.headers_mut();
    match error.kind {
        Kind::MethodNotAllowed => {
            headers.extend(HeaderValue::try_from(route.allowed()).ok().map(|allowed| (ALLOW, allowed)));
        }
        Kind::Unauthorized => {
            let realm = if face == Face::Fhir { "Bearer realm=\"fhir\"" } else { "Bearer realm=\"cari\"" };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(realm));
        }
        Kind::Unavailable | Kind::Throttled => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    with_headers(answer)
}

/// What is nobody's.
pub(crate) fn nothing_here() -> Error {
    Error::new(Kind::NotFound, "there is nothing here")
}

/// Kept by no cache, unless the module says otherwise.
pub(crate) fn with_headers(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
