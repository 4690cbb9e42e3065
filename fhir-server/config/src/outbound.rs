//! The settings of calls to other systems.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::reader::Reader;

/// `outbound.*`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the meaning of each stands once, in SETTINGS")]
pub struct Outbound {
    pub networks: Vec<IpNet>,
}

impl Outbound {
    pub(crate) fn read(reader: &mut Reader) -> Outbound {
        Outbound { networks: reader.list("outbound.networks", network) }
    }
}

/// A network, or an address alone.
pub(crate) fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse::<IpNet>().ok().or_else(address);
    network.ok_or("is no network like `10.20.0.0/16`, nor an address")
}
