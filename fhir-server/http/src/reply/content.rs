//! What is no resource, as a response.

use fhir_interactions::{Content, ContentBody};
use fhir_model::{Error, Result};
use futures_util::TryStreamExt;
use http_body_util::Either;
use hyper::Response;
use hyper::header::CONTENT_TYPE;

use super::body::{Answer, private, value, whole};

/// Bytes of a media type. A stream that fails in its middle ends the connection, so that nobody takes it for complete.
///
/// # Errors
///
/// When the media type cannot stand in a header, or the stream was read already: defects of an operation.
pub(super) fn answer(content: Content) -> Result<Answer> {
    let kind = value(content.media_type)?;
    let mut answer = match content.body {
        ContentBody::Whole(bytes) => Response::new(whole(bytes)),
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
