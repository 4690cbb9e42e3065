//! Answers of modules: the envelopes of `/api`, `/admin` and `/v1`.
//!
//! By mount and never mixed: below `/v1` errors are `{"error":{"code","message","fields"}}`, below a FHIR base they are
//! OperationOutcomes, elsewhere they have Cari's form. A handler returns an [`Error`] as a [`Failure`] and does not choose.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use fhir_model::Error;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value, json};

/// What a handler of a module returns.
pub type Answered = std::result::Result<Response, Failure>;

/// An error of a handler. What the client gets is made of it where all answers of modules are made.
#[derive(Debug, Clone)]
pub struct Failure(pub(crate) Arc<Error>);

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(Arc::new(error))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status(&self.0).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Its number, from 1 on.
    pub page: u64,
    /// Entries on a page.
    pub limit: u64,
    /// Entries on all pages.
    pub total: u64,
}

/// `{"success":true,"data":...}`
pub fn success(status: StatusCode, data: &Value) -> Response {
    written(status, &json!({ "success": true, "data": data }))
}

/// `{"success":true,"data":[...],"meta":{"page":1,"limit":20,"total":100}}`
pub fn success_page(data: &Value, page: Page) -> Response {
    let Page { page, limit, total } = page;
    let meta = json!({ "page": page, "limit": limit, "total": total });
    written(StatusCode::OK, &json!({ "success": true, "data": data, "meta": meta }))
}

/// Below `/v1`: `{"data":...}`
pub fn data(status: StatusCode, data: &Value) -> Response {
    written(status, &json!({ "data": data }))
}

/// Below `/v1`: `{"data":[...],"pagination":{"page":1,"limit":50,"total":237}}`
pub fn data_page(data: &Value, page: Page) -> Response {
    let Page { page, limit, total } = page;
    let pagination = json!({ "page": page, "limit": limit, "total": total });
    written(StatusCode::OK, &json!({ "data": data, "pagination": pagination }))
}

/// FHIR's form of an error.
pub(crate) fn outcome(error: &Error) -> Response {
    let json = HeaderValue::from_static("application/fhir+json; charset=utf-8");
    (status(error), [(CONTENT_TYPE, json)], error.outcome().to_string()).into_response()
}

/// Cari's form of an error.
pub(crate) fn failed(error: &Error) -> Response {
    let status = status(error);
    let code = match status.as_u16() {
        400 | 422 => "VALIDATION_ERROR",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        409 | 412 => "CONFLICT",
        413 | 414 => "TOO_LARGE",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        429 => "RATE_LIMITED",
        503 => "UNAVAILABLE",
        504 => "TIMEOUT",
        other if other < 500 => "REQUEST_REFUSED",
        _ => "INTERNAL_ERROR",
    };
    let error = json!({ "code": code, "message": message(error) });
    written(status, &json!({ "success": false, "error": error }))
}

/// The form of an error below `/v1`; `fields` stand with 422 alone.
pub(crate) fn failed_v1(error: &Error) -> Response {
    let status = status(error);
    let code = match status.as_u16() {
        400 => "invalid_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        409 | 412 => "conflict",
        413 | 414 => "too_large",
        415 => "unsupported_media_type",
        422 => "validation_failed",
        429 => "rate_limited",
        503 => "unavailable",
        504 => "timeout",
        other if other < 500 => "request_refused",
        _ => "internal_error",
    };
    let mut written_error = json!({ "code": code, "message": message(error) });
    let fields = error.issues().into_iter().filter(|issue| issue.severity.is_error());
    let fields: Map<String, Value> = fields
        .flat_map(|issue| {
            issue
                .expression
                .iter()
                .map(move |field| (field.clone(), Value::from(&*issue.text)))
                .collect::<Vec<_>>()
        })
        .collect();
    if let (422, false, Some(object)) = (status.as_u16(), fields.is_empty(), written_error.as_object_mut()) {
        object.insert("fields".to_owned(), Value::Object(fields));
    }
    written(status, &json!({ "error": written_error }))
}

/// The sentences of all issues, at most some.
fn message(error: &Error) -> String {
    let issues = error.issues();
    let texts: Vec<&str> = issues.iter().take(MESSAGES_MAX).map(|issue| &*issue.text).collect();
    texts.join("; ")
}

/// Issues that are told in one message.
const MESSAGES_MAX: usize = 10;

pub(crate) fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn written(status: StatusCode, value: &Value) -> Response {
    let json = HeaderValue::from_static("application/json");
    (status, [(CONTENT_TYPE, json)], value.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use fhir_model::Kind;

    use super::*;

    async fn body(response: Response) -> (u16, Value) {
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn errors_in_both_forms() {
        let rows = [
            (Kind::Value, 400, "VALIDATION_ERROR", "invalid_request"),
            (Kind::Rule, 422, "VALIDATION_ERROR", "validation_failed"),
            (Kind::Unauthorized, 401, "UNAUTHORIZED", "unauthorized"),
            (Kind::Forbidden, 403, "FORBIDDEN", "forbidden"),
            (Kind::NotFound, 404, "NOT_FOUND", "not_found"),
            (Kind::MethodNotAllowed, 405, "METHOD_NOT_ALLOWED", "method_not_allowed"),
            (Kind::Conflict, 409, "CONFLICT", "conflict"),
            (Kind::TooLarge, 413, "TOO_LARGE", "too_large"),
            (Kind::Throttled, 429, "RATE_LIMITED", "rate_limited"),
            (Kind::NotAcceptable, 406, "REQUEST_REFUSED", "request_refused"),
            (Kind::Internal, 500, "INTERNAL_ERROR", "internal_error"),
        ];
        for (kind, status, code, code_v1) in rows {
            let error = Error::new(kind, "it is so").at("email");
            let cari = json!({ "success": false, "error": { "code": code, "message": "it is so" } });
            assert_eq!(body(failed(&error)).await, (status, cari));
            let mut v1 = json!({ "error": { "code": code_v1, "message": "it is so" } });
            if status == 422 {
                v1["error"]["fields"] = json!({ "email": "it is so" });
            }
            assert_eq!(body(failed_v1(&error)).await, (status, v1));
        }
    }
}
