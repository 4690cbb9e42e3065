//! Rate limits and proxies, from the settings.

use fhir_config::{Config, NetworkRate, ProxyHeader, RateMount, RedisDown};
use fhir_http::{self as http, LimitedMount, MountFigures, NetworkLimit, RateLimitOptions, RedisOptions};

/// How many requests a minute are answered.
pub(crate) fn options(config: &Config) -> RateLimitOptions {
    let said = &config.rate_limits;
    if !said.enabled {
        return RateLimitOptions::default();
    }
    let redis = said.redis_url.as_ref().map(|url| RedisOptions {
        url: url.expose().to_owned(),
        is_required: said.redis_down == RedisDown::Refuse,
    });
    RateLimitOptions {
        per_minute: MountFigures {
            auth: said.auth_per_minute,
            api: said.api_per_minute,
            fhir: said.fhir_per_minute,
            other: said.other_per_minute,
        },
        networks: said.networks.iter().map(network).collect(),
        account_per_minute: said.account_per_minute,
        accounts: said.accounts.iter().cloned().collect(),
        redis,
    }
}

/// Whose word on the address of a client is believed.
pub(crate) fn proxies(config: &Config) -> http::TrustedProxies {
    let header = match config.proxies.header {
        ProxyHeader::XForwardedFor => http::ProxyHeader::XForwardedFor,
        ProxyHeader::Forwarded => http::ProxyHeader::Forwarded,
    };
    http::TrustedProxies::new(config.proxies.networks.clone(), header)
}

fn network(rate: &NetworkRate) -> NetworkLimit {
    let mount = rate.mount.map(|mount| match mount {
        RateMount::Auth => LimitedMount::Auth,
        RateMount::Api => LimitedMount::Api,
        RateMount::Fhir => LimitedMount::Fhir,
        RateMount::Other => LimitedMount::Other,
    });
    NetworkLimit { network: rate.network, mount, per_minute: rate.per_minute }
}
