//! Calls to other systems: the one way out of the server over HTTP.
//!
//! A URL may come from whoever may store a resource (a subscription's endpoint, a payer's callback), and an answer may carry
//! what only this machine can see. So a call reaches public addresses by HTTPS, and others only where the operator names
//! their network (`outbound.networks`). A name is resolved once, the addresses it leads to are checked, and the connection
//! goes to one of those: a name that leads elsewhere when it is asked again changes nothing.

use std::error::Error as _;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap, HeaderName, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};
use url::Host;

/// Networks that no call reaches unless they are named: this machine, private and shared networks, link-local addresses (where
/// clouds keep credentials), documentation, multicast, and addresses that lead to others of version 4. Where a site has public
/// addresses inside its firewall, as with version 6, those are public here: a call there is encrypted, and to a name for which
/// its answerer has a certificate.
///
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
const SPECIAL: [&str; 18] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
];

/// All public addresses of version 6 are of this network so far.
const GLOBAL_UNICAST: &str = "2000::/3";

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
    allowed: Arc<Allowed>,
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
        let allowed = Arc::new(Allowed { networks });
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

/// Which addresses may be called.
struct Allowed {
    networks: Vec<IpNet>,
}

impl Allowed {
    fn reaches(&self, address: IpAddr, only_networks: bool) -> bool {
        // `::ffff:127.0.0.1` is 127.0.0.1.
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
            || (!only_networks && is_public(address))
    }
}

fn is_public(address: IpAddr) -> bool {
    let within = |network: &str| network.parse().is_ok_and(|network: IpNet| network.contains(&address));
    !SPECIAL.iter().any(|network| within(network)) && (address.is_ipv4() || within(GLOBAL_UNICAST))
}

/// Resolves names to the addresses that may be called.
struct Resolver {
    allowed: Arc<Allowed>,
    only_networks: bool,
}

/// No address of a name may be called.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no address that may be called")]
struct NotReachable;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, only_networks) = (self.allowed.clone(), self.only_networks);
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = all.filter(|address| allowed.reaches(address.ip(), only_networks));
            let allowed: Vec<SocketAddr> = allowed.collect();
            match allowed.is_empty() {
                true => Err(NotReachable.into()),
                false => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        let rows = [
            ("1.1.1.1", true),
            ("196.201.214.1", true),
            ("192.0.1.1", true),
            ("172.32.0.1", true),
            ("100.128.0.1", true),
            ("2606:4700::1111", true),
            ("2c0f:fe08::1", true),
            ("::ffff:1.1.1.1", true),
            ("0.0.0.0", false),
            ("10.255.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("224.0.0.1", false),
            ("239.1.1.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("2001:0:1::", false),
            ("::7f00:1", false),
        ];
        for (address, public) in rows {
            assert_eq!(is_public(address.parse::<IpAddr>().unwrap().to_canonical()), public, "{address}");
        }
        assert!(SPECIAL.iter().chain([&GLOBAL_UNICAST]).all(|network| network.parse::<IpNet>().is_ok()));
    }
}
