//! Whose requests a counter counts.

use std::net::{IpAddr, Ipv6Addr};

use sha2::{Digest, Sha256};

use super::mount::LimitedMount;

/// An address at a mount, or an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CounterKey {
    of: u8,
    who: [u8; 16],
}

/// Bits of an address of IPv6 that say whose it is: those after are the subscriber's to choose.
const NETWORK_BITS: u32 = 64;

/// What accounts are beside mounts.
const ACCOUNT: u8 = 0xff;

impl CounterKey {
    /// Of an address. Those of IPv6 are counted by their network of 64 bits.
    pub(super) fn address(mount: LimitedMount, address: IpAddr) -> CounterKey {
        let bits = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(_) => address.to_bits(),
                None => address.to_bits() & !(u128::MAX >> NETWORK_BITS),
            },
        };
        CounterKey { of: mount as u8, who: Ipv6Addr::from(bits).octets() }
    }

    /// Of an account, by its name.
    pub(super) fn account(name: &str) -> CounterKey {
        let mut who = [0; 16];
        for (to, from) in who.iter_mut().zip(Sha256::digest(name.as_bytes())) {
            *to = from;
        }
        CounterKey { of: ACCOUNT, who }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> [u8; 17] {
        let mut bytes = [self.of; 17];
        for (to, from) in bytes.iter_mut().skip(1).zip(self.who) {
            *to = from;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_by_who_has_them() {
        let key = |mount, address: &str| CounterKey::address(mount, address.parse().unwrap());
        let auth = |address| key(LimitedMount::Auth, address);
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(auth(one) == auth(other), same, "{one} {other}");
        }
        assert_ne!(auth("192.0.2.1"), key(LimitedMount::Api, "192.0.2.1"));
        assert_ne!(CounterKey::account("ada"), CounterKey::account("ada "));
        assert_eq!(auth("192.0.2.1").bytes()[13..], [192, 0, 2, 1]);
    }
}
