//! The writes of a transaction, decided on what is known of its references.

use std::collections::HashSet;

use fhir_model::interaction::Interaction;
use fhir_model::{Key, Result};
use fhir_store::{CommitTimestamp, ResourceState, Write};

use super::checked_entry::CheckedEntry;
use super::conditional_references::{ROUNDS_MAX, Resolutions, circular_criteria, found, is_open};
use super::entry_error::in_entry;
use super::full_url_index::Identity;
use super::lookups::Lookups;
use super::plan::{Answers, Plan, Renamed, entry_criteria};
use super::references::edits;
use super::resolution::ResolvedEntry;
use crate::change::{Change, ChangeKind};
use crate::conditional::Criteria;
use crate::reply::Reply;
use crate::request::Return;
use crate::request_context::RequestContext;

/// The writes of a transaction, and the answers of its entries.
pub(super) struct Decided {
    pub(super) writes: Vec<Write>,
    /// The entry of each write.
    pub(super) entries: Vec<usize>,
    pub(super) answers: Answers,
    /// Entry, position of its write, whether it creates.
    pub(super) written: Vec<(usize, usize, bool)>,
    /// Entry, how many resources it deletes, where that is by criteria.
    pub(super) deleted: Vec<(usize, usize)>,
    /// Entries that become the same resource as another.
    pub(super) same: Vec<(usize, usize)>,
}

/// The targets of references, as far as they are resolved.
pub(super) struct References<'a> {
    identities: &'a [Option<Identity>],
    lookups: &'a Lookups,
    renamed: &'a Renamed,
    /// The types that are written.
    written: &'a HashSet<&'a str>,
    resolutions: Resolutions,
    /// No more rounds: criteria that are unresolved now are an error.
    is_final: bool,
    rounds: usize,
}

impl<'a> References<'a> {
    pub(super) fn new(
        identities: &'a [Option<Identity>],
        lookups: &'a Lookups,
        renamed: &'a Renamed,
        written: &'a HashSet<&'a str>,
    ) -> References<'a> {
        References {
            identities,
            lookups,
            renamed,
            written,
            resolutions: Resolutions::default(),
            is_final: false,
            rounds: 0,
        }
    }

    /// Looks at what is to be written. True when that says something new of what references mean.
    ///
    /// # Errors
    /// When what references mean changes with what they mean.
    pub(super) fn update(
        &mut self,
        ctx: &RequestContext<'_>,
        plan: &Plan<'_>,
        writes: &[Write],
    ) -> Result<bool> {
        let open = plan.open_references(self.renamed, self.written);
        if open.is_empty() {
            return Ok(false);
        }
        let now = Resolutions::resolve(ctx, open.into_iter(), self.lookups, writes)?;
        if now == self.resolutions {
            // An unresolved reference may resolve once others have; now none is left that could.
            self.is_final = true;
            return Ok(!self.resolutions.are_clear());
        }
        if self.rounds == ROUNDS_MAX {
            return Err(circular_criteria());
        }
        self.rounds += 1;
        self.resolutions = now;
        Ok(true)
    }

    /// The resource that the criteria of an entry find. Returns `None` while that is not decided.
    fn resolved(&self, at: usize, criteria: &Criteria, names: bool) -> Result<Option<Key>> {
        let criteria = if names { entry_criteria(at, criteria, self.renamed) } else { criteria };
        match is_open(criteria, self.written) {
            true if self.is_final => self.resolutions.get(criteria),
            true => Ok(self.resolutions.current(criteria)),
            false => found(criteria, self.lookups).map(Some),
        }
    }
}

/// Decides all writes.
///
/// # Errors
/// The first entry that is refused refuses the whole.
pub(super) fn decide(
    ctx: &RequestContext<'_>,
    plan: &Plan<'_>,
    resolution: &[ResolvedEntry],
    references: &References<'_>,
    stamp: &CommitTimestamp,
) -> Result<Decided> {
    let cx = ctx.cx;
    let ret = ctx.request.prefer.ret.unwrap_or(Return::Minimal);
    let mut decided = Decided {
        writes: Vec::new(),
        entries: Vec::new(),
        answers: Vec::with_capacity(resolution.len()),
        written: Vec::new(),
        deleted: Vec::new(),
        same: Vec::new(),
    };
    for (at, (checked, resolved_entry)) in plan.entries.iter().zip(resolution).enumerate() {
        let decide = |change: Change<'_>| {
            let conditions = &checked.entry.conditions;
            change.decide(cx, conditions, stamp.micros()).map_err(|e| in_entry(e, at))
        };
        let answer = match resolved_entry {
            ResolvedEntry::Read => None,
            ResolvedEntry::Same(first) => {
                decided.same.push((at, *first));
                None
            }
            ResolvedEntry::Existing(version) => Some(Ok(Reply::existing(version, ret))),
            ResolvedEntry::Delete(versions) => {
                for version in versions {
                    let (key, before) = (version.key.clone(), ResourceState::Current(version.clone()));
                    let change = Change { key, before, what: ChangeKind::Delete, claim: None };
                    decided.writes.extend(decide(change)?.map(|d| d.write));
                }
                decided.deleted.push((at, versions.len()));
                Some(Ok(Reply::empty(204)))
            }
            ResolvedEntry::Write { key, before, claim } => {
                let what = what(ctx, plan, (at, checked), references).map_err(|e| in_entry(e, at))?;
                let before = before.clone().unwrap_or(ResourceState::Absent);
                match decide(Change { key: key.clone(), before, what, claim: claim.clone() })? {
                    Some(one) => {
                        decided.written.push((at, decided.writes.len(), one.created));
                        decided.writes.push(one.write);
                        Some(Ok(Reply::empty(204)))
                    }
                    None => Some(Ok(Reply::gone("there was nothing to delete", ret))),
                }
            }
        };
        decided.entries.resize(decided.writes.len(), at);
        decided.answers.push(answer);
    }
    Ok(decided)
}

/// The change of an entry, with its references resolved.
fn what<'p>(
    ctx: &RequestContext<'_>,
    plan: &Plan<'_>,
    (at, checked): (usize, &CheckedEntry<'p>),
    references: &References<'_>,
) -> Result<ChangeKind<'p>> {
    let identity = |at: usize| references.identities.get(at).cloned().flatten();
    let meant = |criteria: &Criteria, names: bool| references.resolved(at, criteria, names);
    let edits = edits(&checked.entry, &checked.sites, &plan.links, &identity, &meant)?;
    if let Some(patch) = &checked.patch {
        return Ok(ChangeKind::Patch(patch.resolved(&edits, ctx.cx.limits.json)?));
    }
    let Some(resource) = checked.entry.resource else { return Ok(ChangeKind::Delete) };
    Ok(match checked.entry.interaction {
        Interaction::Create(_) => ChangeKind::Create(resource, edits),
        Interaction::Delete(_) => ChangeKind::Delete,
        _ => ChangeKind::Update(resource, edits),
    })
}
