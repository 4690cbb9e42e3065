//! Web pages of other origins that may call from a browser: <https://fetch.spec.whatwg.org/#http-cors-protocol>

use fhir_model::{Error, Kind};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue,
    InvalidHeaderValue, ORIGIN, VARY,
};
use hyper::{Method, StatusCode};

use crate::reply::{self, Answer};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// Headers that a page may send: those the server reads, and those that clients and proxies send along.
const REQUEST_HEADERS: [&str; 26] = [
    "accept",
    "accept-language",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-type",
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
    "x-provenance",
    "x-request-id",
    "x-requested-with",
    "x-security-context",
];

/// Headers of answers that a page may read beside those the browser shows to all.
const EXPOSED_HEADERS: &str = "accept-ranges, allow, content-disposition, content-encoding, content-location, \
                               content-range, date, etag, last-modified, location, retry-after, www-authenticate, \
                               x-request-id, x-security-context";

/// The origins that are let in; none unless they are named.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    any: bool,
    named: Vec<HeaderValue>,
}

/// An origin that is let in.
struct Allowed {
    origin: HeaderValue,
    /// It may send cookies and certificates: only one that is named, never everybody.
    credentials: bool,
}

impl Origins {
    /// `*` for all, or origins such as `https://app.example.org`, which the settings have checked.
    ///
    /// # Errors
    /// When an origin cannot stand in a header.
    pub fn new(list: &[String]) -> Result<Origins, InvalidHeaderValue> {
        let named = list.iter().filter(|one| *one != "*").map(|one| HeaderValue::from_str(one));
        Ok(Origins { any: list.iter().any(|one| one == "*"), named: named.collect::<Result<_, _>>()? })
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

    fn allowed(&self, headers: &HeaderMap) -> Option<Allowed> {
        let origin = headers.get(ORIGIN)?;
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
        let named = Origins::new(&[app.to_owned()]).unwrap();
        let any = Origins::new(&["*".to_owned()]).unwrap();
        let both = Origins::new(&["*".to_owned(), app.to_owned()]).unwrap();
        let none = Origins::default();
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

    #[test]
    fn headers_are_let_in_by_name() {
        let any = Origins::new(&["*".to_owned()]).unwrap();
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
        let named = Origins::new(&["https://app.example.org".to_owned()]).unwrap();
        let varies = |origins: &Origins, headers: &HeaderMap| {
            let mut answer = reply::empty(StatusCode::OK);
            origins.mark(headers, &mut answer);
            answer.headers().get(VARY).is_some_and(|vary| vary == "origin")
        };
        assert!(varies(&named, &asked("https://app.example.org")));
        assert!(varies(&named, &asked("https://other.org")));
        assert!(varies(&named, &HeaderMap::new()));
        assert!(!varies(&Origins::default(), &asked("https://other.org")));
    }
}
