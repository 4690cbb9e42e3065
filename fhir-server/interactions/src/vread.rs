//! vread: <https://hl7.org/fhir/R4/http.html#vread>

use fhir_model::{Error, Key, Result};
use fhir_store::ResourceState;

use crate::read::give;
use crate::reply::{Reply, location};
use crate::request_context::RequestContext;

pub(crate) async fn vread(ctx: &RequestContext<'_>, key: &Key, version: u32) -> Result<Reply> {
    match ctx.cx.store.vread(&ctx.scope, key, version).await? {
        ResourceState::Current(version) => give(ctx, Reply::version(200, &version)),
        ResourceState::Deleted(_) => Err(Error::gone(location(key, version))),
        ResourceState::Absent => Err(Error::not_found(location(key, version))),
    }
}
