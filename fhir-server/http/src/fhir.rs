//! A request of FHIR's: formats and headers read, the interaction asked, the reply written.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fhir_access::Authenticated;
use fhir_interactions::{
    Conditions, Content, ContentBody, ContentStream, DATABASE_POSITION, Interaction, Method, Prefer, Reply,
    Request, handle,
};
use fhir_model::interaction::MOUNTS;
use fhir_model::{Error, Kind, Result};
use fhir_search::TenantId;
use futures_util::{FutureExt, StreamExt};
use hyper::body::Body as _;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE, WARNING,
};
use hyper::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

use crate::authenticate::authenticate;
use crate::binary_request::BinaryRequest;
use crate::body_budget::BodyPermit;
use crate::edge::Edge;
use crate::media::{ContentFormat, Format};
use crate::pace::RequestBody;
use crate::panics::from_panic;
use crate::rate_limits::Client;
use crate::reply::{self, Answer};
use crate::shape::Shape;
use crate::target::Mounted;
use crate::{binary, body, browser, cors, media, request};

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Where the database has to be that answers.
const POSITION_HEADER: HeaderName = HeaderName::from_static(DATABASE_POSITION);
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

/// Answers a request of FHIR's, or one that is nobody's.
pub(crate) async fn answer(
    edge: &Arc<Edge>,
    client: &Client,
    mounted: Option<Mounted<'_>>,
    checked: Result<()>,
    parts: &Parts,
    body: RequestBody,
    id: &HeaderValue,
) -> (Answer, RequestSummary) {
    let mut seen = RequestSummary::nothing();
    let done = AssertUnwindSafe(process(edge, client, mounted, checked, parts, body, &mut seen))
        .catch_unwind()
        .await;
    let done = done.unwrap_or_else(|panic| Err(from_panic(panic)));
    let types = &*edge.cx.definitions;
    let page = seen.shape.take_page();
    let mut answer = match done {
        Ok((reply, base)) => match reply::from_reply(reply, &base, &seen.shape, types).await {
            Ok(answer) => answer,
            Err(error) => refused(edge, &error, &seen, id).await,
        },
        Err(error) => refused(edge, &error, &seen, id).await,
    };
    if let Some(shape) = page {
        answer = browser::page(edge, parts, shape, id, answer).await;
    }
    if let Some(warning) = seen.warning.take().filter(|_| answer.status().is_success()) {
        reply::set(&mut answer, WARNING, warning);
    }
    (answer, seen)
}

/// What is known of a request by the time it is answered, however it ends.
pub(crate) struct RequestSummary {
    pub(crate) interaction: &'static str,
    pub(crate) type_name: String,
    allowed: &'static [Method],
    shape: Shape,
    /// What the client should know though it was done as asked.
    warning: Option<HeaderValue>,
}

impl RequestSummary {
    pub(crate) fn nothing() -> RequestSummary {
        RequestSummary {
            interaction: "none",
            type_name: String::new(),
            allowed: &[],
            shape: Shape::PLAIN,
            warning: None,
        }
    }
}

async fn refused(edge: &Edge, error: &Error, seen: &RequestSummary, id: &HeaderValue) -> Answer {
    edge.cx.error_log.record(error, seen.interaction, id.to_str().ok());
    reply::from_error(error, seen.allowed, &seen.shape, &*edge.cx.definitions).await
}

/// The request as the interactions take it, and what they say. Fills `seen` on the way.
async fn process(
    edge: &Arc<Edge>,
    client: &Client,
    mounted: Option<Mounted<'_>>,
    checked: Result<()>,
    parts: &Parts,
    body: RequestBody,
    seen: &mut RequestSummary,
) -> Result<(Reply, String)> {
    let types = &*edge.cx.definitions;
    let head = |name: HeaderName| request::text(parts, name);
    if matches!(parts.method, hyper::Method::GET | hyper::Method::HEAD) {
        seen.shape.has = request::all(parts, IF_NONE_MATCH)?;
    }
    seen.shape.gzip = request::takes_gzip(parts.headers.get_all(ACCEPT_ENCODING).iter());
    let accept = request::all(parts, ACCEPT)?;
    // From here on a browser gets errors as a page.
    seen.shape.page = accept.as_deref().is_some_and(media::prefers_page);
    let query = parts.uri.query().unwrap_or("");
    // A path that leads nowhere is said before a format that cannot be had.
    let format = request::choose_format(query, accept.as_deref(), &mut seen.shape);
    checked?;
    let mounted = mounted.ok_or_else(|| {
        Error::new(Kind::NotFound, format!("there is nothing here; FHIR is at {}", MOUNTS[0]))
    })?;
    let path = mounted.path;
    let base_tenant = tenant(edge, &mounted).await?;

    seen.allowed = Interaction::allowed(path, types);
    let method = Method::parse(parts.method.as_str()).ok_or_else(|| match parts.method {
        hyper::Method::OPTIONS => cors::not_allowed(),
        _ => Error::new(Kind::MethodNotAllowed, format!("the method {} means nothing here", parts.method)),
    })?;
    let interaction = Interaction::parse(method, path, types)?;
    if let Interaction::Operation(level, code) = &interaction
        && let Some(methods) = edge.cx.operations.allowed(level, code)
    {
        seen.allowed = methods;
    }
    if binary::is_read(&interaction) {
        seen.shape.content = BinaryRequest::new(query, parts, accept.as_deref(), &mut seen.shape)?;
    }
    let reads = matches!(method, Method::Get | Method::Head);
    // What an operation answers need not be a resource: a client asks for it by its own media type.
    let may_be_content = reads && matches!(interaction, Interaction::Operation(..));
    let refused = format.err().filter(|_| seen.shape.content.is_none());
    let (refused, refused_later) = if may_be_content { (None, refused) } else { (refused, None) };
    refused.map_or(Ok(()), Err)?;
    seen.shape.wrote = interaction.is_write() || interaction == Interaction::Bundle;
    seen.interaction = interaction.code();
    seen.type_name = request::type_name(path);
    seen.warning = request::warning(&interaction, query);

    // Before the body is read: who may not do anything does not fill the memory.
    let Authenticated { principal, tenant } = authenticate(edge, parts, base_tenant).await?;
    let principal = edge.rate_limits.admit_principal(client, principal).await?;
    let as_it_is = binary::takes_content(&interaction);
    let (sent, held) = received(edge, parts, body, as_it_is).await?;
    // Parsing takes memory too: only those inside do it.
    let place = edge.concurrency.acquire().await?;
    let body = match sent {
        Some((kind, bytes)) => {
            let content = as_it_is.then(|| binary::Content::new(&interaction, parts)).transpose()?;
            match content {
                Some(content) => Some(content.into_body(&edge.cx, kind, bytes).await?),
                None => {
                    Some(request::parse(&edge.cx, method, &interaction, kind, bytes, &mut seen.shape).await?)
                }
            }
        }
        None => None,
    };
    let request = Request {
        interaction,
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
        prefer: request::all(parts, PREFER)?.map_or_else(Prefer::default, |p| Prefer::parse(&p)),
        body,
        base: edge.hosts.base(&parts.uri, &parts.headers, mounted.mount),
        tenant,
        principal,
        position: request::only(parts, POSITION_HEADER)?.map(|text| text.parse()).transpose()?,
    };
    let base = request.base.clone();
    let reply = match reads {
        true => holding(handle(&edge.cx, request).await?, place),
        false => to_its_end(edge, request, (place, held)).await?,
    };
    if let (Some(error), None) = (refused_later, &reply.content) {
        return Err(error);
    }
    match reply {
        reply if as_it_is && seen.shape.format == Format::Json => {
            Ok((binary::for_medplum(reply, parts, &base), base))
        }
        reply => Ok((reply, base)),
    }
}

/// The reply, whose stream, where it has one, keeps the request's place until it ends.
fn holding(mut reply: Reply, place: OwnedSemaphorePermit) -> Reply {
    if let Some(Content { body: ContentBody::Stream(stream), .. }) = reply.content.as_deref_mut()
        && let Some(all) = stream.take()
    {
        *stream = ContentStream::new(all.inspect(move |_| {
            let _held = &place;
        }));
    }
    reply
}

/// The tenant of a base; `None` for the bare one.
///
/// # Errors
///
/// `NotFound` when the server has no such organisation.
pub(crate) async fn tenant(edge: &Edge, mounted: &Mounted<'_>) -> Result<Option<TenantId>> {
    let Some(slug) = mounted.organization() else { return Ok(None) };
    let tenant = edge.cx.store.tenant(slug).await?;
    let unknown = || Error::new(Kind::NotFound, "this server has no organisation of that name");
    tenant.map(Some).ok_or_else(unknown)
}

/// The body, and its permit from the body budget. `as_it_is`: the body may be content of any type (a Binary).
async fn received(
    edge: &Edge,
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
    let mut held = edge.body_budget.reserve(kind.as_ref().map_or(1, |kind| weight(*kind)));
    let bytes = body::read(body, &parts.headers, &edge.limits, &mut held).await?;
    if bytes.is_empty() && !kind.as_ref().is_ok_and(|kind| may_be_empty(*kind)) {
        return Ok((None, None));
    }
    Ok((Some((kind?, bytes)), Some(held)))
}

/// Writes have a task of their own: when the client goes away in their middle, they are finished all the same.
/// Till then they keep what they hold.
async fn to_its_end(
    edge: &Arc<Edge>,
    request: Request,
    holds: (OwnedSemaphorePermit, Option<BodyPermit>),
) -> Result<Reply> {
    let cx = edge.cx.clone();
    let task = tokio::spawn(async move {
        let (place, _held) = holds;
        handle(&cx, request).await.map(|reply| holding(reply, place))
    });
    task.await.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => Err(from_panic(panic)),
        Err(ended) => Err(Error::internal(ended)),
    })
}
