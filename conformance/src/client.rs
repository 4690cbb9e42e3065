//! A plain HTTP client: sends what a page says and nothing else (no `Accept`, no redirects, no retries).

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::{Agent, http};

/// No answer of a FHIR server that the suite asks for is longer.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A request as it goes out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Below the base (`/Patient/1`) or absolute.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The server under test.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    agent: Agent,
    /// Without a slash at its end.
    pub(crate) base: String,
}

impl Request {
    pub(crate) fn new(method: &str, target: impl Into<String>) -> Request {
        Request { method: method.into(), target: target.into(), ..Request::default() }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub(crate) fn json(mut self, body: &Value) -> Request {
        self.body = body.to_string().into_bytes();
        self.header("Content-Type", "application/fhir+json")
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, when it is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Subject {
    pub(crate) fn new(base: &str) -> Subject {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent("fhir-conformance")
            .accept("")
            .accept_encoding("")
            .timeout_global(Some(Duration::from_secs(120)))
            .max_idle_connections_per_host(16)
            .build();
        Subject { agent: config.into(), base: base.trim_end_matches('/').to_owned() }
    }

    /// `http://host:port`, where `/health` and its like live.
    pub(crate) fn origin(&self) -> &str {
        let after_scheme = self.base.find("://").map_or(0, |at| at + 3);
        let end = self.base.get(after_scheme..).and_then(|rest| rest.find('/'));
        end.and_then(|end| self.base.get(..after_scheme + end)).unwrap_or(&self.base)
    }

    pub(crate) fn url(&self, target: &str) -> String {
        if target.starts_with("http://") || target.starts_with("https://") {
            target.to_owned()
        } else {
            format!("{}{target}", self.base)
        }
    }

    pub(crate) fn send(&self, request: &Request) -> Result<Answer> {
        let url = self.url(&request.target);
        let mut builder = http::Request::builder().method(request.method.as_str()).uri(&url);
        for (name, value) in &request.headers {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let context = || format!("{} {url}", request.method);
        let answer = if request.body.is_empty() && !matches!(&*request.method, "POST" | "PUT" | "PATCH") {
            self.agent.run(builder.body(()).with_context(context)?)
        } else {
            self.agent.run(builder.body(request.body.as_slice()).with_context(context)?)
        };
        let mut answer = answer.with_context(context)?;
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .with_context(|| format!("the body of the answer to {} {url}", request.method))?;
        let headers = answer.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into()))
            .collect();
        Ok(Answer { status: answer.status().as_u16(), headers, body })
    }
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn the_origin_is_the_url_without_its_path() {
        for base in ["http://h:1/fhir/R4", "http://h:1/", "http://h:1"] {
            assert_eq!(Subject::new(base).origin(), "http://h:1", "{base}");
        }
    }
}
