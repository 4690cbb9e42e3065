//! Calls to other systems: the one way out of the server over HTTP.
//!
//! A URL may come from whoever may store a resource (a subscription's endpoint, a payer's callback), and an answer may carry
//! what only this machine can see. So a call reaches public addresses by HTTPS, and others only where the operator names
//! their network (`outbound.networks`). A name is resolved once, the addresses it leads to are checked, and the connection
//! goes to one of those: a name that leads elsewhere when it is asked again changes nothing.

mod addresses;

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use ipnet::IpNet;
use reqwest::header::{self, HeaderMap, HeaderName, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};
use url::Host;

use self::addresses::{AllowedAddresses, NotReachable, Resolver};

/// How long a call may take, and how much may come back.
#[derive(Debug, Clone, Copy)]
pub struct OutboundLimits {
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest time of the whole call.
    pub timeout: Duration,
    /// Largest body of an answer, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for OutboundLimits {
    fn default() -> OutboundLimits {
        OutboundLimits {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            answer_bytes_max: 16 << 20,
        }
    }
}

/// Headers that the client writes itself: whom a request is meant for and where it ends is not the caller's to say.
const OWN: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];

/// A call to another system.
#[derive(Clone, Default)]
pub struct OutboundRequest {
    /// `GET`, `POST` ..
    pub method: Method,
    /// Where to: absolute, `https:`, or `http:` within the operator's networks.
    pub url: String,
    /// Headers beside those of every call.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Vec<u8>,
}

/// Without URL, headers and body, which can name a patient or hold a secret.
impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What the other system answered, whatever its status. A redirection is an answer: it is not followed, as it could lead
/// anywhere.
#[derive(Clone)]
pub struct OutboundAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

/// Without headers and body, as of requests.
impl fmt::Debug for OutboundAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl OutboundAnswer {
    /// Where a redirection leads; calling there is another call.
    pub fn location(&self) -> Option<&str> {
        self.headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .filter(|_| self.status.is_redirection())
    }
}

/// Calls other systems.
#[derive(Clone)]
pub struct OutboundClient {
    /// For `https:`, to public addresses and the operator's networks.
    encrypted: Client,
    /// For `http:`, to the operator's networks alone.
    plain: Client,
    allowed: Arc<AllowedAddresses>,
    limits: OutboundLimits,
}

impl fmt::Debug for OutboundClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutboundClient")
    }
}

impl OutboundClient {
    /// A client that reaches public addresses, and all addresses of some networks.
    ///
    /// # Errors
    ///
    /// When the machine's certificates cannot be read.
    pub fn new(networks: Vec<IpNet>, limits: OutboundLimits) -> Result<OutboundClient> {
        // Somebody else in this process may have chosen a provider; then that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let allowed = Arc::new(AllowedAddresses { networks });
        let build = |only_networks| {
            Client::builder()
                .dns_resolver(Arc::new(Resolver { allowed: allowed.clone(), only_networks }))
                .https_only(!only_networks)
                .connect_timeout(limits.connect_timeout)
                .timeout(limits.timeout)
                .redirect(Policy::none())
                // A proxy would resolve the name itself.
                .no_proxy()
                .user_agent(concat!("cari/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(Error::internal)
        };
        Ok(OutboundClient { encrypted: build(false)?, plain: build(true)?, allowed, limits })
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// `Invalid` when the URL is not one to call or a header is the client's own, `Forbidden` when it leads where no call may go, `Timeout` when the answer is
    /// not there in time, `TooLarge` when it has too many bytes, `Unavailable` when no answer came. None says more of the URL
    /// than its host: its path and query can name a patient.
    pub async fn send(&self, request: OutboundRequest) -> Result<OutboundAnswer> {
        let url =
            Url::parse(&request.url).map_err(|_| Error::invalid("an outbound call to what is no URL"))?;
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(Error::invalid("an outbound call needs a URL that begins with https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid("an outbound call's URL may hold no user or password"));
        }
        if let Some(own) = OWN.iter().find(|own| request.headers.contains_key(*own)) {
            return Err(Error::invalid(format!("an outbound call may not set the header {own}")));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        // A name is checked when it is resolved; an address is not resolved.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::from(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(Error::invalid("an outbound call's URL names no host")),
        };
        if address.is_some_and(|address| !self.allowed.reaches(address, is_plain)) {
            return Err(forbidden(&host, is_plain));
        }
        let client = if is_plain { &self.plain } else { &self.encrypted };
        let OutboundRequest { method, headers, body, .. } = request;
        let sent = client.request(method, url).headers(headers).body(body).send().await;
        let mut answer = sent.map_err(|error| classify(error, &host, is_plain))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| classify(error, &host, is_plain))? {
            if body.len() + chunk.len() > self.limits.answer_bytes_max {
                let max = self.limits.answer_bytes_max;
                return Err(Error::new(
                    Kind::TooLarge,
                    format!("{host} answered with more than {max} bytes"),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(OutboundAnswer { status, headers, body })
    }
}

fn forbidden(host: &str, is_plain: bool) -> Error {
    let text = match is_plain {
        true => format!(
            "http://{host} may not be called: without encryption only the networks of `outbound.networks` are"
        ),
        false => {
            format!("https://{host} may not be called: it is no public address, nor of `outbound.networks`")
        }
    };
    Error::new(Kind::Forbidden, text)
}

fn classify(error: reqwest::Error, host: &str, is_plain: bool) -> Error {
    let error = error.without_url();
    let mut cause = error.source();
    while let Some(source) = cause {
        if source.is::<NotReachable>() {
            return forbidden(host, is_plain);
        }
        cause = source.source();
    }
    match error.is_timeout() {
        true => Error::new(Kind::Timeout, format!("{host} did not answer in time")).because(error),
        false => Error::new(Kind::Unavailable, format!("{host} did not answer")).because(error),
    }
}
