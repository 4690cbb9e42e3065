//! The settings of rate limits, and of the proxies whose word on addresses is believed.

use ipnet::IpNet;

use crate::outbound::network;
use crate::reader::Reader;
use crate::secret::Secret;

/// `rate_limits.*`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct RateLimits {
    pub enabled: bool,
    pub auth_per_minute: u32,
    pub api_per_minute: u32,
    pub fhir_per_minute: u32,
    pub other_per_minute: u32,
    pub networks: Vec<NetworkRate>,
    pub account_per_minute: u32,
    /// Names and figures.
    pub accounts: Vec<(String, u32)>,
    pub redis_url: Option<Secret>,
    pub redis_down: RedisDown,
}

/// `trusted_proxies`, `trusted_proxies_header`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Proxies {
    pub networks: Vec<IpNet>,
    pub header: ProxyHeader,
}

/// The figure of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkRate {
    /// Whose addresses.
    pub network: IpNet,
    /// Where; `None`: wherever there is a limit.
    pub mount: Option<RateMount>,
    /// 0: no limit.
    pub per_minute: u32,
}

/// What has a rate limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateMount {
    /// `/api/auth`
    Auth,
    /// The rest of `/api`, and `/v1`.
    Api,
    /// FHIR's bases.
    Fhir,
    /// Everything else.
    Other,
}

/// What becomes of requests while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisDown {
    /// Each process counts for itself.
    Local,
    /// They are refused.
    Refuse,
}

/// Where trusted proxies write the address of their client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded`
    Forwarded,
}

/// The largest figure.
const PER_MINUTE_MAX: u32 = 10_000_000;

impl RateLimits {
    pub(crate) fn read(reader: &mut Reader) -> RateLimits {
        let down = [("local", RedisDown::Local), ("refuse", RedisDown::Refuse)];
        RateLimits {
            enabled: reader.boolean("rate_limits.enabled"),
            auth_per_minute: figure(reader, "rate_limits.auth_per_minute"),
            api_per_minute: figure(reader, "rate_limits.api_per_minute"),
            fhir_per_minute: figure(reader, "rate_limits.fhir_per_minute"),
            other_per_minute: figure(reader, "rate_limits.other_per_minute"),
            networks: reader.list("rate_limits.networks", network_rate),
            account_per_minute: figure(reader, "rate_limits.account_per_minute"),
            accounts: reader.list("rate_limits.accounts", account_rate),
            redis_url: reader.secret("rate_limits.redis_url", redis_url).map(|(url, _)| Secret::new(url)),
            redis_down: reader.word("rate_limits.redis_down", &down, RedisDown::Local),
        }
    }
}

impl Proxies {
    pub(crate) fn read(reader: &mut Reader) -> Proxies {
        let headers =
            [("x-forwarded-for", ProxyHeader::XForwardedFor), ("forwarded", ProxyHeader::Forwarded)];
        Proxies {
            networks: reader.list("trusted_proxies", network),
            header: reader.word("trusted_proxies_header", &headers, ProxyHeader::XForwardedFor),
        }
    }
}

fn figure(reader: &mut Reader, key: &'static str) -> u32 {
    u32::try_from(reader.number(key, 0..=PER_MINUTE_MAX.into())).unwrap_or(PER_MINUTE_MAX)
}

fn per_minute(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|figure| *figure <= PER_MINUTE_MAX)
}

/// `10.20.0.0/16=6000`, or of one mount `10.20.0.0/16 auth=600`.
fn network_rate(text: &str) -> Result<NetworkRate, &'static str> {
    const WHY: &str = "is not a network and its requests a minute, like `10.20.0.0/16=6000`, nor of one mount (`auth`, \
                       `api`, `fhir`, `other`), like `10.20.0.0/16 auth=600`";
    let (whose, figure) = text.split_once('=').ok_or(WHY)?;
    let (whose, mount) = match whose.trim().split_once(' ') {
        None => (whose.trim(), None),
        Some((whose, mount)) => (whose, Some(rate_mount(mount.trim()).ok_or(WHY)?)),
    };
    let network = network(whose).map_err(|_| WHY)?;
    Ok(NetworkRate { network, mount, per_minute: per_minute(figure).ok_or(WHY)? })
}

fn rate_mount(word: &str) -> Option<RateMount> {
    Some(match word {
        "auth" => RateMount::Auth,
        "api" => RateMount::Api,
        "fhir" => RateMount::Fhir,
        "other" => RateMount::Other,
        _ => return None,
    })
}

/// `analyser=6000`. A name may have a `=` in it.
fn account_rate(text: &str) -> Result<(String, u32), &'static str> {
    let (name, figure) = text.rsplit_once('=').unwrap_or_default();
    match (name.trim(), per_minute(figure)) {
        (name, Some(figure)) if !name.is_empty() => Ok((name.to_owned(), figure)),
        _ => Err("is not a name and its requests a minute, like `analyser=6000`"),
    }
}

fn redis_url(text: &str) -> Result<(), &'static str> {
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
    let is = rest.is_some_and(|rest| !rest.is_empty());
    is.then_some(()).ok_or("the value is not a URL that starts with `redis://` or `rediss://`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_networks_and_accounts() {
        let rate = |network: &str, mount, per_minute| NetworkRate {
            network: network.parse().unwrap(),
            mount,
            per_minute,
        };
        for (text, wanted) in [
            ("10.20.0.0/16=6000", Some(rate("10.20.0.0/16", None, 6000))),
            ("10.20.0.7 = 0", Some(rate("10.20.0.7/32", None, 0))),
            ("2001:db8::/32  auth =60", Some(rate("2001:db8::/32", Some(RateMount::Auth), 60))),
            ("10.20.0.0/16", None),
            ("10.20.0.0/16=", None),
            ("10.20.0.0/16=-1", None),
            ("10.20.0.0/16=10000001", None),
            ("10.20.0.0/16 login=60", None),
            ("clinic=60", None),
            ("=60", None),
        ] {
            assert_eq!(network_rate(text).ok(), wanted, "{text}");
        }
        for (text, wanted) in [
            ("analyser=6000", Some(("analyser", 6000))),
            ("client/a=b = 7", Some(("client/a=b", 7))),
            ("analyser", None),
            ("=5", None),
            ("a=five", None),
        ] {
            let read = account_rate(text).ok();
            assert_eq!(read.as_ref().map(|(name, figure)| (&**name, *figure)), wanted, "{text}");
        }
        assert!(redis_url("redis://localhost").is_ok() && redis_url("rediss://:word@r:6380/1").is_ok());
        assert!(redis_url("http://localhost").is_err() && redis_url("redis://").is_err());
    }
}
