//! Who asks: the one place that reads a request's credentials.

use fhir_access::{Authenticated, Credentials};
use fhir_model::{Error, Kind, Result};
use fhir_search::TenantId;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderName};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use crate::edge::Edge;
use crate::request;

/// The cookie that holds the token of a browser.
pub(crate) const TOKEN_COOKIE: &str = "paseto_token";

/// The organisation that a request is about.
const ORGANIZATION: HeaderName = HeaderName::from_static("x-organization-id");

/// Who asks, and which organisation. `base`: the organisation whose base url was asked.
///
/// # Errors
///
/// As [`fhir_access::Guard::authenticate`]; and `Forbidden` when a page of an origin that is not named sends a cookie to change something.
pub(crate) async fn authenticate(
    edge: &Edge,
    parts: &Parts,
    base: Option<TenantId>,
) -> Result<Authenticated> {
    let authorization = request::only(parts, AUTHORIZATION)?;
    let cookie = if authorization.is_none() { cookie(&parts.headers, TOKEN_COOKIE)? } else { None };
    if cookie.is_some() && !matches!(parts.method, Method::GET | Method::HEAD) {
        edge.origins.check_cookie(&parts.uri, &parts.headers, &edge.hosts)?;
    }
    let credentials = Credentials {
        authorization: authorization.as_deref(),
        cookie,
        organization: request::text(parts, ORGANIZATION)?,
        base,
    };
    edge.cx.guard.authenticate(credentials).await
}

/// The value of a cookie.
///
/// # Errors
///
/// When it is sent twice with different values: another site may have set one of them.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value.trim_matches('"'));
    let first = values.next();
    match values.all(|value| Some(value) == first) {
        true => Ok(first.filter(|value| !value.is_empty())),
        false => Err(Error::new(Kind::Unauthorized, format!("the cookie {name} is sent twice"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies() {
        let rows: [(&[&str], Option<Option<&str>>); 8] = [
            (&[], Some(None)),
            (&["a=1; paseto_token=t; b=2"], Some(Some("t"))),
            (&["a=1", "paseto_token=\"t\""], Some(Some("t"))),
            (&["paseto_token="], Some(None)),
            (&["xpaseto_token=t"], Some(None)),
            (&["paseto_token=t; paseto_token=t"], Some(Some("t"))),
            (&["paseto_token=t; paseto_token=u"], None),
            (&["paseto_token=t", "paseto_token="], None),
        ];
        for (lines, wanted) in rows {
            let headers = lines.iter().map(|line| (COOKIE, line.parse().unwrap())).collect::<HeaderMap>();
            assert_eq!(cookie(&headers, TOKEN_COOKIE).ok(), wanted, "{lines:?}");
        }
    }
}
