//! patch: <https://hl7.org/fhir/R4/http.html#patch>, conditional: <https://hl7.org/fhir/R4/http.html#cond-patch>

use fhir_model::{Error, Key, Kind, Result};
use fhir_store::ResourceState;

use crate::change::{Change, ChangeKind, Patch};
use crate::conditional::{Criteria, UpdateTarget, target};
use crate::reply::Reply;
use crate::request::Body;
use crate::request_context::{Attempts, RequestContext};
use crate::update::commit;

pub(crate) async fn patch(ctx: &RequestContext<'_>, key: &Key) -> Result<Reply> {
    let patch = from_body(ctx.request.body.as_ref())?;
    let mut attempts = Attempts::new(ctx.cx);
    loop {
        attempts.next()?;
        let before = ctx.cx.store.read(&ctx.scope, key).await?;
        let what = ChangeKind::Patch(patch.clone());
        if let Some(reply) = commit(ctx, Change { key: key.clone(), before, what, claim: None }).await? {
            return Ok(reply);
        }
    }
}

pub(crate) async fn conditional_patch(ctx: &RequestContext<'_>, type_name: &str) -> Result<Reply> {
    let patch = from_body(ctx.request.body.as_ref())?;
    let criteria = Criteria::from_pairs(ctx, type_name, &ctx.pairs)?;
    let mut attempts = Attempts::new(ctx.cx);
    loop {
        attempts.next()?;
        let found = ctx.cx.store.matches(&ctx.scope, &criteria.query, 2).await?;
        let version = match target(found, None, &criteria.text)? {
            UpdateTarget::Existing(version) => version,
            UpdateTarget::New(_) => return Err(nothing(&criteria.text)),
        };
        let (key, before) = (version.key.clone(), ResourceState::Current(version));
        let what = ChangeKind::Patch(patch.clone());
        if let Some(reply) = commit(ctx, Change { key, before, what, claim: None }).await? {
            return Ok(reply);
        }
    }
}

/// 404: there is nothing to patch.
pub(crate) fn nothing(criteria: &str) -> Error {
    Error::new(Kind::NotFound, format!("{criteria} finds nothing to patch"))
}

/// The patch in a body.
pub(crate) fn from_body(body: Option<&Body>) -> Result<Patch> {
    match body {
        Some(Body::JsonPatch(bytes)) => Ok(Patch::Json(bytes.clone())),
        Some(Body::Resource(doc)) => Ok(Patch::FhirPath(doc.clone())),
        Some(Body::Form(_)) => Err(Error::new(Kind::UnsupportedMediaType, "a form is not a patch")),
        None => Err(Error::invalid("the body is missing: a JSON Patch or a FHIRPath Patch is expected")),
    }
}
