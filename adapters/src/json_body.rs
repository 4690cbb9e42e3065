//! The body of a request as a value of a handler's own.

use axum::body::Bytes;
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
        let bytes = bytes(request).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| Error::value(wrong(&error)))?;
        Ok(JsonBody(value))
    }
}

/// The same below `/v1`: what is JSON but not what is expected is refused with 422, which names the field.
#[derive(Debug)]
pub(crate) struct V1Body<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for V1Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<V1Body<T>, Failure> {
        let bytes = bytes(request).await?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            field_error(&path, error.inner())
        })?;
        reader.end().map_err(|error| Error::invalid(wrong(&error)))?;
        Ok(V1Body(value))
    }
}

/// `path`: where in the body, `.` for the body itself.
fn field_error(path: &str, error: &serde_json::Error) -> Error {
    if error.classify() != serde_json::error::Category::Data {
        return Error::invalid(wrong(error));
    }
    let text = error.to_string();
    let parent = if path == "." { String::new() } else { format!("{path}.") };
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match missing {
        Some(field) => Error::new(Kind::Rule, format!("`{field}` is missing")).at(format!("{parent}{field}")),
        None if path == "." => Error::new(Kind::Rule, "the body is an object in JSON"),
        None => {
            Error::new(Kind::Rule, format!("`{path}` has a value of another type than is expected")).at(path)
        }
    }
}

async fn bytes(request: Request) -> Result<Bytes, Failure> {
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
    Ok(bytes)
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
