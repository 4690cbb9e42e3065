//! read: <https://hl7.org/fhir/R4/http.html#read>

use fhir_model::{Error, Key, Result};
use fhir_store::{Found, Version};

use crate::ask::Ask;
use crate::reply::Reply;
use crate::summary::Subset;

pub(crate) async fn read(ask: &Ask<'_>, key: &Key) -> Result<Reply> {
    match ask.cx.store.read(&ask.scope, key).await? {
        Found::Current(version) => give(ask, &version),
        Found::Deleted(_) => Err(Error::gone(key)),
        Found::Never => Err(Error::not_found(key)),
    }
}

/// A version as the client wants it; or 304, when it has it.
pub(crate) fn give(ask: &Ask<'_>, version: &Version) -> Result<Reply> {
    if ask.request.conditions.not_modified(version.version, version.updated_at)? {
        return Ok(Reply { status: 304, body: None, ..Reply::version(304, version) });
    }
    let mut reply = Reply::version(200, version);
    if let (Some(subset), Some(body)) = (Subset::of_pairs(&ask.pairs)?, &reply.body) {
        reply.body = Some(subset.apply(body, &ask.cx.definitions, ask.cx.limits.json)?);
    }
    Ok(reply)
}
