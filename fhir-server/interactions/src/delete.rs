//! delete: <https://hl7.org/fhir/R4/http.html#delete>, conditional: <https://hl7.org/fhir/R4/http.html#cdelete>
//!
//! Deleting what is not there is no mistake: the outcome is what was asked for.

use fhir_model::{Error, Key, Kind, Result};
use fhir_store::{ResourceState, Version};

use crate::change::{Change, ChangeKind};
use crate::commit::{commit as commit_all, issues};
use crate::conditional::{Criteria, several};
use crate::cx::ConditionalDelete;
use crate::reply::Reply;
use crate::request_context::{Attempts, RequestContext};
use crate::update::commit;

pub(crate) async fn delete(ctx: &RequestContext<'_>, key: &Key) -> Result<Reply> {
    let mut attempts = Attempts::new(ctx.cx);
    loop {
        attempts.next()?;
        let before = ctx.cx.store.read(&ctx.scope, key).await?;
        let change = Change { key: key.clone(), before, what: ChangeKind::Delete, claim: None };
        if let Some(reply) = commit(ctx, change).await? {
            return Ok(reply);
        }
    }
}

pub(crate) async fn conditional_delete(ctx: &RequestContext<'_>, type_name: &str) -> Result<Reply> {
    let criteria = Criteria::from_pairs(ctx, type_name, &ctx.pairs)?;
    let mut attempts = Attempts::new(ctx.cx);
    loop {
        attempts.next()?;
        let mut found = find(ctx, &criteria).await?;
        let done = match (found.len(), found.pop()) {
            (0, _) | (_, None) => {
                return Ok(Reply::gone(&format!("{} finds nothing to delete", criteria.text), ctx.ret()));
            }
            (1, Some(version)) => {
                let key = version.key.clone();
                commit(
                    ctx,
                    Change {
                        key,
                        before: ResourceState::Current(version),
                        what: ChangeKind::Delete,
                        claim: None,
                    },
                )
                .await?
            }
            (_, Some(last)) => {
                found.push(last);
                delete_all(ctx, found).await?
            }
        };
        if let Some(reply) = done {
            return Ok(reply);
        }
    }
}

/// The resources that a conditional delete deletes: one, or several where the setting allows it.
pub(crate) async fn find(ctx: &RequestContext<'_>, criteria: &Criteria) -> Result<Vec<Version>> {
    let cx = ctx.cx;
    let max = cx.limits.deletes_max;
    let limit = match cx.settings.conditional_delete {
        ConditionalDelete::Off => {
            return Err(Error::new(
                Kind::MethodNotAllowed,
                "conditional delete is switched off on this server",
            ));
        }
        ConditionalDelete::Single => 2,
        ConditionalDelete::Multiple => max + 1,
    };
    let found = cx.store.matches(&ctx.scope, &criteria.query, limit).await?;
    match found.len() {
        0 | 1 => Ok(found),
        _ if cx.settings.conditional_delete == ConditionalDelete::Single => Err(several(&criteria.text)),
        n if n > max => {
            let text =
                format!("{} finds more than the {max} resources that may be deleted at once", criteria.text);
            Err(Error::new(Kind::TooCostly, text))
        }
        _ => Ok(found),
    }
}

/// All of them or none.
async fn delete_all(ctx: &RequestContext<'_>, found: Vec<Version>) -> Result<Option<Reply>> {
    let RequestContext { cx, request, .. } = ctx;
    let stamp = cx.store.commit_timestamp()?;
    let mut writes = Vec::with_capacity(found.len());
    for version in found {
        let key = version.key.clone();
        let change =
            Change { key, before: ResourceState::Current(version), what: ChangeKind::Delete, claim: None };
        writes.extend(change.decide(cx, &request.conditions, stamp.micros())?.map(|d| d.write));
    }
    let warnings = commit_all(ctx, &stamp, &mut writes).await?;
    let text = format!("{} resources were deleted", writes.len());
    Ok(warnings.map(|warnings| Reply::deleted_with(&text, ctx.ret(), issues(warnings))))
}
