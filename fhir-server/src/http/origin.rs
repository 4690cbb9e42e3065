//! Web pages of other origins that may call from a browser: <https://fetch.spec.whatwg.org/#http-cors-protocol>

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, InvalidHeaderValue, ORIGIN, VARY,
};
use hyper::{Method, StatusCode};

use crate::reply::{self, Answer};

/// The origins that are let in; none unless they are named. Credentials are never asked for: tokens travel in a header
/// that the page itself sets.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    any: bool,
    named: Vec<HeaderValue>,
}

impl Origins {
    /// `*` for all, or origins such as `https://app.example.org`, which the settings have checked.
    pub fn new(list: &[String]) -> Result<Origins, InvalidHeaderValue> {
        let named = list.iter().filter(|one| *one != "*").map(|one| HeaderValue::from_str(one));
        Ok(Origins { any: list.iter().any(|one| one == "*"), named: named.collect::<Result<_, _>>()? })
    }

    /// The answer to a browser that asks first.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Answer> {
        let asks = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let origin = self.allowed(headers).filter(|_| asks)?;
        let mut answer = reply::empty(StatusCode::NO_CONTENT);
        let out = answer.headers_mut();
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        out.insert(VARY, HeaderValue::from_static("origin"));
        let methods = "GET, HEAD, POST, PUT, PATCH, DELETE";
        out.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        let names = "accept, authorization, content-type, if-match, if-modified-since, if-none-exist, if-none-match, \
                     prefer, x-request-id";
        out.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(names));
        out.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        Some(answer)
    }

    /// Lets the page read the answer.
    pub(crate) fn mark(&self, asked: &HeaderMap, answer: &mut Answer) {
        let Some(origin) = self.allowed(asked) else { return };
        let out = answer.headers_mut();
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        out.append(VARY, HeaderValue::from_static("origin"));
        let names = "etag, last-modified, location, content-location, x-request-id";
        out.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(names));
    }

    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if !self.any && self.named.is_empty() {
            return None;
        }
        let origin = headers.get(ORIGIN)?;
        (self.any || self.named.contains(origin)).then(|| origin.clone())
    }
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
        let named = Origins::new(&["https://app.example.org".to_owned()]).unwrap();
        let any = Origins::new(&["*".to_owned()]).unwrap();
        let none = Origins::default();
        for (origins, origin, wanted) in [
            (&named, "https://app.example.org", true),
            (&named, "https://app.example.org.evil.org", false),
            (&named, "http://app.example.org", false),
            (&any, "https://evil.org", true),
            (&none, "https://app.example.org", false),
        ] {
            assert_eq!(origins.preflight(&Method::OPTIONS, &asked(origin)).is_some(), wanted, "{origin}");
            let mut answer = reply::empty(StatusCode::OK);
            origins.mark(&asked(origin), &mut answer);
            assert_eq!(answer.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), wanted, "{origin}");
        }
        assert!(any.preflight(&Method::GET, &asked("https://a.org")).is_none());
    }
}
