//! Who calls a route of a module, as handlers take it.

use std::net::IpAddr;

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
    /// The address that the request came from.
    pub address: Option<IpAddr>,
    /// The id of the request, for logs.
    pub request_id: String,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Failure> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| Error::internal("a route of a module was called past the server").into())
    }
}
