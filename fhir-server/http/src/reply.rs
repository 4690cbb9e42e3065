//! Replies and errors as HTTP: the only place where a response is made.
//!
//! <https://hl7.org/fhir/R4/http.html#Status-Codes>, <https://hl7.org/fhir/R4/http.html#versioning>
//!
//! **Invariant:** a client gets an error's sentence and code, never its cause.

mod binary;
mod content;
mod entity_tag;
mod html;
mod pretty;
mod unshowable;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fhir_interactions::{Method, Reply};
use fhir_model::types::Types;
use fhir_model::{Error, Kind, Result, json, xml};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{Either, Full};
use hyper::body::Body as _;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, LOCATION, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::binary::BinaryRequest;
use crate::limits::HEAVY_BYTES;
use crate::media::Format;

/// An answer: whole, as all of FHIR's are, or what an adapter makes of it.
pub type Answer = Response<Either<Full<Bytes>, axum::body::Body>>;

pub use html::{html, icon, redirect};

/// Bodies shorter than this are not worth packing.
const GZIP_BYTES_MIN: usize = 1024;

/// `Retry-After` of a 503, in seconds.
const RETRY_AFTER_SECONDS: u16 = 1;

/// How the client wants to be answered.
#[derive(Debug, Clone)]
pub struct Shape {
    /// JSON or XML.
    pub format: Format,
    /// Indented.
    pub pretty: bool,
    /// Packed when that pays.
    pub gzip: bool,
    /// A page for people, made of the JSON.
    pub page: bool,
    /// The answer is to a write, which is done by now: it is not refused for want of a format.
    pub wrote: bool,
    /// The entity tags of what the client has (`If-None-Match`), where it reads.
    pub has: Option<String>,
    /// The answer is a Binary that may be given as what it holds.
    pub(crate) content: Option<Arc<BinaryRequest>>,
}

impl Shape {
    /// Plain JSON.
    pub const PLAIN: Shape = Shape {
        format: Format::Json,
        pretty: false,
        gzip: false,
        page: false,
        wrote: false,
        has: None,
        content: None,
    };

    /// How the page is given that is wanted, if one is; the shape is then that of the plain JSON it is made of.
    pub fn take_page(&mut self) -> Option<Shape> {
        let page = self.page.then(|| self.clone());
        if page.is_some() {
            (self.format, self.pretty, self.gzip) = (Format::Json, false, false);
            self.has = None;
        }
        page
    }

    /// JSON as it is kept, gzipped.
    fn is_packed_json(&self) -> bool {
        self.gzip && self.format == Format::Json && !self.pretty
    }
}

/// What was done, as a response. `base` is the public base url that locations stand below.
///
/// # Errors
///
/// `NotAcceptable` when the body cannot be given in the format asked for, `RangeNotSatisfiable` for a range beyond
/// the content of a Binary, `Internal` when a stored body cannot be parsed.
pub async fn from_reply(reply: Reply, base: &str, shape: &Shape, types: &impl Types) -> Result<Answer> {
    let tag = reply.tag.as_deref().map(|tag| entity_tag::new(tag, shape.format));
    if let Some(tag) = tag.as_deref().filter(|tag| entity_tag::is_among(tag, shape.has.as_deref())) {
        let mut answer = empty(StatusCode::NOT_MODIFIED);
        private(answer.headers_mut());
        answer.headers_mut().insert(ETAG, value(tag.to_owned())?);
        return Ok(answer);
    }
    let mut answer = match reply.body {
        _ if let Some(content) = reply.content => content::answer(*content)?,
        // What is packed already is not packed anew for each who takes it.
        Some(_) if let Some(packed) = reply.packed.filter(|_| shape.is_packed_json()) => {
            whole_body(packed, true, shape)
        }
        Some(body) if let Some(asked) = &shape.content => {
            binary::answer(body, asked, reply.last_modified, shape, types).await?
        }
        Some(body) => match with_body(body.clone(), shape, types).await {
            Err(error) if error.kind == Kind::NotAcceptable && shape.wrote => {
                with_body(body, &Shape { format: Format::Json, ..shape.clone() }, types).await?
            }
            // A stored Bundle has a version, and is given as it is or not at all.
            Err(error) if error.kind == Kind::NotAcceptable && reply.version.is_none() => {
                let shown = unshowable::replaced(&body, types)?.ok_or(error)?;
                with_body(Bytes::from(shown), shape, types).await?
            }
            answer => answer?,
        },
        None => Response::new(whole(Bytes::new())),
    };
    // A part of what was asked for has a status of its own.
    if answer.status() == StatusCode::OK {
        *answer.status_mut() = StatusCode::from_u16(reply.status).map_err(Error::internal)?;
    }
    // A cache takes the headers of a 304 for those of what it has (RFC 9110, 15.4.5).
    if answer.status() == StatusCode::NOT_MODIFIED {
        private(answer.headers_mut());
    }
    let headers = answer.headers_mut();
    if let Some(version) = reply.version {
        headers.insert(ETAG, value(format!("W/\"{version}\""))?);
    }
    if let Some(tag) = tag {
        headers.insert(ETAG, value(tag)?);
    }
    if let Some(micros) = reply.last_modified {
        headers.insert(LAST_MODIFIED, value(http_date(micros))?);
    }
    if let Some(location) = reply.location {
        headers.insert(LOCATION, value(format!("{base}/{location}"))?);
    }
    further(headers, reply.headers)?;
    Ok(answer)
}

/// Headers that an operation adds.
fn further(headers: &mut HeaderMap, more: Vec<(&'static str, String)>) -> Result<()> {
    for (name, text) in more {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(Error::internal)?;
        headers.append(name, value(text)?);
    }
    Ok(())
}

/// What went wrong, as a response. It is JSON when the wanted format cannot be had.
pub async fn from_error(error: &Error, allowed: &[Method], shape: &Shape, types: &impl Types) -> Answer {
    let outcome = Bytes::from(error.outcome().to_string());
    let plain = Shape { format: Format::Json, ..shape.clone() };
    let made = match with_body(outcome.clone(), shape, types).await {
        Ok(answer) => Ok(answer),
        Err(_) => with_body(outcome, &plain, types).await,
    };
    let mut answer = made.unwrap_or_else(|_| Response::new(whole(Bytes::new())));
    *answer.status_mut() =
        StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    if matches!(error.kind, Kind::Unavailable | Kind::Throttled) {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
    }
    if error.kind == Kind::Unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fhir\""));
    }
    if error.kind == Kind::MethodNotAllowed {
        let names: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
        if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
            headers.insert(ALLOW, names);
        }
    }
    answer
}

/// A page of the server's own, not of FHIR: health, metrics.
pub fn page(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(whole(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A body of JSON in the shape that is wanted.
async fn with_body(body: Bytes, shape: &Shape, types: &impl Types) -> Result<Answer> {
    let mut body = match (shape.format, shape.pretty) {
        (Format::Json, false) => body,
        (Format::Json, true) => Bytes::from(pretty::json(&body)),
        (Format::Xml, pretty) => to_xml(&body, types, pretty)?,
    };
    let packed = shape.gzip && body.len() >= GZIP_BYTES_MIN;
    if packed {
        body = match body.len() > HEAVY_BYTES {
            true => tokio::task::spawn_blocking(move || pack(&body)).await.map_err(Error::internal)??,
            false => pack(&body)?,
        };
    }
    Ok(whole_body(body, packed, shape))
}

/// Bytes as they go out, with the headers that speak of them.
fn whole_body(body: Bytes, packed: bool, shape: &Shape) -> Answer {
    let mut answer = Response::new(whole(body));
    let headers = answer.headers_mut();
    headers.reserve(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(shape.format.content_type()));
    if packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    private(headers);
    answer
}

/// How answers may be kept and understood.
fn private(headers: &mut HeaderMap) {
    // Health data: kept by no shared cache, and by a private one only to ask whether it still holds.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn to_xml(body: &[u8], types: &impl Types, pretty: bool) -> Result<Bytes> {
    let doc = json::Doc::parse(body, json::JsonLimits::NONE).map_err(Error::internal)?;
    let written = if pretty { xml::indented(doc.root(), types) } else { xml::from_json(doc.root(), types) };
    Ok(Bytes::from(written?))
}

fn pack(body: &[u8]) -> Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).map_err(Error::internal)?;
    Ok(Bytes::from(encoder.finish().map_err(Error::internal)?))
}

/// An instant in µs since 1970, to the second.
fn http_date(micros: i64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_micros(micros.max(0) as u64))
}

fn value(text: String) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(Error::internal)
}

fn whole(body: Bytes) -> Either<Full<Bytes>, axum::body::Body> {
    Either::Left(Full::new(body))
}

/// The answer to HEAD: the headers that GET would get, without the body, which HTTP/2 would send if it were there.
pub(crate) fn without_body(mut answer: Answer) -> Answer {
    let length = answer.body().size_hint().exact().filter(|length| *length > 0);
    let headers = answer.headers_mut();
    if let (Some(length), false) = (length, headers.contains_key(CONTENT_LENGTH)) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *answer.body_mut() = whole(Bytes::new());
    answer
}

/// No content, for what is said by headers alone.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(whole(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// Adds a header to a response.
pub fn set(answer: &mut Answer, name: HeaderName, value: HeaderValue) {
    answer.headers_mut().insert(name, value);
}

#[cfg(test)]
mod tests {
    use fhir_profiles::Definitions;

    use super::*;

    #[tokio::test]
    async fn who_must_say_who_it_is_is_told_how() {
        let types = Definitions::load().unwrap();
        for (kind, wanted) in [(Kind::Unauthorized, true), (Kind::Forbidden, false), (Kind::NotFound, false)]
        {
            let answer = from_error(&Error::new(kind, "no"), &[], &Shape::PLAIN, &types).await;
            let challenge = answer.headers().get(WWW_AUTHENTICATE);
            assert_eq!(challenge.map(|c| c.to_str().unwrap()), wanted.then_some("Bearer realm=\"fhir\""));
        }
    }
}
