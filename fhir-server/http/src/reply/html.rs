//! Pages for people as HTTP: the headers that keep a browser from doing anything but showing them.

use bytes::Bytes;
use fhir_model::Result;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::body::{Answer, GZIP_BYTES_MIN, pack, value, whole};
use super::own::{self, empty};
use crate::shape::Shape;

/// A page in place of the JSON that `headers` came with. What they say of the request (`Allow`, `Retry-After` ..) stays.
///
/// # Errors
///
/// When the page cannot be packed.
pub fn html(
    status: StatusCode,
    headers: HeaderMap,
    page: String,
    language: &'static str,
    shape: &Shape,
) -> Result<Answer> {
    let mut body = Bytes::from(page);
    let packed = shape.gzip && body.len() >= GZIP_BYTES_MIN;
    if packed {
        body = pack(&body)?;
    }
    let length = body.len();
    let mut answer = empty(status);
    *answer.headers_mut() = headers;
    let out = answer.headers_mut();
    // They are those of the JSON.
    for name in [ETAG, LAST_MODIFIED, CONTENT_ENCODING] {
        out.remove(name);
    }
    let policy = value(fhir_html::security_policy())?;
    out.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, text) in FIXED {
        out.insert(name, HeaderValue::from_static(text));
    }
    out.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language));
    out.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if packed {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *answer.body_mut() = whole(body);
    Ok(answer)
}

/// What is alike for all pages. A url holds who is asked for, so it goes to nobody as a referrer; a page holds health data,
/// so it is kept nowhere, shared machines' histories included.
const FIXED: [(HeaderName, &str); 6] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CACHE_CONTROL, "private, no-store"),
    (VARY, "accept, accept-encoding, accept-language, authorization, cookie, x-organization-id"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];

/// The site's icon.
pub fn icon() -> Answer {
    let mut answer = own::page(StatusCode::OK, "image/svg+xml", fhir_html::ICON);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// To another url of this server, to be asked with GET.
///
/// # Errors
///
/// When the url cannot stand in a header.
pub fn redirect(url: String) -> Result<Answer> {
    let mut answer = empty(StatusCode::SEE_OTHER);
    let headers = answer.headers_mut();
    headers.insert(LOCATION, value(url)?);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}
