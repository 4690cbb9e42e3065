//! read: <https://hl7.org/fhir/R4/http.html#read>

use fhir_model::{Error, Key, Result};
use fhir_store::ResourceState;

use crate::ask::Ask;
use crate::reply::Reply;
use crate::summary::Subset;

pub(crate) async fn read(ask: &Ask<'_>, key: &Key) -> Result<Reply> {
    match ask.cx.store.read(&ask.scope, key).await? {
        ResourceState::Current(version) => give(ask, Reply::version(200, &version)),
        ResourceState::Deleted(_) => Err(Error::gone(key)),
        ResourceState::Absent => Err(Error::not_found(key)),
    }
}

/// A version as the client wants it; or 304, when it has it.
pub(crate) fn give(ask: &Ask<'_>, mut reply: Reply) -> Result<Reply> {
    ask.only(&["_summary", "_elements"], "a read")?;
    let subset = Subset::asked(ask, reply.key.as_ref().map(|key| &*key.type_name))?;
    if let (Some(version), Some(updated_at)) = (reply.version, reply.last_modified)
        && ask.request.conditions.not_modified(version, updated_at)?
    {
        return Ok(Reply { status: 304, body: None, ..reply });
    }
    if let (Some(subset), Some(body)) = (subset, &reply.body) {
        reply.body = Some(subset.apply(body, &ask.cx.definitions)?);
    }
    Ok(reply)
}
