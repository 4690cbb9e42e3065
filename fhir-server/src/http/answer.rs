//! One request, from its head to its response.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use fhir_interactions::{
    Conditions, Handling, Interaction, Method, Prefer, Principal, Reply, Request, handle,
};
use fhir_model::{Error, Kind, Result};
use futures_util::FutureExt;
use hyper::Version;
use hyper::body::Body as _;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE, WARNING,
};
use hyper::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;

use super::body_budget::BodyPermit;
use super::media::{ContentFormat, Format};
use super::pace::RequestBody;
use super::panics::from_panic;
use super::{App, REQUEST_ID, binary, body, browser, cors, media, probes, request};
use crate::reply::{self, Answer, Shape};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");
/// How many bytes of JSON a byte of a body counts for. XML is there as XML and as JSON on its way, in parts twice; the
/// content of a Binary as it is and as base64.
fn weight(kind: ContentFormat) -> usize {
    match kind {
        ContentFormat::Xml => 4,
        ContentFormat::Content => 3,
        ContentFormat::FhirJson | ContentFormat::Json | ContentFormat::JsonPatch | ContentFormat::Form => 1,
    }
}

/// Answers a request, whatever it is.
pub(super) async fn answer(app: &Arc<App>, request: hyper::Request<RequestBody>) -> Answer {
    if let Some(answer) = probes::at(app, request.method(), request.uri().path(), request.headers()).await {
        return answer;
    }
    let began = Instant::now();
    let id = app.ids.from_headers(request.headers());
    let (uri, headers) = (request.uri(), request.headers());
    let meant = app.hosts.check(request.version(), uri, headers);
    let meant = meant.and_then(|()| app.origins.check(request.method(), uri, headers, &app.hosts));
    if meant.is_ok()
        && let Some(answer) = browser::at_once(app, &request)
    {
        return answer;
    }
    if let (Ok(()), Some(adapters)) = (&meant, &app.adapters)
        && adapters.answer(request.uri().path())
    {
        return from_adapter(app, adapters.router.clone(), request, id, began).await;
    }
    let (parts, body) = request.into_parts();
    if meant.is_ok()
        && let Some(answer) = app.origins.preflight(&parts.method, &parts.headers)
    {
        return answer;
    }
    // Who does not say whom it means is not listened to any further.
    let close = parts.version < Version::HTTP_2 && meant.as_ref().is_err_and(|e| e.kind == Kind::Invalid);
    let mut seen = RequestSummary::nothing("none");
    let done = AssertUnwindSafe(process(app, meant, &parts, body, &mut seen)).catch_unwind().await;
    let done = done.unwrap_or_else(|panic| Err(from_panic(panic)));
    let types = &*app.cx.definitions;
    let page = seen.shape.take_page();
    let mut answer = match done {
        Ok((reply, base)) => match reply::from_reply(reply, &base, &seen.shape, types).await {
            Ok(answer) => answer,
            Err(error) => refused(app, &error, &seen, &id).await,
        },
        Err(error) => refused(app, &error, &seen, &id).await,
    };
    if let Some(shape) = page {
        answer = browser::page(app, &parts, shape, &id, answer).await;
    }
    app.origins.mark(&parts.headers, &mut answer);
    if let Some(warning) = seen.warning.filter(|_| answer.status().is_success()) {
        reply::set(&mut answer, WARNING, warning);
    }
    let (status, took) = (answer.status().as_u16(), began.elapsed());
    app.metrics.count(seen.interaction, status, took);
    // Neither ids nor queries: both can name a patient.
    tracing::debug!(
        target: "access",
        request_id = id.to_str().unwrap_or(""),
        method = parts.method.as_str(),
        interaction = seen.interaction,
        type_name = seen.type_name,
        status,
        ms = took.as_secs_f64() * 1e3,
    );
    reply::set(&mut answer, REQUEST_ID, id);
    if close {
        reply::set(&mut answer, CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// The answer of an adapter, which has its own idea of requests, formats and errors; only panics and names are ours.
async fn from_adapter(
    app: &App,
    adapters: axum::Router,
    mut request: hyper::Request<RequestBody>,
    id: HeaderValue,
    began: Instant,
) -> Answer {
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let method = request.method().clone();
    let done = AssertUnwindSafe(adapters.oneshot(request)).catch_unwind().await;
    let mut answer = match done {
        Ok(Ok(answer)) => answer.map(http_body_util::Either::Right),
        Ok(Err(never)) => match never {},
        Err(panic) => refused(app, &from_panic(panic), &RequestSummary::nothing("adapter"), &id).await,
    };
    let (status, took) = (answer.status().as_u16(), began.elapsed());
    app.metrics.count("adapter", status, took);
    let (request_id, ms) = (id.to_str().unwrap_or(""), took.as_secs_f64() * 1e3);
    tracing::debug!(target: "access", request_id, method = method.as_str(), interaction = "adapter", status, ms);
    reply::set(&mut answer, REQUEST_ID, id);
    answer
}

/// What is known of a request by the time it is answered, however it ends.
struct RequestSummary {
    interaction: &'static str,
    type_name: String,
    allowed: &'static [Method],
    shape: Shape,
    /// What the client should know though it was done as asked.
    warning: Option<HeaderValue>,
}

impl RequestSummary {
    fn nothing(interaction: &'static str) -> RequestSummary {
        RequestSummary {
            interaction,
            type_name: String::new(),
            allowed: &[],
            shape: Shape::PLAIN,
            warning: None,
        }
    }
}

async fn refused(app: &App, error: &Error, seen: &RequestSummary, id: &HeaderValue) -> Answer {
    app.cx.error_log.record(error, seen.interaction, id.to_str().ok());
    reply::from_error(error, seen.allowed, &seen.shape, &*app.cx.definitions).await
}

/// The request as the interactions take it, and what they say. Fills `seen` on the way.
async fn process(
    app: &Arc<App>,
    meant: Result<()>,
    parts: &Parts,
    body: RequestBody,
    seen: &mut RequestSummary,
) -> Result<(Reply, String)> {
    let types = &*app.cx.definitions;
    let head = |name: HeaderName| request::text(parts, name);
    seen.shape.head = parts.method == hyper::Method::HEAD;
    if matches!(parts.method, hyper::Method::GET | hyper::Method::HEAD) {
        seen.shape.has = request::all(parts, IF_NONE_MATCH)?;
    }
    seen.shape.gzip = request::takes_gzip(parts.headers.get_all(ACCEPT_ENCODING).iter());
    let accept = request::all(parts, ACCEPT)?;
    // From here on a browser gets errors as a page.
    seen.shape.page = accept.as_deref().is_some_and(media::prefers_page);
    let length = parts.uri.path_and_query().map_or(0, |url| url.as_str().len());
    if length > app.limits.url_bytes_max {
        let max = app.limits.url_bytes_max;
        let text = format!("a URL may have at most {max} bytes here; search with POST instead");
        return Err(Error::new(Kind::UrlTooLong, text));
    }
    let query = parts.uri.query().unwrap_or("");
    // A path that leads nowhere is said before a format that cannot be had.
    let format = request::choose_format(query, accept.as_deref(), &mut seen.shape);
    meant?;
    let (mount, path) = request::below_mount(parts.uri.path())?;
    let tenant = request::tenant(app, mount)?;

    seen.allowed = Interaction::allowed(path, types);
    let method = Method::parse(parts.method.as_str()).ok_or_else(|| match parts.method {
        hyper::Method::OPTIONS => cors::not_allowed(),
        _ => Error::new(Kind::MethodNotAllowed, format!("the method {} means nothing here", parts.method)),
    })?;
    let interaction = Interaction::parse(method, path, types)?;
    if binary::is_read(&interaction) {
        seen.shape.content = binary::BinaryRequest::new(query, parts, accept.as_deref(), &mut seen.shape)?;
    }
    if seen.shape.content.is_none() {
        format?;
    }
    seen.shape.wrote = interaction.is_write() || interaction == Interaction::Bundle;
    seen.interaction = interaction.code();
    seen.type_name = request::type_name(path);
    seen.warning = request::warning(&interaction, query);

    let as_it_is = binary::takes_content(&interaction);
    let (sent, held) = received(app, parts, body, as_it_is).await?;
    // Parsing takes memory too: only those inside do it.
    let place = app.concurrency.acquire().await?;
    let body = match sent {
        Some((kind, bytes)) => {
            let content = as_it_is.then(|| binary::Content::new(&interaction, parts)).transpose()?;
            match content {
                Some(content) => Some(content.into_body(app, kind, bytes).await?),
                None => Some(request::parse(app, method, &interaction, kind, bytes, &mut seen.shape).await?),
            }
        }
        None => None,
    };
    let request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        conditions: Conditions {
            if_match: request::all(parts, IF_MATCH)?,
            if_none_match: request::all(parts, IF_NONE_MATCH)?,
            if_modified_since: head(IF_MODIFIED_SINCE)?.and_then(request::micros),
            if_unmodified_since: head(IF_UNMODIFIED_SINCE)?.and_then(request::micros),
            if_none_exist: request::only(parts, IF_NONE_EXIST)?,
        },
        prefer: request::all(parts, PREFER)?
            .map_or(Prefer { ret: None, handling: Handling::Lenient }, |p| Prefer::parse(&p)),
        body,
        base: app.hosts.base(&parts.uri, &parts.headers, mount),
        tenant,
        principal: Principal::Anonymous,
    };
    let base = request.base.clone();
    let reads = matches!(method, Method::Get | Method::Head);
    let reply =
        if reads { handle(&app.cx, request).await } else { to_its_end(app, request, (place, held)).await };
    match reply? {
        reply if as_it_is && seen.shape.format == Format::Json => {
            Ok((binary::for_medplum(reply, parts, &base), base))
        }
        reply => Ok((reply, base)),
    }
}

/// The body, and its permit from the body budget. `as_it_is`: the body may be content of any type (a Binary).
async fn received(
    app: &App,
    parts: &Parts,
    body: RequestBody,
    as_it_is: bool,
) -> Result<(Option<(ContentFormat, Vec<u8>)>, Option<BodyPermit>)> {
    let kind = || {
        let content_type = request::text(parts, CONTENT_TYPE)?;
        if as_it_is { binary::sent(content_type) } else { media::sent(content_type) }
    };
    // A file may be empty, a resource is not.
    let may_be_empty = |kind: ContentFormat| kind == ContentFormat::Content;
    if matches!(parts.method, hyper::Method::GET | hyper::Method::HEAD | hyper::Method::DELETE) {
        return Ok((None, None));
    }
    if body.is_end_stream() {
        let is_said = as_it_is && parts.headers.contains_key(CONTENT_TYPE);
        let kind = if is_said { Some(kind()?) } else { None };
        return Ok((kind.filter(|kind| may_be_empty(*kind)).map(|kind| (kind, Vec::new())), None));
    }
    let kind = kind();
    let mut held = app.body_budget.reserve(kind.as_ref().map_or(1, |kind| weight(*kind)));
    let bytes = body::read(body, &parts.headers, &app.limits, &mut held).await?;
    if bytes.is_empty() && !kind.as_ref().is_ok_and(|kind| may_be_empty(*kind)) {
        return Ok((None, None));
    }
    Ok((Some((kind?, bytes)), Some(held)))
}

/// Writes have a task of their own: when the client goes away in their middle, they are finished all the same.
/// Till then they keep what they hold.
async fn to_its_end(
    app: &Arc<App>,
    request: Request,
    holds: (OwnedSemaphorePermit, Option<BodyPermit>),
) -> Result<Reply> {
    let cx = app.cx.clone();
    let task = tokio::spawn(async move {
        let _holds = holds;
        handle(&cx, request).await
    });
    task.await.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => Err(from_panic(panic)),
        Err(ended) => Err(Error::internal(ended)),
    })
}
