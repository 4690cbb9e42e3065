//! What is no resource, as a response.

use bytes::Bytes;
use fhir_interactions::{Content, ContentBody};
use fhir_model::{Error, Result};
use futures_util::TryStreamExt;
use http_body_util::Either;
use hyper::Response;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

use super::{Answer, Shape, private, value, whole};

/// Bytes of a media type. A stream that fails in its middle ends the connection, so that nobody takes it for complete.
///
/// # Errors
///
/// When the media type cannot stand in a header, or the stream was read already: defects of an operation.
pub(super) fn answer(content: Content, shape: &Shape) -> Result<Answer> {
    let kind = value(content.media_type)?;
    let mut answer = match content.body {
        ContentBody::Whole(bytes) => {
            let length = bytes.len();
            let mut answer = Response::new(whole(if shape.head { Bytes::new() } else { bytes }));
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            answer
        }
        ContentBody::Stream(_) if shape.head => Response::new(whole(Bytes::new())),
        ContentBody::Stream(stream) => {
            let stream = stream.take().ok_or_else(|| Error::internal("a stream was read twice"))?;
            let stream = stream.inspect_err(|error| tracing::error!("a stream ended early: {error}"));
            Response::new(Either::Right(axum::body::Body::from_stream(stream)))
        }
    };
    private(answer.headers_mut());
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(answer)
}
