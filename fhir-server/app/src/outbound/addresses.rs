//! Which addresses may be called, and names resolved to those alone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

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

/// Which addresses may be called.
pub(super) struct AllowedAddresses {
    pub(super) networks: Vec<IpNet>,
}

impl AllowedAddresses {
    pub(super) fn reaches(&self, address: IpAddr, only_networks: bool) -> bool {
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
pub(super) struct Resolver {
    pub(super) allowed: Arc<AllowedAddresses>,
    pub(super) only_networks: bool,
}

/// No address of a name may be called.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no address that may be called")]
pub(super) struct NotReachable;

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
