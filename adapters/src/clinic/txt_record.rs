//! What TXT records of a name say: <https://www.rfc-editor.org/rfc/rfc1035#section-3.3.14>

use std::net::SocketAddr;
use std::time::Duration;

use fhir_app::{Error, Kind, Result};
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{Resolver, TokioResolver};

/// How long one question may take, and how often it is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

/// How long all of it may take.
const TIMEOUT_ALL: Duration = Duration::from_secs(8);

/// The texts of a name; none, where there is no such name. Asks `server`, or the system's resolvers.
///
/// # Errors
///
/// `Timeout` when the DNS does not answer in time, `Unavailable` when it cannot answer.
pub(super) async fn texts(server: Option<SocketAddr>, name: &str) -> Result<Vec<String>> {
    // Made for each question: what was not there a minute ago is asked again, and is remembered by nobody here.
    let resolver = resolver(server).map_err(failed)?;
    // With the dot at its end nothing of the system's is put behind it.
    let asked = tokio::time::timeout(TIMEOUT_ALL, resolver.txt_lookup(format!("{name}.")));
    match asked.await {
        Err(_) => Err(late()),
        Ok(Err(error)) if error.is_no_records_found() => Ok(Vec::new()),
        Ok(Err(NetError::Timeout)) => Err(late()),
        Ok(Err(error)) => Err(failed(error)),
        Ok(Ok(found)) => {
            let text = |data: &RData| match data {
                // One text may be in parts, which follow each other without anything between.
                RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
                _ => None,
            };
            Ok(found.answers().iter().filter_map(|record| text(&record.data)).collect())
        }
    }
}

fn resolver(server: Option<SocketAddr>) -> std::result::Result<TokioResolver, NetError> {
    let mut builder = match server {
        None => Resolver::builder_tokio()?,
        Some(address) => {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.timeout = TIMEOUT;
    options.attempts = ATTEMPTS;
    options.cache_size = 0;
    builder.build()
}

fn late() -> Error {
    Error::new(Kind::Timeout, "the DNS did not answer in time; try again")
}

fn failed(error: NetError) -> Error {
    let text = match &error {
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the DNS answered {code}; try again later"),
        _ => "the DNS cannot be asked at the moment; try again".to_owned(),
    };
    Error::new(Kind::Unavailable, text).because(error)
}
