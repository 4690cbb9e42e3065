//! The body of a request as a value of a handler's own.

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use fhir_app::envelope::Failure;
use fhir_app::{Error, Kind};
use serde::de::DeserializeOwned;

/// A body in JSON. What is wrong with it is said in the form of errors of the path.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

/// Longest body of a request that is not FHIR's: an edge reads at most this of it here.
const BYTES_MAX: usize = 256 * 1024;

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<JsonBody<T>, Failure> {
        let kind =
            request.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or("").to_ascii_lowercase());
        let is_json = kind.as_deref().is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or("").trim();
            kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
        });
        if !is_json {
            let text = "a body in JSON is expected: Content-Type: application/json";
            return Err(Error::new(Kind::UnsupportedMediaType, text).into());
        }
        let bytes = axum::body::to_bytes(request.into_body(), BYTES_MAX).await;
        let bytes = bytes.map_err(|_| Error::new(Kind::TooLarge, "a body may have at most 256 KiB here"))?;
        // PostgreSQL's texts hold none, and nobody means one.
        if memchr::memmem::find(&bytes, br"\u0000").is_some() {
            return Err(Error::value("the body has the character U+0000").into());
        }
        let value = serde_json::from_slice(&bytes).map_err(|error| Error::value(wrong(&error)))?;
        Ok(JsonBody(value))
    }
}

/// What is wrong, without what was sent: it may be a password.
fn wrong(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            let text = error.to_string();
            // `missing field `email` at line 1 column 2`: a name of ours, nothing of theirs.
            match text.starts_with("missing field `") {
                true => {
                    text.split(" at line").next().unwrap_or("").replace("missing field", "the body lacks")
                }
                false => format!(
                    "the body has a value of another type than is expected, at line {line}, column {column}"
                ),
            }
        }
        _ => format!("the body is not JSON, at line {line}, column {column}"),
    }
}
