//! A running server, over HTTP.

use std::time::Duration;

use anyhow::{Context, bail};
use fhir_model::json::{Doc, JsonLimits};
use fhir_model::{Error, Kind, Result};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::outcome::outcome_text;

/// The environment variable with a token, which on the command line everybody on the machine could read.
pub const TOKEN: &str = "CARI_LOAD_TOKEN";

/// How often a Bundle is sent while the server does not take it; with the pauses between, about a minute.
const ATTEMPTS_MAX: u32 = 9;

/// The longest pause between two attempts, whatever the server asks for.
const PAUSE_MAX: Duration = Duration::from_secs(15);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may be silent: a large transaction takes a while.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// The paths at which a server is looked for below the URL that was given.
const PATHS: [&str; 2] = ["", "/fhir/R4"];

const FHIR_JSON: &str = "application/fhir+json";

/// A server that takes Bundles.
#[derive(Debug)]
pub struct Remote {
    client: Client,
    base: Url,
}

impl Remote {
    /// Looks for the server and asks what it is. `headers` are `Name: value`; a token in [`TOKEN`] becomes a header, too.
    ///
    /// # Errors
    ///
    /// When the URL or a header is not one, or no FHIR R4 server answers there.
    pub async fn open(url: &str, headers: &[String], token: Option<&str>) -> anyhow::Result<Remote> {
        let headers = header_map(headers, token)?;
        let base =
            Url::parse(url.trim_end_matches('/')).with_context(|| format!("--to: `{url}` is no URL"))?;
        if !matches!(base.scheme(), "http" | "https") || base.query().is_some() || base.fragment().is_some() {
            bail!("--to: `{url}` is not the base URL of a server, like http://127.0.0.1:8080/fhir/R4");
        }
        if !base.username().is_empty() || base.password().is_some() {
            bail!("--to: give credentials by --header or {TOKEN}, not in the URL");
        }
        // Somebody else in this process may have chosen a provider; then that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // Another server must get neither records nor tokens.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("cari-load/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let mut refusals = Vec::new();
        for path in PATHS {
            let base = Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/')))?;
            let remote = Remote { client: client.clone(), base };
            match remote.identify().await {
                Ok(()) => {
                    tracing::info!("loading into the server at {}", remote.base);
                    return Ok(remote);
                }
                Err(why) => refusals.push(why),
            }
        }
        bail!("no FHIR R4 server answers at {url}: {}", refusals.first().map_or("", String::as_str))
    }

    /// Whether a FHIR R4 server is here.
    async fn identify(&self) -> std::result::Result<(), String> {
        let request = self.client.get(self.below("metadata")).header(ACCEPT, FHIR_JSON);
        let response = request.send().await.map_err(|error| chain(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(format!("it redirects ({status}); give the URL that it leads to"));
        }
        let body = body(response).await.map_err(|error| error.text)?;
        let statement = Doc::parse(body, JsonLimits::NONE).map_err(|_| format!("{status}, and no JSON"))?;
        let root = statement.root();
        match root.get_str("fhirVersion") {
            Some(version) if version.starts_with("4.0") => Ok(()),
            Some(version) => Err(format!("the server speaks FHIR {version}")),
            None => {
                Err(outcome_text(root).unwrap_or_else(|| format!("{status}, and no CapabilityStatement")))
            }
        }
    }

    fn below(&self, path: &str) -> String {
        format!("{}/{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Sends a Bundle and gives back the answer. While the server is busy or away it is tried again; when it is unknown
    /// whether the server has done it, only what `is_repeatable`.
    pub(super) async fn send(&self, bundle: String, is_repeatable: bool) -> Result<Doc> {
        let bundle = bytes::Bytes::from(bundle);
        let mut attempt = 1;
        loop {
            let request = self
                .client
                .post(self.base.clone())
                .header(CONTENT_TYPE, FHIR_JSON)
                .header(ACCEPT, FHIR_JSON)
                .header("prefer", "return=minimal")
                .body(bundle.clone());
            let failure = match once(request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let may_try = failure.is_untouched || (is_repeatable && failure.is_passing);
            if !may_try || attempt >= ATTEMPTS_MAX {
                return Err(failure.error);
            }
            let pause = failure.retry_after.unwrap_or(Duration::from_millis(100 << attempt)).min(PAUSE_MAX);
            tracing::debug!("attempt {attempt}: {}; again in {pause:?}", failure.error);
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// Why a Bundle was not taken.
struct Failure {
    error: Error,
    /// It may be taken later.
    is_passing: bool,
    /// The server has certainly not done it.
    is_untouched: bool,
    retry_after: Option<Duration>,
}

async fn once(request: RequestBuilder) -> std::result::Result<Doc, Failure> {
    let response = request.send().await.map_err(|error| Failure {
        is_passing: error.is_connect() || error.is_timeout() || error.is_request() || error.is_body(),
        is_untouched: error.is_connect(),
        retry_after: None,
        error: Error::new(Kind::Unavailable, format!("the server does not answer: {}", chain(&error))),
    })?;
    let status = response.status();
    let retry_after = seconds(response.headers());
    let lost = |error: Error| Failure { error, is_passing: true, is_untouched: false, retry_after: None };
    let body = body(response).await.map_err(lost)?;
    let doc = Doc::parse(body, JsonLimits::NONE);
    match doc {
        Ok(doc) if status.is_success() => Ok(doc),
        doc => {
            let said = doc.ok().and_then(|doc| outcome_text(doc.root()));
            let text = said.unwrap_or_else(|| format!("the server answered {status}"));
            Err(Failure {
                error: Error::new(kind(status), text),
                is_passing: matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504),
                is_untouched: matches!(status.as_u16(), 429 | 503),
                retry_after,
            })
        }
    }
}

/// The body, as far as it is not endless.
async fn body(mut response: Response) -> Result<Vec<u8>> {
    let lost = |error: reqwest::Error| {
        Error::new(Kind::Unavailable, format!("the server's answer was cut off: {}", chain(&error)))
    };
    let mut all = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if all.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::new(
                Kind::TooLarge,
                format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"),
            ));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// What the status means for what is loaded.
fn kind(status: StatusCode) -> Kind {
    match status.as_u16() {
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        409 => Kind::Conflict,
        412 => Kind::Precondition,
        413 => Kind::TooLarge,
        429 | 502..=504 => Kind::Unavailable,
        500.. => Kind::Internal,
        _ => Kind::Invalid,
    }
}

fn seconds(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn header_map(headers: &[String], token: Option<&str>) -> anyhow::Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for header in headers {
        // What is wrong is not repeated: it may be a secret.
        let (name, value) = header.split_once(':').context("--header is `Name: value`")?;
        let name = HeaderName::try_from(name.trim()).context("--header: the name is not one")?;
        let value = HeaderValue::try_from(value.trim()).context("--header: the value is not one")?;
        map.append(name, sensitive(value));
    }
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        map.insert(AUTHORIZATION, sensitive(value.with_context(|| format!("{TOKEN} is not a token"))?));
    }
    Ok(map)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// An error of the client with its causes, of which the last says most; without the URL, which may hold a password.
fn chain(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_kept_secret() {
        let map = header_map(&["X-A: b:c".to_owned()], Some("secret")).unwrap();
        assert_eq!(
            (map["x-a"].to_str().unwrap(), map["authorization"].to_str().unwrap()),
            ("b:c", "Bearer secret")
        );
        assert!(!format!("{map:?}").contains("secret"));
        for bad in ["no colon", "bad name: x", "a: \u{1}"] {
            let refused = header_map(&[bad.to_owned()], None).unwrap_err();
            assert!(refused.to_string().starts_with("--header"), "{bad}: {refused}");
        }
    }
}
