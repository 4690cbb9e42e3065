//! The cookies of a browser that signs in: no script reads them, no other site sends them.

use std::time::Duration;

use axum::http::header::{COOKIE, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use fhir_access::accounts::sessions::Tokens;

const TOKEN: &str = "paseto_token";
const REFRESH: &str = "refresh_token";

/// The refresh token goes where tokens are refreshed, and nowhere else.
const REFRESH_PATH: &str = "/api/auth";

/// Sets the cookies of who signed in.
pub(super) fn set(response: &mut Response, tokens: &Tokens) {
    add(response, TOKEN, &tokens.access, "/", tokens.access_lifetime);
    add(response, REFRESH, &tokens.refresh, REFRESH_PATH, tokens.refresh_lifetime);
}

/// Takes them away from who signed out.
pub(super) fn clear(response: &mut Response) {
    add(response, TOKEN, "", "/", Duration::ZERO);
    add(response, REFRESH, "", REFRESH_PATH, Duration::ZERO);
}

fn add(response: &mut Response, name: &str, value: &str, path: &str, lifetime: Duration) {
    let seconds = lifetime.as_secs();
    let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict");
    // Tokens are of letters, digits, dots, hyphens and underscores.
    if let Ok(line) = HeaderValue::try_from(text) {
        response.headers_mut().append(SET_COOKIE, line);
    }
}

/// The refresh token of the cookie; of two that differ none.
pub(super) fn refresh_token(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, _)| *name == REFRESH).map(|(_, value)| value);
    let first = values.next().filter(|value| !value.is_empty());
    first.filter(|first| values.all(|other| other == *first))
}

/// True for a page in a browser, which has its cookies: no script of it needs to see the refresh token.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-mode")
}
