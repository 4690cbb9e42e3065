//! Replies and errors as HTTP: the only place where a response of FHIR's is made (`envelope.rs` makes those of modules).
//!
//! <https://hl7.org/fhir/R4/http.html#Status-Codes>, <https://hl7.org/fhir/R4/http.html#versioning>
//!
//! **Invariant:** a client gets an error's sentence and code, never its cause.

mod binary;
mod body;
mod content;
mod entity_tag;
mod error;
mod html;
mod own;
mod pretty;
mod unshowable;

use bytes::Bytes;
use fhir_interactions::Reply;
use fhir_model::types::Types;
use fhir_model::{Error, Kind, Result};
use hyper::body::Body as _;
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION};
use hyper::{Response, StatusCode};

pub use self::body::Answer;
use self::body::{http_date, private, value, whole, whole_body, with_body};
pub use self::error::from_error;
pub use self::html::{html, icon, redirect};
pub use self::own::{empty, page};
use crate::media::Format;
use crate::shape::Shape;

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

/// Adds a header to a response.
pub fn set(answer: &mut Answer, name: HeaderName, value: HeaderValue) {
    answer.headers_mut().insert(name, value);
}
