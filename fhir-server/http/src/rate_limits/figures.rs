//! How many requests a minute whom is allowed, from the settings.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::mount::LimitedMount;

/// The settings of rate limits. The default limits nothing. Everywhere 0 requests a minute means no limit.
#[derive(Debug, Clone, Default)]
pub struct RateLimitOptions {
    /// Of an address, by mount: `auth`, `api`, `fhir`, `other`.
    pub per_minute: MountFigures,
    /// Other figures for addresses of these networks.
    pub networks: Vec<NetworkLimit>,
    /// Of an account or client after it was authenticated.
    pub account_per_minute: u32,
    /// Other figures for these accounts and clients.
    pub accounts: HashMap<String, u32>,
    /// Where counters are shared with other processes.
    pub redis: Option<RedisOptions>,
}

/// A figure for each mount.
#[derive(Debug, Clone, Copy, Default)]
pub struct MountFigures {
    /// `/api/auth`
    pub auth: u32,
    /// The rest of `/api`, and `/v1`.
    pub api: u32,
    /// FHIR's bases.
    pub fhir: u32,
    /// Everything else.
    pub other: u32,
}

/// The figure of a network.
#[derive(Debug, Clone, Copy)]
pub struct NetworkLimit {
    /// Whose addresses.
    pub network: IpNet,
    /// Where; `None`: wherever there is a limit.
    pub mount: Option<LimitedMount>,
    /// How many requests of each address.
    pub per_minute: u32,
}

/// Counters that several processes share.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://host:port/database`, or `rediss://` for TLS. It may hold a password.
    pub url: String,
    /// Whether requests are refused while Redis does not answer. Otherwise each process counts for itself then.
    pub is_required: bool,
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisOptions").field("is_required", &self.is_required).finish_non_exhaustive()
    }
}

impl MountFigures {
    fn at(&self, mount: LimitedMount) -> u32 {
        match mount {
            LimitedMount::Auth => self.auth,
            LimitedMount::Api => self.api,
            LimitedMount::Fhir => self.fhir,
            LimitedMount::Other => self.other,
        }
    }
}

/// The same, as it is asked for.
#[derive(Debug)]
pub(super) struct Figures {
    per_minute: MountFigures,
    networks: Vec<NetworkLimit>,
    account_per_minute: u32,
    accounts: HashMap<String, u32>,
    /// Mounts that have a limit for anybody.
    limited: [bool; LimitedMount::ALL.len()],
}

impl Figures {
    pub(super) fn new(options: RateLimitOptions) -> Figures {
        let RateLimitOptions { per_minute, mut networks, account_per_minute, accounts, redis: _ } = options;
        // The longest prefix says most, and of two the one that names the mount.
        networks.sort_by_key(|limit| std::cmp::Reverse((limit.network.prefix_len(), limit.mount.is_some())));
        let limited = LimitedMount::ALL.map(|mount| {
            let is_named = |limit: &NetworkLimit| limit.mount == Some(mount) && limit.per_minute > 0;
            per_minute.at(mount) > 0 || networks.iter().any(is_named)
        });
        Figures { per_minute, networks, account_per_minute, accounts, limited }
    }

    /// The mount of a path where it has a limit for anybody.
    pub(super) fn limited(&self, path: &str) -> Option<LimitedMount> {
        let [auth, api, fhir, other] = self.limited;
        // What most requests ask for, and is not limited as a rule, costs two comparisons.
        let is_possible =
            fhir || other || ((auth || api) && (path.starts_with("/api") || path.starts_with("/v1")));
        if !is_possible {
            return None;
        }
        let mount = LimitedMount::of(path);
        self.limited.get(mount as usize).is_some_and(|is| *is).then_some(mount)
    }

    /// Of an address at a mount; `None` where it has no limit.
    pub(super) fn of_address(&self, mount: LimitedMount, address: IpAddr) -> Option<u32> {
        let everywhere = self.per_minute.at(mount);
        let named = self.networks.iter().find(|limit| {
            // A figure that names no mount makes no limit where there is none.
            let is_here = limit.mount.map_or(everywhere > 0, |named| named == mount);
            is_here && limit.network.contains(&address)
        });
        Some(named.map_or(everywhere, |limit| limit.per_minute)).filter(|figure| *figure > 0)
    }

    /// Of an account; `None` where it has no limit.
    pub(super) fn of_account(&self, name: &str) -> Option<u32> {
        let named = self.accounts.get(name).copied();
        Some(named.unwrap_or(self.account_per_minute)).filter(|figure| *figure > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_network_says_the_figure() {
        let limit = |network: &str, mount, per_minute| NetworkLimit {
            network: network.parse().unwrap(),
            mount,
            per_minute,
        };
        let figures = Figures::new(RateLimitOptions {
            per_minute: MountFigures { auth: 300, api: 600, ..MountFigures::default() },
            networks: vec![
                limit("10.0.0.0/8", None, 1000),
                limit("10.20.0.0/16", None, 6000),
                limit("10.20.0.0/16", Some(LimitedMount::Auth), 500),
                limit("10.20.7.7/32", None, 0),
                limit("2001:db8::/32", None, 700),
                limit("203.0.113.0/24", Some(LimitedMount::Fhir), 60),
            ],
            account_per_minute: 100,
            accounts: HashMap::from([("analyser".to_owned(), 9000), ("backup".to_owned(), 0)]),
            redis: None,
        });
        use LimitedMount::{Api, Auth, Fhir, Other};
        for (address, mount, wanted) in [
            ("192.0.2.1", Auth, 300),
            ("192.0.2.1", Api, 600),
            ("192.0.2.1", Fhir, 0),
            ("10.1.1.1", Api, 1000),
            ("10.20.1.1", Api, 6000),
            ("10.20.1.1", Auth, 500),
            ("10.20.1.1", Fhir, 0),
            ("10.20.7.7", Auth, 0),
            ("10.20.7.7", Api, 0),
            ("2001:db8::1", Auth, 700),
            ("203.0.113.9", Fhir, 60),
            ("203.0.113.9", Api, 600),
        ] {
            let found = figures.of_address(mount, address.parse().unwrap());
            assert_eq!(found.unwrap_or(0), wanted, "{address} {mount:?}");
        }
        assert_eq!(figures.limited("/fhir/R4/Patient"), Some(Fhir), "for somebody");
        assert_eq!(figures.limited("/admin/dlq"), None);
        assert_eq!(figures.limited, [true, true, true, false]);
        assert_eq!(LimitedMount::ALL, [Auth, Api, Fhir, Other]);
        for (name, wanted) in [("ada", Some(100)), ("analyser", Some(9000)), ("backup", None)] {
            assert_eq!(figures.of_account(name), wanted, "{name}");
        }
        assert_eq!(Figures::new(RateLimitOptions::default()).limited("/api/auth/login"), None);
    }
}
