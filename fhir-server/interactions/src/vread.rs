//! vread: <https://hl7.org/fhir/R4/http.html#vread>

use fhir_model::{Error, Key, Result};
use fhir_store::ResourceState;

use crate::ask::Ask;
use crate::read::give;
use crate::reply::{Reply, location};

pub(crate) async fn vread(ask: &Ask<'_>, key: &Key, version: u32) -> Result<Reply> {
    match ask.cx.store.vread(&ask.scope, key, version).await? {
        ResourceState::Current(version) => give(ask, Reply::version(200, &version)),
        ResourceState::Deleted(_) => Err(Error::gone(location(key, version))),
        ResourceState::Absent => Err(Error::not_found(location(key, version))),
    }
}
