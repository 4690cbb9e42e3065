//! The body of an answer, in the shape that is wanted, and the headers that speak of it.

use std::io::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fhir_model::types::Types;
use fhir_model::{Error, Result, json, xml};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};

use super::pretty;
use crate::limits::HEAVY_BYTES;
use crate::media::Format;
use crate::shape::Shape;

/// An answer: whole, as all of FHIR's are, or what an adapter makes of it.
pub type Answer = Response<Either<Full<Bytes>, axum::body::Body>>;

/// Bodies shorter than this are not worth packing.
pub(super) const GZIP_BYTES_MIN: usize = 1024;

/// A body of JSON in the shape that is wanted.
pub(super) async fn with_body(body: Bytes, shape: &Shape, types: &impl Types) -> Result<Answer> {
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
pub(super) fn whole_body(body: Bytes, packed: bool, shape: &Shape) -> Answer {
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
pub(super) fn private(headers: &mut HeaderMap) {
    // Health data: kept by no shared cache, and by a private one only to ask whether it still holds.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(
        VARY,
        HeaderValue::from_static("accept, accept-encoding, authorization, cookie, x-organization-id"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn to_xml(body: &[u8], types: &impl Types, pretty: bool) -> Result<Bytes> {
    let doc = json::Doc::parse(body, json::JsonLimits::NONE).map_err(Error::internal)?;
    let written = if pretty { xml::indented(doc.root(), types) } else { xml::from_json(doc.root(), types) };
    Ok(Bytes::from(written?))
}

/// Gzip.
pub(super) fn pack(body: &[u8]) -> Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).map_err(Error::internal)?;
    Ok(Bytes::from(encoder.finish().map_err(Error::internal)?))
}

/// An instant in µs since 1970, to the second.
pub(super) fn http_date(micros: i64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_micros(micros.max(0) as u64))
}

/// A header of a text.
pub(super) fn value(text: String) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(Error::internal)
}

/// A body that is there as a whole.
pub(super) fn whole(body: Bytes) -> Either<Full<Bytes>, axum::body::Body> {
    Either::Left(Full::new(body))
}
