//! read: <https://hl7.org/fhir/R4/http.html#read>

use fhir_model::{Error, Key, Result};
use fhir_store::ResourceState;

use crate::reply::Reply;
use crate::request_context::RequestContext;
use crate::summary::Subset;

pub(crate) async fn read(ctx: &RequestContext<'_>, key: &Key) -> Result<Reply> {
    match ctx.cx.store.read(&ctx.scope, key).await? {
        ResourceState::Current(version) => give(ctx, Reply::version(200, &version)),
        ResourceState::Deleted(_) => Err(Error::gone(key)),
        ResourceState::Absent => Err(Error::not_found(key)),
    }
}

/// A version as the client wants it; or 304, when it has it.
pub(crate) fn give(ctx: &RequestContext<'_>, mut reply: Reply) -> Result<Reply> {
    ctx.only(&["_summary", "_elements"], "a read")?;
    let subset = Subset::from_request(ctx, reply.key.as_ref().map(|key| &*key.type_name))?;
    if let (Some(version), Some(updated_at)) = (reply.version, reply.last_modified)
        && ctx.request.conditions.not_modified(version, updated_at)?
    {
        return Ok(Reply { status: 304, body: None, ..reply });
    }
    if let (Some(subset), Some(body)) = (subset, &reply.body) {
        reply.body = Some(subset.apply(body, &ctx.cx.definitions)?);
    }
    Ok(reply)
}
