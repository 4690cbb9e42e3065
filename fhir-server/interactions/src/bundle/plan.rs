//! A transaction's plan: its checked entries in the order of the specification, and what their criteria find.

use std::collections::{HashMap, HashSet};

use fhir_model::interaction::Interaction;
use fhir_model::json::{Doc, Ref};
use fhir_model::{Error, Result};

use super::checked_entry::CheckedEntry;
use super::conditional_references::{CHANGED_MAX, is_open};
use super::criteria::resolved;
use super::entries::Entry;
use super::entry_error::in_entry;
use super::full_url_index::{FullUrlIndex, Identity};
use super::lookups::{Deletes, Lookup, Lookups, lookups};
use super::references::ReferenceTarget;
use super::resolution::{Creators, ResolvedEntry, key, resolve};
use super::rounds::rounds;
use crate::conditional::Criteria;
use crate::reply::Reply;
use crate::request_context::RequestContext;

/// A transaction as far as the Bundle alone says.
pub(super) struct Plan<'d> {
    pub(super) entries: Vec<CheckedEntry<'d>>,
    pub(super) links: FullUrlIndex,
    /// For each entry, when its criteria can be asked.
    rounds: Vec<usize>,
    /// How many resources of a type may be changed.
    changes: HashMap<Box<str>, usize>,
}

/// The answers of the entries, as far as they are known.
pub(super) type Answers = Vec<Option<Result<Reply>>>;

/// Criteria with the ids of the entries they name: by the entry they stand in and their text.
pub(super) type Renamed = HashMap<(usize, String), Criteria>;

impl<'d> Plan<'d> {
    /// Reads and checks all entries: what can be refused is refused before the database is asked.
    pub(super) async fn new(
        ctx: &RequestContext<'_>,
        refs: &[Ref<'d>],
        patches: &'d [Option<Doc>],
    ) -> Result<Plan<'d>> {
        let parsed = refs.iter().map(|entry| Entry::parse(*entry, ctx.bases(), &*ctx.cx.definitions));
        let entries = all_entries(parsed)?;
        let links = FullUrlIndex::new(&entries, ctx.bases())?;
        let mut checked = Vec::with_capacity(entries.len());
        for (entry, patch) in entries.into_iter().zip(patches) {
            let one = CheckedEntry::new(ctx, entry, patch.as_ref(), &links).await;
            let failed = one.as_ref().is_err_and(|error| error.kind.status() >= 500);
            checked.push(one);
            // The server's own trouble is that of the entries to come, too.
            if failed {
                break;
            }
        }
        let entries = all_entries(checked.into_iter())?;
        let rounds = rounds(&entries)?;
        let mut changes: HashMap<Box<str>, usize> = HashMap::new();
        for checked in &entries {
            let type_name = match &checked.entry.interaction {
                Interaction::Update(key) | Interaction::Patch(key) => &key.type_name,
                Interaction::ConditionalUpdate(name) | Interaction::ConditionalPatch(name) => name,
                _ => continue,
            };
            *changes.entry(type_name.clone()).or_default() += 1;
        }
        Ok(Plan { entries, links, rounds, changes })
    }

    /// Decides on every entry. Nearly always in one turn; criteria that name an entry wait for its id.
    pub(super) async fn resolve_entries(
        &self,
        ctx: &RequestContext<'_>,
        deletes: &mut Deletes,
        found: &mut Lookups,
    ) -> Result<(Vec<ResolvedEntry>, Renamed)> {
        let mut resolution: Vec<Option<ResolvedEntry>> =
            std::iter::repeat_with(|| None).take(self.entries.len()).collect();
        let (mut creators, mut renamed) = (Creators::new(), Renamed::new());
        for turn in 0..=self.rounds.iter().copied().max().unwrap_or_default() {
            let mine =
                || self.entries.iter().enumerate().filter(|(at, _)| self.rounds.get(*at) == Some(&turn));
            for (at, checked) in mine().filter(|_| turn > 0) {
                let Some(criteria) = &checked.criteria else { continue };
                let own = checked.entry.full_url.as_deref();
                let key = |at: usize| key(&resolution, at).cloned();
                let now = resolved(ctx, criteria, &self.links, own, &key).map_err(|e| in_entry(e, at))?;
                renamed.insert((at, criteria.text.clone()), now);
            }
            let criteria = mine().filter_map(|(at, checked)| self.entry_lookup(at, checked, &renamed));
            let references =
                self.entries.iter().filter(|_| turn == 0).flat_map(|p| self.reference_lookups(p));
            lookups(ctx, criteria.chain(references), deletes, found).await?;
            for (at, checked) in mine() {
                let criteria = checked.criteria.as_ref().map(|c| entry_criteria(at, c, &renamed));
                let deleted = deletes.found.remove(&at);
                let resolved_entry = resolve(ctx, at, checked, criteria, (found, deleted), &mut creators)
                    .map_err(|e| in_entry(e, at))?;
                if let Some(slot) = resolution.get_mut(at) {
                    *slot = Some(resolved_entry);
                }
            }
        }
        Ok((
            resolution
                .into_iter()
                .map(|resolved_entry| resolved_entry.unwrap_or(ResolvedEntry::Read))
                .collect(),
            renamed,
        ))
    }

    /// The lookup of an entry's own criteria.
    fn entry_lookup<'a>(
        &self,
        at: usize,
        checked: &'a CheckedEntry<'_>,
        renamed: &'a Renamed,
    ) -> Option<Lookup<'a>> {
        let creates = match checked.entry.interaction {
            Interaction::Create(_) | Interaction::ConditionalUpdate(_) => true,
            Interaction::ConditionalPatch(_) => false,
            _ => return None,
        };
        let criteria = entry_criteria(at, checked.criteria.as_ref()?, renamed);
        Some(Lookup { criteria, creates, beyond: 0 })
    }

    /// The lookups of an entry's conditional references, those that name no other entry.
    fn reference_lookups<'a>(&'a self, checked: &'a CheckedEntry<'_>) -> impl Iterator<Item = Lookup<'a>> {
        checked.sites.iter().filter_map(|site| match &site.target {
            ReferenceTarget::Criteria(criteria, false) => Some(self.reference_lookup(criteria)),
            _ => None,
        })
    }

    /// Resources that the transaction changes may no longer match: one more match is fetched for each of them.
    fn reference_lookup<'a>(&self, criteria: &'a Criteria) -> Lookup<'a> {
        let changes = self.changes.get(&criteria.query.type_name).copied().unwrap_or_default();
        Lookup { criteria, creates: false, beyond: changes.min(CHANGED_MAX) }
    }

    /// Asks the conditional references whose criteria name other entries.
    pub(super) async fn references_with_names(
        &self,
        ctx: &RequestContext<'_>,
        identities: &[Option<Identity>],
        deletes: &Deletes,
        renamed: &mut Renamed,
        found: &mut Lookups,
    ) -> Result<()> {
        let key = |at: usize| Some(identities.get(at)?.as_ref()?.0.clone());
        let mut more = Vec::new();
        for (at, checked) in self.entries.iter().enumerate() {
            let own = checked.entry.full_url.as_deref();
            for site in &checked.sites {
                let ReferenceTarget::Criteria(criteria, true) = &site.target else { continue };
                let now = resolved(ctx, criteria, &self.links, own, &key).map_err(|e| in_entry(e, at))?;
                more.push(now.clone());
                renamed.insert((at, criteria.text.clone()), now);
            }
        }
        lookups(ctx, more.iter().map(|criteria| self.reference_lookup(criteria)), deletes, found).await
    }

    /// The types that are written.
    pub(super) fn written(&self, resolution: &[ResolvedEntry]) -> HashSet<&str> {
        let resolution = resolution.iter().zip(&self.entries);
        let types = resolution.filter_map(|(resolved_entry, checked)| {
            match (resolved_entry, &checked.entry.interaction) {
                (ResolvedEntry::Read | ResolvedEntry::Same(_) | ResolvedEntry::Existing(_), _) => None,
                (_, Interaction::Update(key) | Interaction::Patch(key) | Interaction::Delete(key)) => {
                    Some(&*key.type_name)
                }
                (
                    _,
                    Interaction::Create(name)
                    | Interaction::ConditionalUpdate(name)
                    | Interaction::ConditionalPatch(name)
                    | Interaction::ConditionalDelete(name),
                ) => Some(&**name),
                _ => None,
            }
        });
        types.collect()
    }

    /// The criteria of conditional references that are known only when everything else is written.
    pub(super) fn open_references<'a>(
        &'a self,
        renamed: &'a Renamed,
        written: &HashSet<&str>,
    ) -> Vec<&'a Criteria> {
        let mut open = Vec::new();
        for (at, checked) in self.entries.iter().enumerate() {
            for site in &checked.sites {
                let ReferenceTarget::Criteria(criteria, names) = &site.target else { continue };
                let criteria = if *names { entry_criteria(at, criteria, renamed) } else { criteria };
                if is_open(criteria, written) {
                    open.push(criteria);
                }
            }
        }
        open
    }
}

/// All entries, or what is wrong with any of them.
fn all_entries<T>(entries: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let (mut good, mut errors) = (Vec::with_capacity(entries.size_hint().0), Vec::new());
    for (at, entry) in entries.enumerate() {
        match entry {
            Ok(entry) => good.push(entry),
            Err(error) => errors.push(in_entry(error, at)),
        }
    }
    Error::join(errors).map_or(Ok(good), Err)
}

/// The criteria of an entry as they are asked.
pub(super) fn entry_criteria<'a>(at: usize, criteria: &'a Criteria, renamed: &'a Renamed) -> &'a Criteria {
    if renamed.is_empty() {
        return criteria;
    }
    renamed.get(&(at, criteria.text.clone())).unwrap_or(criteria)
}
