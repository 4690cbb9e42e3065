//! The address of a client, where proxies stand before the server.
//!
//! Whoever connects can write `X-Forwarded-For`; only what a trusted proxy adds to it is true. So it is read from its end: each address there
//! was written by the one after it, the last by the peer of the connection. The first that is no trusted proxy's is the client's, and what
//! stands before it may be invented. <https://www.rfc-editor.org/rfc/rfc7239#section-8.1>

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

/// The networks of proxies that are believed, and where they write. By default there are none.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ProxyHeader,
}

/// The header that proxies write. One alone is believed: a proxy that writes one passes the other on as its client sent it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For: 192.0.2.1, 10.0.0.2`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1;proto=https, for="[2001:db8::1]"`: <https://www.rfc-editor.org/rfc/rfc7239>
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies in a row.
const PROXIES_MAX: usize = 32;

impl TrustedProxies {
    /// Proxies with addresses of these networks, which write this header.
    pub fn new(networks: Vec<IpNet>, header: ProxyHeader) -> TrustedProxies {
        TrustedProxies { networks, header }
    }

    /// The address of the client behind `peer`, who connected: the last in the header that is no trusted proxy's, or the first when all
    /// are. Where something else stands than an address, the proxy that wrote it is taken for the client.
    pub(crate) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let name = match self.header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => FORWARDED,
        };
        let lines = headers.get_all(name);
        // What is no text has no address in it, and ends the search.
        let texts = lines.iter().rev().map(|line| line.to_str().unwrap_or("?"));
        let mut nearest = peer;
        for element in texts.flat_map(|text| text.rsplit(',')).take(PROXIES_MAX) {
            let address = match self.header {
                ProxyHeader::XForwardedFor => node(element),
                ProxyHeader::Forwarded => forwarded_for(element).and_then(node),
            };
            match address {
                Some(address) if self.trusts(address) => nearest = address,
                Some(address) => return address,
                None => break,
            }
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

/// The node of `for=` in an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        name.eq_ignore_ascii_case("for").then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(proxies: &TrustedProxies, peer: &str, name: &'static str, lines: &[&str]) -> String {
        let lines = lines.iter().map(|line| (HeaderName::from_static(name), line.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        proxies.address(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.80/32"].map(|network| network.parse().unwrap());
        let proxies = TrustedProxies::new(networks.to_vec(), ProxyHeader::XForwardedFor);
        let long = "10.0.0.9,".repeat(100) + "10.0.0.8";
        for (peer, lines, wanted) in [
            ("203.0.113.5", &[] as &[&str], "203.0.113.5"),
            ("203.0.113.5", &["192.0.2.1"], "203.0.113.5"),
            ("::ffff:203.0.113.5", &["192.0.2.1"], "203.0.113.5"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
            // What the client wrote itself stands before what the proxy added.
            ("10.0.0.1", &["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.9", "192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1, 10.0.0.2,fd00::7"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1", "10.0.0.2", "192.0.2.80"], "192.0.2.1"),
            ("fd00::1", &["2001:db8::9"], "2001:db8::9"),
            ("10.0.0.1", &["[2001:db8::9]:4711"], "2001:db8::9"),
            ("10.0.0.1", &["[2001:db8::9]"], "2001:db8::9"),
            ("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            // All are trusted: it began within.
            ("10.0.0.1", &["10.9.9.9, 10.0.0.2"], "10.9.9.9"),
            ("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["192.0.2.1,"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1", "\u{ff}"], "10.0.0.1"),
            ("10.0.0.1", &[&long, "10.0.0.3"], "10.0.0.9"),
        ] {
            assert_eq!(address(&proxies, peer, "x-forwarded-for", lines), wanted, "{peer} {lines:?}");
        }
        assert_eq!(address(&proxies, "10.0.0.1", "forwarded", &["for=192.0.2.1"]), "10.0.0.1");
        let none = TrustedProxies::default();
        assert_eq!(address(&none, "127.0.0.1", "x-forwarded-for", &["192.0.2.1"]), "127.0.0.1");
    }

    #[test]
    fn the_header_of_the_standard() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()], ProxyHeader::Forwarded);
        for (line, wanted) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::9]:4711\";proto=https;by=10.0.0.1", "2001:db8::9"),
            ("proto=https; for=192.0.2.1", "192.0.2.1"),
            ("for=198.51.100.9, for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
            ("for=\"198.51.100.9, for=192.0.2.1", "192.0.2.1"),
            ("for=192.0.2.1, for=_hidden", "10.0.0.1"),
            ("for=192.0.2.1, proto=https", "10.0.0.1"),
        ] {
            assert_eq!(address(&proxies, "10.0.0.1", "forwarded", &[line]), wanted, "{line}");
        }
        assert_eq!(address(&proxies, "10.0.0.1", "x-forwarded-for", &["192.0.2.1"]), "10.0.0.1");
    }
}
