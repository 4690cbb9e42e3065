//! Web pages of other origins that may call from a browser: <https://fetch.spec.whatwg.org/#http-cors-protocol>
//!
//! What a browser asks first about is refused by the answer to its question. What it does not ask about, a page of any
//! site can do: send a form, or a plain text, to a server that only this machine or network reaches. So whatever may
//! change something is refused when it comes from a page of an origin that is not let in.

use fhir_model::{Error, Kind};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue,
    InvalidHeaderValue, ORIGIN, VARY,
};
use hyper::{Method, StatusCode, Uri};

use crate::hosts::{Hosts, origin};
use crate::reply::{self, Answer};

/// Where a request comes from, as a browser says it and a page cannot: <https://www.w3.org/TR/fetch-metadata/>
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// Headers that a page may send: those the server reads, and those that clients and proxies send along.
const REQUEST_HEADERS: [&str; 29] = [
    "accept",
    "accept-language",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-type",
    "database-position",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-exist",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "prefer",
    "range",
    "traceparent",
    "tracestate",
    "baggage",
    "user-agent",
    "x-correlation-id",
    "x-medplum",
    "x-organization-id",
    "x-provenance",
    "x-request-id",
    "x-requested-with",
    "x-security-context",
];

/// Headers of answers that a page may read beside those the browser shows to all.
const EXPOSED_HEADERS: &str = "accept-ranges, allow, content-disposition, content-encoding, content-location, \
                               content-range, database-position, date, etag, idempotency-replayed, last-modified, location, \
                               preference-applied, retry-after, www-authenticate, x-ratelimit-limit, \
                               x-ratelimit-remaining, x-ratelimit-reset, x-request-id, x-security-context";

/// The allowed origins, from the setting `allow_origins`; by default there are none.
#[derive(Debug, Clone, Default)]
pub struct CorsOrigins {
    any: bool,
    named: Vec<HeaderValue>,
}

/// An origin that is let in.
struct Allowed {
    origin: HeaderValue,
    /// It may send cookies and certificates: only one that is named, never everybody.
    credentials: bool,
}

impl CorsOrigins {
    /// `*` for all, or origins such as `https://app.example.org`, which the settings have checked.
    ///
    /// # Errors
    /// When an origin cannot stand in a header.
    pub fn new(list: &[String]) -> Result<CorsOrigins, InvalidHeaderValue> {
        let named = list.iter().filter(|one| *one != "*").map(|one| HeaderValue::from_str(one));
        Ok(CorsOrigins { any: list.iter().any(|one| one == "*"), named: named.collect::<Result<_, _>>()? })
    }

    /// The answer to a browser that asks first.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Answer> {
        let asks = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let allowed = self.allowed(headers).filter(|_| asks)?;
        let mut answer = reply::empty(StatusCode::NO_CONTENT);
        let out = answer.headers_mut();
        allow(allowed, out);
        let vary = "origin, access-control-request-method, access-control-request-headers";
        out.insert(VARY, HeaderValue::from_static(vary));
        out.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        if let Some(names) = requested(headers) {
            out.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        out.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        Some(answer)
    }

    /// Lets the page read the answer.
    pub(crate) fn mark(&self, asked: &HeaderMap, answer: &mut Answer) {
        if !self.any && self.named.is_empty() {
            return;
        }
        let out = answer.headers_mut();
        // Also where the origin is not let in, or none is said: a cache must not give that answer to a page that is.
        out.append(VARY, HeaderValue::from_static("origin"));
        if let Some(allowed) = self.allowed(asked) {
            allow(allowed, out);
            out.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        }
    }

    /// 403 when a request that may change something comes from a page of an origin that is neither this server's own nor
    /// let in. Clients that are no browsers say no origin.
    pub(crate) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        names: &Hosts,
    ) -> Result<(), Error> {
        let is_from_elsewhere = match headers.get(FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(b"same-origin" | b"none") => false,
            Some(_) => true,
            None => headers.contains_key(ORIGIN),
        };
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
            || !is_from_elsewhere
            || self.allowed(headers).is_some()
            || names.is_own_origin(uri, headers)
        {
            return Ok(());
        }
        let text = "a web page of another origin may not send this; the setting `allow_origins` has the origins whose \
                    pages may call";
        Err(Error::new(Kind::Forbidden, text).at("http.origin"))
    }

    /// 403 when a browser sends a cookie, to change something, for a page of an origin that is neither this server's own nor
    /// named: `*` is no name.
    pub(crate) fn check_cookie(&self, uri: &Uri, headers: &HeaderMap, names: &Hosts) -> Result<(), Error> {
        let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
        let is_own = match site {
            Some(b"same-origin" | b"none") => true,
            Some(_) => false,
            None => !headers.contains_key(ORIGIN),
        };
        if is_own
            || names.is_own_origin(uri, headers)
            || self.allowed(headers).is_some_and(|allowed| allowed.credentials)
        {
            return Ok(());
        }
        let text =
            "a cookie is taken from pages of this server, and of the origins that `allow_origins` names";
        Err(Error::new(Kind::Forbidden, text).at("http.origin"))
    }

    fn allowed(&self, headers: &HeaderMap) -> Option<Allowed> {
        let origin = origin(headers)?;
        let credentials = self.named.contains(origin);
        (self.any || credentials).then(|| Allowed { origin: origin.clone(), credentials })
    }
}

/// 405 for `OPTIONS`, which is a browser's question whether a page may call.
pub(crate) fn not_allowed() -> Error {
    let text = "OPTIONS is answered to browsers that ask for a web page whether it may call; the setting \
                `allow_origins` has the origins whose pages may";
    Error::new(Kind::MethodNotAllowed, text)
}

fn allow(allowed: Allowed, out: &mut HeaderMap) {
    out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed.origin);
    if allowed.credentials {
        out.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// Those of the headers which the page wants to send that it may.
fn requested(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names: Vec<&str> = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| REQUEST_HEADERS.iter().find(|known| name.trim().eq_ignore_ascii_case(known)))
        .copied()
        .collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}

#[cfg(test)]
mod tests {
    use hyper::header::HOST;

    use super::*;

    fn asked(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        headers
    }

    #[test]
    fn only_named_origins_are_let_in() {
        let app = "https://app.example.org";
        let named = CorsOrigins::new(&[app.to_owned()]).unwrap();
        let any = CorsOrigins::new(&["*".to_owned()]).unwrap();
        let both = CorsOrigins::new(&["*".to_owned(), app.to_owned()]).unwrap();
        let none = CorsOrigins::default();
        // Whether it is let in, and whether with credentials.
        for (origins, origin, wanted, credentials) in [
            (&named, app, true, true),
            (&named, "https://app.example.org.evil.org", false, false),
            (&named, "http://app.example.org", false, false),
            (&named, "null", false, false),
            (&any, "https://evil.org", true, false),
            (&any, app, true, false),
            (&both, "https://evil.org", true, false),
            (&both, app, true, true),
            (&none, app, false, false),
        ] {
            let preflight = origins.preflight(&Method::OPTIONS, &asked(origin));
            assert_eq!(preflight.is_some(), wanted, "{origin}");
            let mut answer = reply::empty(StatusCode::OK);
            origins.mark(&asked(origin), &mut answer);
            for headers in preflight.iter().chain([&answer]).map(hyper::Response::headers) {
                let allowed = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|one| one.to_str().unwrap());
                assert_eq!(allowed, wanted.then_some(origin));
                assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), credentials, "{origin}");
            }
        }
        assert!(any.preflight(&Method::GET, &asked("https://a.org")).is_none());
    }

    /// What a page of any site can make a browser send unasked.
    #[test]
    fn pages_of_other_origins_change_nothing() {
        let names = |base_url| Hosts::new("0.0.0.0:8080".parse().unwrap(), base_url, &[]);
        let (open, public) = (names(None), names(Some("https://EHR.example.org/a/")));
        let named = CorsOrigins::new(&["https://app.example.org".to_owned()]).unwrap();
        let any = CorsOrigins::new(&["*".to_owned()]).unwrap();
        let none = CorsOrigins::default();
        let ehr = "ehr.local:8080";
        // Who may call, the server's names, `Host`, `Origin`, `Sec-Fetch-Site`, and whether a POST is listened to.
        type Row<'a> = (&'a CorsOrigins, &'a Hosts, &'a str, Option<&'a str>, Option<&'a str>, bool);
        let rows: [Row<'_>; 30] = [
            // No browser.
            (&none, &open, ehr, None, None, true),
            // Its own pages, if there were any that send something.
            (&none, &open, ehr, Some("http://ehr.local:8080"), None, true),
            (&none, &open, "EHR.local:8080", Some("http://ehr.local:8080"), None, true),
            (&none, &open, ehr, Some("https://ehr.local:8080"), None, true),
            (&none, &open, "localhost", Some("http://localhost"), Some("same-origin"), true),
            (&none, &open, ehr, None, Some("same-origin"), true),
            (&none, &open, ehr, None, Some("none"), true),
            // A proxy gave it another name.
            (&none, &open, "10.0.0.1:8080", Some("https://ehr.example.org"), Some("same-origin"), true),
            (&none, &public, "10.0.0.1:8080", Some("https://ehr.example.org"), None, true),
            (&none, &open, "10.0.0.1:8080", Some("https://ehr.example.org"), None, false),
            (&none, &public, "10.0.0.1:8080", Some("http://ehr.example.org"), None, false),
            // Pages of others.
            (&none, &open, ehr, Some("https://evil.org"), None, false),
            (&none, &open, ehr, Some("https://evil.org"), Some("cross-site"), false),
            (&none, &open, ehr, None, Some("cross-site"), false),
            (&none, &open, ehr, None, Some("same-site"), false),
            (&none, &open, ehr, None, Some("whatever"), false),
            (&none, &open, ehr, Some("null"), None, false),
            (&none, &open, ehr, Some(""), None, false),
            (&none, &open, "", Some("http://"), None, false),
            (&none, &open, "null", Some("null"), None, false),
            (&none, &open, ehr, Some("http://ehr.local:3000"), Some("same-site"), false),
            (&none, &open, ehr, Some("http://ehr.local"), None, false),
            (&none, &open, ehr, Some("http://ehr.local:8080.evil.org"), None, false),
            (&none, &open, ehr, Some("http://evil.org/ehr.local:8080"), None, false),
            // Those that are let in.
            (&named, &open, ehr, Some("https://app.example.org"), Some("cross-site"), true),
            (&named, &open, ehr, Some("https://app.example.org"), None, true),
            (&named, &open, ehr, Some("https://app.example.org.evil.org"), None, false),
            (&named, &open, ehr, Some("null"), Some("cross-site"), false),
            (&any, &open, ehr, Some("https://evil.org"), Some("cross-site"), true),
            (&any, &open, ehr, Some("null"), None, true),
        ];
        for (origins, names, host, origin, site, wanted) in rows {
            let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).unwrap())]);
            origin.map(|origin| headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap()));
            site.map(|site| headers.insert(FETCH_SITE, HeaderValue::from_str(site).unwrap()));
            let uri = Uri::from_static("/fhir/Binary");
            let status = |method: Method| {
                let checked = origins.check(&method, &uri, &headers, names);
                checked.map_or_else(|error| error.kind.status(), |()| 200)
            };
            let whole = format!("{host} {origin:?} {site:?}");
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE] {
                assert_eq!(status(method), if wanted { 200 } else { 403 }, "{whole}");
            }
            for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                assert_eq!(status(method), 200, "{whole}");
            }
        }
        // Said twice, it is not believed.
        let mut twice = HeaderMap::from_iter([(HOST, HeaderValue::from_static("a.org"))]);
        for origin in ["http://a.org", "https://evil.org"] {
            twice.append(ORIGIN, HeaderValue::from_static(origin));
        }
        assert!(none.check(&Method::POST, &Uri::from_static("/"), &twice, &open).is_err());
    }

    #[test]
    fn headers_are_let_in_by_name() {
        let any = CorsOrigins::new(&["*".to_owned()]).unwrap();
        let clients = "X-Medplum, cache-control,PRAGMA, x-requested-with, traceparent, tracestate, x-correlation-id, \
                       x-provenance, x-security-context, range, if-match, if-none-match, if-none-exist, \
                       if-modified-since, prefer, authorization, content-type";
        for (asked_for, wanted) in [
            (Some(clients), Some(clients.to_ascii_lowercase().replace(' ', "").replace(',', ", "))),
            (Some("x-evil, accept, cookie, *"), Some("accept".to_owned())),
            (Some("x-evil"), None),
            (Some(""), None),
            (None, None),
        ] {
            let mut headers = asked("https://a.org");
            if let Some(names) = asked_for {
                headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static(names));
            }
            let answer = any.preflight(&Method::OPTIONS, &headers).unwrap();
            let found =
                answer.headers().get(ACCESS_CONTROL_ALLOW_HEADERS).map(|names| names.to_str().unwrap());
            assert_eq!(found, wanted.as_deref());
        }
    }

    #[test]
    fn what_depends_on_the_origin_says_so() {
        let named = CorsOrigins::new(&["https://app.example.org".to_owned()]).unwrap();
        let varies = |origins: &CorsOrigins, headers: &HeaderMap| {
            let mut answer = reply::empty(StatusCode::OK);
            origins.mark(headers, &mut answer);
            answer.headers().get(VARY).is_some_and(|vary| vary == "origin")
        };
        assert!(varies(&named, &asked("https://app.example.org")));
        assert!(varies(&named, &asked("https://other.org")));
        assert!(varies(&named, &HeaderMap::new()));
        assert!(!varies(&CorsOrigins::default(), &asked("https://other.org")));
    }
}
