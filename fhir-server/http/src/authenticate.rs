//! Who asks: the one place where a request's credentials become a principal.

use fhir_interactions::Principal;
use fhir_model::Result;
use hyper::HeaderMap;

/// The principal of a request.
///
/// # Errors
///
/// `Unauthorized` when there are credentials that do not hold. None are known yet: everybody is anonymous, and the guard says
/// what that may do.
pub(crate) fn principal(headers: &HeaderMap) -> Result<Principal> {
    let _ = headers;
    Ok(Principal::Anonymous)
}
