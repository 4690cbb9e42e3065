//! `/openapi.json`, and `/docs/`: the same as a page, by Swagger UI, from this server alone.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use hyper::{Method, Request, StatusCode};
use utoipa_swagger_ui::{Config, serve};

use crate::edge::Edge;
use crate::reply::{self, Answer};

/// Scripts and styles of this server alone. Swagger UI sets styles of its own on its elements, and draws from `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ONLY_GET: &str =
    r#"{"success":false,"error":{"code":"METHOD_NOT_ALLOWED","message":"this is read with GET"}}"#;

/// The answer, when it is one of these pages that is asked for.
pub(crate) fn at<B>(edge: &Edge, request: &Request<B>) -> Option<Answer> {
    let path = request.uri().path();
    let is_ours = path == "/openapi.json" || path == "/docs" || path.starts_with("/docs/");
    if !is_ours {
        return None;
    }
    if let Some(answer) = edge.origins.preflight(request.method(), request.headers()) {
        return Some(answer);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = reply::page(StatusCode::METHOD_NOT_ALLOWED, "application/json", ONLY_GET);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(answer);
    }
    let mut answer = match path {
        "/openapi.json" => reply::page(StatusCode::OK, "application/json", edge.openapi.clone()),
        // Relative, as the server may stand below a path.
        "/docs" => return reply::redirect("docs/".to_owned()).ok(),
        _ => file(path.strip_prefix("/docs/")?)?,
    };
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    edge.origins.mark(request.headers(), &mut answer);
    Some(answer)
}

/// A file of Swagger UI, which shows `/openapi.json` and asks nobody else about it.
fn file(name: &str) -> Option<Answer> {
    let config = Config::from("../openapi.json").use_base_layout().validator_url("none");
    let file = serve(name, Arc::new(config)).ok()??;
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => bytes::Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes::Bytes::from(bytes),
    };
    let mut answer = reply::page(StatusCode::OK, content_type(name), bytes);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(answer)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("png") => "image/png",
        Some("map" | "json") => "application/json",
        _ => "text/html; charset=utf-8",
    }
}
