//! patch: <https://hl7.org/fhir/R4/http.html#patch>, conditional: <https://hl7.org/fhir/R4/http.html#cond-patch>

use fhir_model::{Error, Key, Kind, Result};
use fhir_store::ResourceState;

use crate::ask::{Ask, Attempts};
use crate::change::{Change, Patch, What};
use crate::conditional::{Criteria, Target, target};
use crate::reply::Reply;
use crate::request::Body;
use crate::update::commit;

pub(crate) async fn patch(ask: &Ask<'_>, key: &Key) -> Result<Reply> {
    let patch = of_body(ask.request.body.as_ref())?;
    let mut attempts = Attempts::new(ask.cx);
    loop {
        attempts.next()?;
        let before = ask.cx.store.read(&ask.scope, key).await?;
        let what = What::Patch(patch.clone());
        if let Some(reply) = commit(ask, Change { key: key.clone(), before, what, claim: None }).await? {
            return Ok(reply);
        }
    }
}

pub(crate) async fn conditional_patch(ask: &Ask<'_>, type_name: &str) -> Result<Reply> {
    let patch = of_body(ask.request.body.as_ref())?;
    let criteria = Criteria::of_pairs(ask, type_name, &ask.pairs)?;
    let mut attempts = Attempts::new(ask.cx);
    loop {
        attempts.next()?;
        let found = ask.cx.store.matches(&ask.scope, &criteria.query, 2).await?;
        let version = match target(found, None, &criteria.text)? {
            Target::Existing(version) => version,
            Target::New(_) => return Err(nothing(&criteria.text)),
        };
        let (key, before) = (version.key.clone(), ResourceState::Current(version));
        let what = What::Patch(patch.clone());
        if let Some(reply) = commit(ask, Change { key, before, what, claim: None }).await? {
            return Ok(reply);
        }
    }
}

/// 404: there is nothing to patch.
pub(crate) fn nothing(criteria: &str) -> Error {
    Error::new(Kind::NotFound, format!("{criteria} finds nothing to patch"))
}

/// The patch in a body.
pub(crate) fn of_body(body: Option<&Body>) -> Result<Patch> {
    match body {
        Some(Body::JsonPatch(bytes)) => Ok(Patch::Json(bytes.clone())),
        Some(Body::Resource(doc)) => Ok(Patch::FhirPath(doc.clone())),
        Some(Body::Form(_)) => Err(Error::new(Kind::UnsupportedMediaType, "a form is not a patch")),
        None => Err(Error::invalid("the body is missing: a JSON Patch or a FHIRPath Patch is expected")),
    }
}
