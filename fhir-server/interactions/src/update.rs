//! update: <https://hl7.org/fhir/R4/http.html#update>, conditional: <https://hl7.org/fhir/R4/http.html#cond-update>

use fhir_model::json::Edits;
use fhir_model::{Error, Key, Kind, Result};
use fhir_store::ResourceState;

use crate::change::{Change, ChangeKind, check_creatable};
use crate::check::id_of;
use crate::commit::{commit as commit_all, issues};
use crate::conditional::{Criteria, UpdateTarget, target};
use crate::reply::Reply;
use crate::request_context::{Attempts, RequestContext, same_id};

pub(crate) async fn update(ctx: &RequestContext<'_>, key: &Key) -> Result<Reply> {
    let resource = ctx.resource(&key.type_name)?.root();
    same_id(resource, &key.type_name, &key.id)?;
    let mut attempts = Attempts::new(ctx.cx);
    loop {
        attempts.next()?;
        let before = ctx.cx.store.read(&ctx.scope, key).await?;
        check_creatable(ctx.cx, &ctx.scope, key, &before)?;
        let what = ChangeKind::Update(resource, Edits::default());
        if let Some(reply) = commit(ctx, Change { key: key.clone(), before, what, claim: None }).await? {
            return Ok(reply);
        }
    }
}

pub(crate) async fn conditional_update(ctx: &RequestContext<'_>, type_name: &str) -> Result<Reply> {
    let resource = ctx.resource(type_name)?.root();
    let id = id_of(resource, type_name)?;
    let criteria = Criteria::from_pairs(ctx, type_name, &ctx.pairs)?;
    let mut attempts = Attempts::new(ctx.cx);
    loop {
        attempts.next()?;
        let (found, claim) = criteria.find(ctx).await?;
        let (key, before, claim) = match target(found, id.as_deref(), &criteria.text)? {
            UpdateTarget::Existing(version) => (version.key.clone(), ResourceState::Current(version), None),
            UpdateTarget::New(None) => {
                (Key::new(type_name, ctx.cx.store.new_id()), ResourceState::Absent, claim)
            }
            UpdateTarget::New(Some(id)) => {
                let key = Key::new(type_name, id);
                let before = ctx.cx.store.read(&ctx.scope, &key).await?;
                if let ResourceState::Current(_) = before {
                    return Err(taken(&key, &criteria.text));
                }
                check_creatable(ctx.cx, &ctx.scope, &key, &before)?;
                (key, before, claim)
            }
        };
        let what = ChangeKind::Update(resource, Edits::default());
        if let Some(reply) = commit(ctx, Change { key, before, what, claim }).await? {
            return Ok(reply);
        }
    }
}

/// The id in the body is that of a resource which the criteria do not find.
pub(crate) fn taken(key: &Key, criteria: &str) -> Error {
    Error::new(Kind::Conflict, format!("{criteria} finds nothing, but the id in the body is that of {key}"))
}

/// Decides and commits one change. Returns `None` when the commit is stale.
pub(crate) async fn commit(ctx: &RequestContext<'_>, change: Change<'_>) -> Result<Option<Reply>> {
    let RequestContext { cx, request, .. } = ctx;
    let (key, before) = (change.key.clone(), change.before.clone());
    let stamp = cx.store.commit_timestamp()?;
    let Some(decided) = change.decide(cx, &request.conditions, stamp.micros())? else {
        let mut reply = Reply::gone(&format!("there is no {key}"), ctx.ret());
        if let ResourceState::Deleted(version) = before {
            (reply.version, reply.last_modified) = (Some(version.version), Some(version.updated_at));
        }
        return Ok(Some(reply));
    };
    let mut writes = [decided.write];
    match commit_all(ctx, &stamp, &mut writes).await? {
        None => Ok(None),
        Some(warnings) => {
            let [write] = writes;
            let (at, ret) = (stamp.micros(), ctx.ret());
            Ok(Some(Reply::written(&write, decided.created, at, ret, issues(warnings))))
        }
    }
}
