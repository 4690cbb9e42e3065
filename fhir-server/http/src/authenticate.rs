//! Who asks: the one place that reads a request's credentials.

use fhir_access::{Authenticated, Credentials, Principal};
use fhir_model::{Error, Kind, Result};
use fhir_search::TenantId;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderName};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use crate::edge::Edge;
use crate::request;

/// The cookie that holds the token of a browser.
const TOKEN_COOKIE: &str = "paseto_token";

/// The cookie that holds what it goes on with.
const REFRESH_COOKIE: &str = "refresh_token";

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
    let cookie = cookie_of(edge, parts, authorization.as_deref())?;
    let organization = request::only(parts, ORGANIZATION)?;
    let (authorization, organization) = (authorization.as_deref(), organization.as_deref());
    edge.cx.guard.authenticate(Credentials { authorization, cookie, organization, base }).await
}

/// Who asks for what everybody may ask for. Somebody whose token has ended, or who is a member no more, may sign in again, or out.
///
/// # Errors
///
/// When the database does not answer; and `Forbidden` for a cookie as above.
pub(crate) async fn recognise(edge: &Edge, parts: &Parts, base: Option<TenantId>) -> Result<Authenticated> {
    let authorization = request::only(parts, AUTHORIZATION)?;
    let cookie = cookie_of(edge, parts, authorization.as_deref())?;
    let credentials =
        Credentials { authorization: authorization.as_deref(), cookie, organization: None, base };
    match edge.cx.guard.authenticate(credentials).await {
        Err(error) if matches!(error.kind, Kind::Unauthorized | Kind::Forbidden) => {
            Ok(Authenticated { principal: Principal::Anonymous, tenant: base.unwrap_or(TenantId::DEFAULT) })
        }
        recognised => recognised,
    }
}

/// The token of the cookie, where no header says who asks.
fn cookie_of<'p>(edge: &Edge, parts: &'p Parts, authorization: Option<&str>) -> Result<Option<&'p str>> {
    if authorization.is_some() {
        return Ok(None);
    }
    let token = cookie(&parts.headers, TOKEN_COOKIE)?;
    let is_signed_in = token.is_some() || cookie(&parts.headers, REFRESH_COOKIE)?.is_some();
    if is_signed_in && !matches!(parts.method, Method::GET | Method::HEAD) {
        edge.origins.check_cookie(&parts.uri, &parts.headers, &edge.hosts)?;
    }
    Ok(token)
}

/// The value of a cookie.
///
/// # Errors
///
/// When it is sent twice with different values: another site may have set one of them.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
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
