//! One request, from its head to its response.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use fhir_interactions::{
    Body, Conditions, Handling, Interaction, Method, Prefer, Principal, Reply, Request, handle,
};
use fhir_model::{Error, Kind, Result, json, url, xml};
use futures_util::FutureExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
};
use hyper::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;

use super::body::{self, HEAVY_BYTES};
use super::media::{self, Format, Sent};
use super::{App, MOUNTS, REQUEST_ID, page};
use crate::reply::{self, Answer, Shape};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// Answers a request, whatever it is.
pub(super) async fn answer(app: &Arc<App>, request: hyper::Request<Incoming>) -> Answer {
    if let Some(answer) = page::at(app, request.method(), request.uri().path()).await {
        return answer;
    }
    let began = Instant::now();
    let id = app.ids.of(request.headers());
    if let Some(adapters) = &app.adapters
        && below_mount(request.uri().path()).is_err()
    {
        return of_adapter(app, adapters.clone(), request, id, began).await;
    }
    let (parts, body) = request.into_parts();
    if let Some(answer) = app.origins.preflight(&parts.method, &parts.headers) {
        return answer;
    }
    let mut seen = Seen { interaction: "none", type_name: String::new(), allowed: &[], shape: Shape::PLAIN };
    let done = AssertUnwindSafe(work(app, &parts, body, &mut seen)).catch_unwind().await;
    let done = done.unwrap_or_else(|panic| Err(of_panic(panic)));
    let types = &*app.cx.definitions;
    let mut answer = match done {
        Ok((reply, base)) => match reply::of_reply(reply, &base, &seen.shape, types).await {
            Ok(answer) => answer,
            Err(error) => refused(&error, &seen, &id, types).await,
        },
        Err(error) => refused(&error, &seen, &id, types).await,
    };
    app.origins.mark(&parts.headers, &mut answer);
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
    answer
}

/// The answer of an adapter, which has its own idea of requests, formats and errors; only panics and names are ours.
async fn of_adapter(
    app: &App,
    adapters: axum::Router,
    mut request: hyper::Request<Incoming>,
    id: HeaderValue,
    began: Instant,
) -> Answer {
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let method = request.method().clone();
    let done = AssertUnwindSafe(adapters.oneshot(request)).catch_unwind().await;
    let mut answer = match done {
        Ok(Ok(answer)) => answer.map(http_body_util::Either::Right),
        Ok(Err(never)) => match never {},
        Err(panic) => {
            let seen =
                Seen { interaction: "adapter", type_name: String::new(), allowed: &[], shape: Shape::PLAIN };
            refused(&of_panic(panic), &seen, &id, &app.cx.definitions).await
        }
    };
    let (status, took) = (answer.status().as_u16(), began.elapsed());
    app.metrics.count("adapter", status, took);
    let (request_id, ms) = (id.to_str().unwrap_or(""), took.as_secs_f64() * 1e3);
    tracing::debug!(target: "access", request_id, method = method.as_str(), interaction = "adapter", status, ms);
    reply::set(&mut answer, REQUEST_ID, id);
    answer
}

/// What is known of a request by the time it is answered, however it ends.
struct Seen {
    interaction: &'static str,
    type_name: String,
    allowed: &'static [Method],
    shape: Shape,
}

async fn refused(error: &Error, seen: &Seen, id: &HeaderValue, types: &fhir_profiles::Definitions) -> Answer {
    let status = error.kind.status();
    if status >= 500 {
        let id = id.to_str().unwrap_or("");
        let (interaction, cause) = (seen.interaction, Chain(error));
        match error.kind {
            Kind::Internal => tracing::error!(request_id = id, interaction, "{status}: {cause}"),
            _ => tracing::warn!(request_id = id, interaction, "{status}: {cause}"),
        }
    }
    reply::of_error(error, seen.allowed, &seen.shape, types).await
}

/// An error with its causes, for the log.
struct Chain<'e>(&'e Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut at = std::error::Error::source(self.0);
        while let Some(cause) = at {
            write!(f, ": {cause}")?;
            at = cause.source();
        }
        Ok(())
    }
}

/// The request as the interactions take it, and what they say. Fills `seen` on the way.
async fn work(app: &Arc<App>, parts: &Parts, body: Incoming, seen: &mut Seen) -> Result<(Reply, String)> {
    let types = &*app.cx.definitions;
    let head = |name: HeaderName| text(parts, name);
    seen.shape.head = parts.method == hyper::Method::HEAD;
    seen.shape.gzip = head(ACCEPT_ENCODING)?.is_some_and(takes_gzip);
    let length = parts.uri.path_and_query().map_or(0, |url| url.as_str().len());
    if length > app.limits.url_bytes_max {
        let max = app.limits.url_bytes_max;
        return Err(Error::invalid(format!(
            "a URL may have at most {max} bytes here; search with POST instead"
        )));
    }
    let (mount, path) = below_mount(parts.uri.path())?;
    let query = parts.uri.query().unwrap_or("");
    let accept = all(parts, ACCEPT)?;
    choose_format(query, accept.as_deref(), &mut seen.shape)?;

    seen.allowed = Interaction::allowed(path, types);
    let method = Method::parse(parts.method.as_str()).ok_or_else(|| {
        Error::new(Kind::MethodNotAllowed, format!("the method {} means nothing here", parts.method))
    })?;
    let interaction = Interaction::parse(method, path, types)?;
    seen.interaction = interaction.code();
    seen.type_name = type_name(path);

    let (body, _held) = match body.is_end_stream()
        || matches!(method, Method::Get | Method::Head | Method::Delete)
    {
        true => (None, None),
        false => {
            let sent = media::sent(head(CONTENT_TYPE)?);
            let (bytes, held) = body::read(body, &parts.headers, &app.limits, &app.memory).await?;
            match bytes.is_empty() {
                true => (None, None),
                false => (Some(understood(app, method, &interaction, sent?, bytes, seen).await?), Some(held)),
            }
        }
    };
    let request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        conditions: Conditions {
            if_match: head(IF_MATCH)?.map(str::to_owned),
            if_none_match: head(IF_NONE_MATCH)?.map(str::to_owned),
            if_modified_since: head(IF_MODIFIED_SINCE)?.and_then(micros),
            if_none_exist: head(IF_NONE_EXIST)?.map(str::to_owned),
        },
        prefer: all(parts, PREFER)?
            .map_or(Prefer { ret: None, handling: Handling::Lenient }, |p| Prefer::parse(&p)),
        body,
        base: base(app, parts, mount),
        principal: Principal::Anonymous,
    };
    let base = request.base.clone();
    let place = app.gate.enter().await?;
    let reads = matches!(method, Method::Get | Method::Head);
    let reply = if reads { handle(&app.cx, request).await } else { to_its_end(app, request, place).await };
    Ok((reply?, base))
}

/// Writes have a task of their own: when the client goes away in their middle, they are finished all the same.
async fn to_its_end(app: &Arc<App>, request: Request, place: OwnedSemaphorePermit) -> Result<Reply> {
    let cx = app.cx.clone();
    let task = tokio::spawn(async move {
        let _place = place;
        handle(&cx, request).await
    });
    task.await.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => Err(of_panic(panic)),
        Err(ended) => Err(Error::internal(ended)),
    })
}

/// The sentence of a panic goes to the log with its place, by the panic hook; here it becomes an error's cause, so that
/// the log also has the request's id.
fn of_panic(panic: Box<dyn std::any::Any + Send>) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::internal(format!("panic: {}", text.unwrap_or_default()))
}

/// What was sent, read as its `Content-Type` says.
async fn understood(
    app: &Arc<App>,
    method: Method,
    interaction: &Interaction,
    sent: Sent,
    bytes: Vec<u8>,
    seen: &mut Seen,
) -> Result<Body> {
    let searches = matches!(
        interaction,
        Interaction::SearchType(_) | Interaction::SearchSystem | Interaction::SearchCompartment(..)
    );
    let wrong = |text| Err(Error::new(Kind::UnsupportedMediaType, text).at("http.content-type"));
    match (sent, method) {
        (Sent::Form, _) if searches => {
            let form =
                String::from_utf8(bytes).map_err(|e| Error::invalid("the form is not UTF-8").because(e))?;
            choose_format(&form, None, &mut seen.shape)?;
            Ok(Body::Form(form))
        }
        (Sent::Form, _) => wrong("a form is read by searches alone; send a resource"),
        (_, _) if searches => wrong("a search takes its parameters as application/x-www-form-urlencoded"),
        (Sent::JsonPatch, Method::Patch) => Ok(Body::JsonPatch(bytes.into())),
        (Sent::JsonPatch, _) => wrong("a JSON Patch is sent with the method PATCH"),
        // Many clients send a JSON Patch as plain JSON; a patch is an array, a resource is not.
        (Sent::Json, Method::Patch) if bytes.trim_ascii_start().starts_with(b"[") => {
            Ok(Body::JsonPatch(bytes.into()))
        }
        (Sent::Json | Sent::FhirJson, _) => {
            let limits = app.cx.limits.json;
            heavy(bytes.len(), move || json::Doc::parse(bytes, limits).map_err(Error::from))
                .await
                .map(Body::Resource)
        }
        (Sent::Xml, _) => {
            let (limits, definitions) = (app.cx.limits.json, app.cx.definitions.clone());
            let parse = move || {
                let text = xml::to_json(&bytes, &*definitions, limits)?;
                json::Doc::parse(text, limits).map_err(Error::from)
            };
            heavy(HEAVY_BYTES, parse).await.map(Body::Resource)
        }
    }
}

/// Runs `work` here when it is short, else where it does not keep other requests from their turn.
async fn heavy<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes <= HEAVY_BYTES {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => Err(of_panic(panic)),
        Err(ended) => Err(Error::internal(ended)),
    })
}

/// `/fhir/R4/Patient/1` as mount and `Patient/1`.
fn below_mount(path: &str) -> Result<(&'static str, &str)> {
    let found = MOUNTS.into_iter().find_map(|mount| {
        let rest = path.strip_prefix(mount)?;
        if rest.is_empty() { Some((mount, rest)) } else { Some((mount, rest.strip_prefix('/')?)) }
    });
    found
        .ok_or_else(|| Error::new(Kind::NotFound, format!("there is nothing here; FHIR is at {}", MOUNTS[0])))
}

/// `_format` and `_pretty` of a query or form, `Accept` when there is no `_format`.
fn choose_format(query: &str, accept: Option<&str>, shape: &mut Shape) -> Result<()> {
    let mut parameter = None;
    // Most queries have neither, and are not worth decoding twice.
    if query.contains("_format") || query.contains("_pretty") {
        for (name, value) in url::pairs(query)? {
            match name.as_str() {
                "_format" => parameter = Some(value),
                "_pretty" => shape.pretty = value == "true",
                _ => {}
            }
        }
    }
    if parameter.is_some() || accept.is_some() {
        shape.format = Format::wanted(parameter.as_deref(), accept)?;
    }
    Ok(())
}

/// The base url that the client knows this server by.
fn base(app: &App, parts: &Parts, mount: &str) -> String {
    if let Some(base) = &app.base_url {
        return format!("{base}{mount}");
    }
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    // It is echoed in links, so it must look like a host.
    let is_host = |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    let host = host.filter(is_host).unwrap_or("localhost");
    let mut base = String::with_capacity(7 + host.len() + mount.len());
    base.push_str("http://");
    base.push_str(host);
    base.push_str(mount);
    base
}

fn text(parts: &Parts, name: HeaderName) -> Result<Option<&str>> {
    let Some(value) = parts.headers.get(&name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(Error::invalid(format!("the header {name} holds characters beyond ASCII"))),
    }
}

/// The values of a header that may be sent several times, joined as HTTP says.
fn all(parts: &Parts, name: HeaderName) -> Result<Option<String>> {
    let mut values = parts.headers.get_all(&name).iter();
    if values.next().is_none() {
        return Ok(None);
    }
    let mut joined = text(parts, name.clone())?.unwrap_or("").to_owned();
    for value in values {
        joined.push_str(", ");
        joined.push_str(value.to_str().map_err(|e| Error::invalid("a header is not text").because(e))?);
    }
    Ok(Some(joined))
}

fn micros(http_date: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(http_date).ok()?;
    i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros()).ok()
}

fn takes_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|one| {
        let (name, parameters) = one.split_once(';').unwrap_or((one, ""));
        let refused =
            parameters.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()) == Some(0.0);
        matches!(name.trim(), "gzip" | "x-gzip" | "*") && !refused
    })
}

/// The type a path speaks of, for the log: a word of FHIR's, as the path was understood.
fn type_name(path: &str) -> String {
    let first = path.split('/').next().unwrap_or("");
    if first.starts_with(|c: char| c.is_ascii_uppercase()) { first.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        for (path, wanted) in [
            ("/fhir/R4/Patient/1", Some(("/fhir/R4", "Patient/1"))),
            ("/fhir/Patient/1", Some(("/fhir", "Patient/1"))),
            ("/fhir/R4", Some(("/fhir/R4", ""))),
            ("/fhir/R4/", Some(("/fhir/R4", ""))),
            ("/fhir", Some(("/fhir", ""))),
            ("/fhir/", Some(("/fhir", ""))),
            ("/fhir/R4x", Some(("/fhir", "R4x"))),
            ("/fhirx", None),
            ("/", None),
            ("/Patient/1", None),
        ] {
            assert_eq!(below_mount(path).ok(), wanted, "{path}");
        }
    }

    #[test]
    fn gzip_is_given_to_those_who_take_it() {
        for (header, wanted) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("br, zstd", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(header), wanted, "{header}");
        }
    }

    #[test]
    fn dates_of_http() {
        assert_eq!(micros("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1_000_000));
        assert_eq!(micros("yesterday"), None);
    }
}
