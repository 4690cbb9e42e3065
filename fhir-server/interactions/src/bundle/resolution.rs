//! Resolves the entries of a transaction: what each writes, deletes or reads.

use std::collections::HashMap;

use fhir_model::interaction::Interaction;
use fhir_model::{Error, Key, Result};
use fhir_store::{Claim, ResourceState, Version};

use super::checked_entry::CheckedEntry;
use super::entry_error::in_entry;
use super::full_url_index::Identity;
use super::lookups::Lookups;
use crate::change::check_creatable;
use crate::check::id_of;
use crate::conditional::{Criteria, UpdateTarget, several, target};
use crate::patch::interaction::nothing;
use crate::request_context::RequestContext;
use crate::update::taken;

/// How an entry is resolved in one attempt.
pub(super) enum ResolvedEntry {
    /// Its resource is written.
    Write { key: Key, before: Option<ResourceState>, claim: Option<Claim> },
    /// It is the same conditional create as that of an earlier entry.
    Same(usize),
    /// A conditional create found this.
    Existing(Version),
    /// All of these are deleted.
    Delete(Vec<Version>),
    /// It is answered after the commit.
    Read,
}

/// Which entry creates under which criteria.
pub(super) type Creators = HashMap<String, usize>;

/// Decides on an entry by what its criteria found. `deleted`: what a conditional delete found.
pub(super) fn resolve(
    ctx: &RequestContext<'_>,
    at: usize,
    checked: &CheckedEntry<'_>,
    criteria: Option<&Criteria>,
    (lookups, deleted): (&Lookups, Option<Vec<Version>>),
    creators: &mut Creators,
) -> Result<ResolvedEntry> {
    let looked_up = criteria.and_then(|c| Some((c, lookups.get(&c.text)?)));
    let fresh = |type_name: &str| Key::new(type_name, ctx.cx.store.new_id());
    let existing = |version: Version| ResolvedEntry::Write {
        key: version.key.clone(),
        before: Some(ResourceState::Current(version)),
        claim: None,
    };
    Ok(match (&checked.entry.interaction, looked_up) {
        (Interaction::Create(type_name), None) => {
            ResolvedEntry::Write { key: fresh(type_name), before: Some(ResourceState::Absent), claim: None }
        }
        (Interaction::Create(type_name), Some((criteria, (found, claim)))) => match found.as_slice() {
            [] => match creators.get(criteria.text.as_str()) {
                Some(first) => ResolvedEntry::Same(*first),
                None => {
                    creators.insert(criteria.text.clone(), at);
                    ResolvedEntry::Write {
                        key: fresh(type_name),
                        before: Some(ResourceState::Absent),
                        claim: claim.clone(),
                    }
                }
            },
            [one] => ResolvedEntry::Existing(one.clone()),
            _ => return Err(several(&criteria.text)),
        },
        (Interaction::ConditionalUpdate(type_name), Some((criteria, (found, claim)))) => {
            let id = checked.entry.resource.map(|r| id_of(r, type_name)).transpose()?.flatten();
            match target(found.clone(), id.as_deref(), &criteria.text)? {
                UpdateTarget::Existing(version) => existing(version),
                UpdateTarget::New(id) => {
                    if let Some(first) = creators.insert(criteria.text.clone(), at) {
                        let text = format!("{} creates in entry {first} already", criteria.text);
                        return Err(Error::invalid(text));
                    }
                    let before = if id.is_some() { None } else { Some(ResourceState::Absent) };
                    let key = id.map_or_else(|| fresh(type_name), |id| Key::new(&**type_name, id));
                    ResolvedEntry::Write { key, before, claim: claim.clone() }
                }
            }
        }
        (Interaction::ConditionalPatch(_), Some((criteria, (found, _)))) => {
            match target(found.clone(), None, &criteria.text)? {
                UpdateTarget::Existing(version) => existing(version),
                UpdateTarget::New(_) => return Err(nothing(&criteria.text)),
            }
        }
        (Interaction::Update(key) | Interaction::Patch(key) | Interaction::Delete(key), _) => {
            ResolvedEntry::Write { key: key.clone(), before: None, claim: None }
        }
        (Interaction::ConditionalDelete(_), _) => ResolvedEntry::Delete(deleted.unwrap_or_default()),
        _ => ResolvedEntry::Read,
    })
}

/// No resource may be changed twice.
pub(super) fn refuse_overlap(resolution: &[ResolvedEntry]) -> Result<()> {
    let mut seen: HashMap<&Key, usize> = HashMap::new();
    for (at, resolved_entry) in resolution.iter().enumerate() {
        let keys: Vec<&Key> = match resolved_entry {
            ResolvedEntry::Write { key, .. } => vec![key],
            ResolvedEntry::Delete(versions) => versions.iter().map(|v| &v.key).collect(),
            _ => continue,
        };
        for key in keys {
            if let Some(first) = seen.insert(key, at) {
                let text = format!(
                    "{key} is changed by entry {first} already; a transaction changes a resource once"
                );
                return Err(in_entry(Error::invalid(text), at));
            }
        }
    }
    Ok(())
}

/// Reads what the writes replace, each in the scope of its entry, at once where the scopes are one.
pub(super) async fn read_before(
    ctx: &RequestContext<'_>,
    entries: &[CheckedEntry<'_>],
    resolution: &mut [ResolvedEntry],
) -> Result<()> {
    let mut open: Vec<_> = resolution
        .iter_mut()
        .zip(entries)
        .enumerate()
        .filter_map(|(at, (resolved_entry, checked))| match resolved_entry {
            ResolvedEntry::Write { key, before: before @ None, .. } => Some((at, checked, &*key, before)),
            _ => None,
        })
        .collect();
    while let Some((_, first, ..)) = open.first() {
        let scope = &first.scope;
        let (mine, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(_, checked, ..)| checked.scope == *scope);
        open = others;
        let keys: Vec<Key> = mine.iter().map(|(_, _, key, _)| (*key).clone()).collect();
        let found = ctx.cx.store.read_many(scope, &keys).await?;
        for ((at, checked, key, before), now) in mine.into_iter().zip(found) {
            if let (ResourceState::Current(_), Interaction::ConditionalUpdate(_), Some(criteria)) =
                (&now, &checked.entry.interaction, &checked.criteria)
            {
                return Err(in_entry(taken(key, &criteria.text), at));
            }
            // What is not there needs no deletion.
            if !matches!(checked.entry.interaction, Interaction::Delete(_)) {
                check_creatable(ctx.cx, scope, key, &now).map_err(|e| in_entry(e, at))?;
            }
            *before = Some(now);
        }
    }
    Ok(())
}

/// The key of an entry's resource, when the entry is resolved.
pub(super) fn key(resolution: &[Option<ResolvedEntry>], at: usize) -> Option<&Key> {
    let written = |at: usize| match resolution.get(at)? {
        Some(ResolvedEntry::Write { key, .. }) => Some(key),
        _ => None,
    };
    match resolution.get(at)? {
        Some(ResolvedEntry::Existing(version)) => Some(&version.key),
        Some(ResolvedEntry::Same(first)) => written(*first),
        _ => written(at),
    }
}

/// The key of an entry's resource, and its version after the commit.
pub(super) fn identity(resolution: &[ResolvedEntry], at: usize) -> Option<Identity> {
    let written = |resolved_entry: &ResolvedEntry| match resolved_entry {
        ResolvedEntry::Write { key, before, .. } => {
            Some((key.clone(), before.as_ref().map_or(0, ResourceState::last_version).saturating_add(1)))
        }
        _ => None,
    };
    match resolution.get(at)? {
        ResolvedEntry::Existing(version) => Some((version.key.clone(), version.version)),
        ResolvedEntry::Same(first) => written(resolution.get(*first)?),
        resolved_entry => written(resolved_entry),
    }
}
