//! One change of one resource: from what is there and what is asked to what is written.
//!
//! **Invariant:** decides alone, without reading or writing, so that single interactions and transactions decide alike.

use fhir_model::json::{Doc, Edits, JsonLimits, Ref};
use fhir_model::{Error, Key, Kind, Result};
use fhir_store::{Claim, Method, Precondition, ResourceState, Scope, Version, Write};

use crate::check::check;
use crate::conditions::Conditions;
use crate::cx::Cx;
use crate::meta::stamp;
use crate::patch::{fhirpath_patch, json_patch, outdated};

/// The kinds of change of a resource.
pub(crate) enum ChangeKind<'a> {
    /// It is new (`POST`).
    Create(Ref<'a>, Edits),
    /// This is its new content (`PUT`).
    Update(Ref<'a>, Edits),
    /// Its content is changed.
    Patch(Patch),
    /// It is deleted.
    Delete,
}

/// How content is changed.
#[derive(Clone)]
pub(crate) enum Patch {
    /// <https://www.rfc-editor.org/rfc/rfc6902>
    Json(bytes::Bytes),
    /// <https://hl7.org/fhir/R4/fhirpatch.html>
    FhirPath(Doc),
}

/// A change, and what was read before it.
pub(crate) struct Change<'a> {
    pub(crate) key: Key,
    pub(crate) before: ResourceState,
    pub(crate) what: ChangeKind<'a>,
    /// The claim on the criteria of a conditional interaction that creates.
    pub(crate) claim: Option<Claim>,
}

/// A change that is decided.
pub(crate) struct PreparedChange {
    pub(crate) write: Write,
    /// There was no resource before.
    pub(crate) created: bool,
}

/// Refuses to create by PUT for a caller who does not see all resources of the type: the answer would tell whether the id is
/// taken.
///
/// # Errors
///
/// `NotFound`, for an id that is free as for one that is hidden.
pub(crate) fn check_creatable(cx: &Cx, scope: &Scope, key: &Key, before: &ResourceState) -> Result<()> {
    match before {
        ResourceState::Absent if cx.store.hides_some(scope, &key.type_name) => Err(Error::not_found(key)),
        _ => Ok(()),
    }
}

impl Change<'_> {
    /// The write at `updated_at`. Returns `None` when there is nothing to delete.
    pub(crate) fn decide(
        self,
        cx: &Cx,
        conditions: &Conditions,
        updated_at: i64,
    ) -> Result<Option<PreparedChange>> {
        let Change { key, before, what, claim } = self;
        let there = matches!(before, ResourceState::Current(_));
        match (&what, &before) {
            (ChangeKind::Delete, ResourceState::Deleted(_) | ResourceState::Absent)
                if conditions.if_match.is_none() =>
            {
                return Ok(None);
            }
            (ChangeKind::Patch(_), ResourceState::Absent) => return Err(Error::not_found(&key)),
            (ChangeKind::Patch(_), ResourceState::Deleted(_)) => return Err(Error::gone(&key)),
            (ChangeKind::Update(..), ResourceState::Absent) if !cx.settings.update_creates => {
                let text = format!("there is no {key}, and this server does not create by PUT");
                return Err(Error::new(Kind::MethodNotAllowed, text));
            }
            _ => {}
        }
        if !matches!(what, ChangeKind::Create(..)) {
            let current = match &before {
                ResourceState::Current(version) => Some((version.version, version.updated_at)),
                _ => None,
            };
            conditions.permit(&key, current, cx.settings.if_match_required)?;
        }
        let fresh = matches!(what, ChangeKind::Create(..));
        let version = next_version(&before, if fresh { 1 } else { cx.store.version_min() })?;
        let limits = cx.limits.json;
        let (method, doc) = match what {
            ChangeKind::Create(resource, edits) => {
                (Method::Post, Some(stamp(resource, edits, &key.id, version, updated_at, limits)?))
            }
            ChangeKind::Update(resource, edits) => {
                (Method::Put, Some(stamp(resource, edits, &key.id, version, updated_at, limits)?))
            }
            ChangeKind::Patch(patch) => {
                let doc = Doc::parse(patched(cx, &key, &before, &patch)?, limits)?;
                check(doc.root(), &key.type_name, &*cx.definitions).map_err(unfit)?;
                let edits = without_outdated(&before, doc.root())?;
                let doc = stamp(doc.root(), edits, &key.id, version, updated_at, limits)?;
                (Method::Patch, Some(doc))
            }
            ChangeKind::Delete => (Method::Delete, None),
        };
        let preconditions = claim.map(Precondition::Claim).into_iter().collect();
        Ok(Some(PreparedChange {
            write: Write { key, before, version, method, doc, preconditions },
            created: !there,
        }))
    }
}

/// The version after `before`, at least `min`: ids that the server gives are new, all others may have had versions that
/// were lost when the database was restored, and an `ETag` must never come to mean something else.
fn next_version(before: &ResourceState, min: u32) -> Result<u32> {
    let next = match before {
        ResourceState::Current(version) | ResourceState::Deleted(version) => {
            version.version.checked_add(1).ok_or_else(|| {
                Error::new(Kind::Conflict, format!("{} has no more versions to come", version.key))
            })
        }
        ResourceState::Absent => Ok(1),
    };
    next.map(|next| next.max(min))
}

fn patched(cx: &Cx, key: &Key, before: &ResourceState, patch: &Patch) -> Result<String> {
    let ResourceState::Current(version) = before else { return Err(Error::not_found(key)) };
    let current = version.body.as_deref().unwrap_or_default();
    let text = std::str::from_utf8(current).map_err(Error::internal)?;
    match patch {
        Patch::Json(patch) => json_patch(text, patch),
        Patch::FhirPath(parameters) => {
            let current = Doc::parse(text, JsonLimits::NONE)?;
            fhirpath_patch(&current, parameters, &*cx.definitions)
        }
    }
}

/// Takes the narrative away that the patch made untrue.
fn without_outdated(before: &ResourceState, patched: Ref<'_>) -> Result<Edits> {
    let mut edits = Edits::default();
    if let ResourceState::Current(Version { body: Some(body), .. }) = before
        && patched.get("text").is_some()
    {
        let before = Doc::parse(body.clone(), JsonLimits::NONE)?;
        outdated(before.root(), patched).into_iter().for_each(|text| edits.drop(text));
    }
    Ok(edits)
}

/// 422: the patch is well-formed, but its result is not a valid resource.
fn unfit(error: Error) -> Error {
    Error { kind: Kind::Rule, text: format!("the patched resource is not valid: {}", error.text), ..error }
}
