//! Who calls a route of a module, as handlers take it.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::FromRequestParts;
use fhir_access::Principal;
use fhir_model::Error;
use fhir_search::TenantId;
use hyper::http::request::Parts;

use crate::envelope::Failure;

/// The caller of a route: let in by the route's [`Access`](crate::Access).
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// The organisation that is asked: of the base or of the header `X-Organization-ID`, else the one that the principal works for.
    pub tenant: TenantId,
    /// The FHIR base url as the caller knows it, without a slash at its end.
    pub base: String,
    /// The address that the request came from, as trusted proxies say it.
    pub address: IpAddr,
    /// The id of the request, for logs.
    pub request_id: String,
}

impl Caller {
    /// The network that the request came from, as attempts are counted by it: of IPv6 the first 64 bits, which one subscriber has.
    pub fn network(&self) -> String {
        match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Failure> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| Error::internal("a route of a module was called past the server").into())
    }
}
