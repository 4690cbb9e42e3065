//! transaction: all entries or none. <https://hl7.org/fhir/R4/http.html#trules>
//!
//! Set-based: one read of what is there, one commit of all writes, and one search per distinct criterion, whatever
//! the number of entries. The specification's order (DELETE, POST, PUT and PATCH, GET) is kept in what each step
//! sees: criteria do not find what the transaction deletes, and reads see what it writes ([`reads`]).

use fhir_model::interaction::Interaction;
use fhir_model::json::{Doc, Ref};
use fhir_model::{Error, Key, Kind, Result};
use fhir_store::{Commit, Found};

use super::batch::write as write_answer;
use super::entries::Entry;
use super::fates::{Fate, fates, identity, read_before, refuse_overlap};
use super::in_entry;
use super::links::Links;
use super::lookups::{Lookups, deletes, lookups};
use super::patches;
use super::planned::Planned;
use super::reads;
use super::references::{Identity, edits};
use super::text::BundleText;
use crate::ask::{Ask, Attempts};
use crate::change::{Change, What};
use crate::conditional::{Criteria, several};
use crate::reply::Reply;
use crate::request::Return;

pub(super) async fn transaction(ask: &Ask<'_>, entries: &[Ref<'_>]) -> Result<Reply> {
    let patches: Vec<Option<Doc>> = entries.iter().map(|entry| patches::decoded(ask, *entry)).collect();
    let plan = Plan::new(ask, entries, &patches)?;
    let mut attempts = Attempts::new(ask.cx);
    let mut answers = loop {
        attempts.next()?;
        if let Some(answers) = plan.attempt(ask).await? {
            break answers;
        }
    };
    reads::after(ask, &plan.entries, &mut answers).await;
    let mut bundle = BundleText::new("transaction-response", answers.len() * 256);
    for answer in &answers {
        write_answer(&mut bundle, answer.as_ref().unwrap_or(&Ok(Reply::empty(204))), ask);
    }
    Ok(Reply::made(bundle.finish()))
}

/// What is known of a transaction from the Bundle alone.
struct Plan<'d> {
    entries: Vec<Planned<'d>>,
    links: Links,
}

/// What is answered to each entry, as far as it is known.
pub(super) type Answers = Vec<Option<Result<Reply>>>;

impl<'d> Plan<'d> {
    /// Reads and checks all entries: what can be refused is refused before the database is asked.
    fn new(ask: &Ask<'_>, refs: &[Ref<'d>], patches: &'d [Option<Doc>]) -> Result<Plan<'d>> {
        let mut entries = Vec::with_capacity(refs.len());
        for (at, entry) in refs.iter().enumerate() {
            let entry =
                Entry::parse(*entry, ask.bases(), &*ask.cx.definitions).map_err(|e| in_entry(e, at))?;
            entries.push(entry);
        }
        let links = Links::new(&entries)?;
        let planned = entries.into_iter().zip(patches).enumerate().map(|(at, (entry, patch))| {
            Planned::new(ask, entry, patch.as_ref(), &links).map_err(|e| in_entry(e, at))
        });
        let entries = planned.collect::<Result<Vec<_>>>()?;
        Ok(Plan { entries, links })
    }

    /// Decides and commits all writes; nothing when others changed what was read.
    async fn attempt(&self, ask: &Ask<'_>) -> Result<Option<Answers>> {
        let cx = ask.cx;
        let deletes = deletes(ask, &self.entries).await?;
        let lookups = lookups(ask, &self.entries, &deletes.keys).await?;
        let mut fates = fates(ask, &self.entries, deletes.found, &lookups)?;
        refuse_overlap(&fates)?;
        read_before(ask, &self.entries, &mut fates).await?;
        let identities: Vec<Option<Identity>> = (0..fates.len()).map(|at| identity(&fates, at)).collect();

        let stamp = cx.store.stamp()?;
        let ret = ask.request.prefer.ret.unwrap_or(Return::Minimal);
        let mut writes = Vec::new();
        let mut answers: Answers = Vec::with_capacity(fates.len());
        // (entry, position of its write, whether it creates)
        let (mut written, mut same) = (Vec::new(), Vec::new());
        for (at, (planned, fate)) in self.entries.iter().zip(fates).enumerate() {
            let conditions = &planned.entry.conditions;
            let answer = match fate {
                Fate::Read => None,
                Fate::Same(first) => {
                    same.push((at, first));
                    None
                }
                Fate::Existing(version) => Some(Ok(Reply::existing(&version, ret))),
                Fate::Delete(versions) => {
                    let text = format!("{} resources are deleted", versions.len());
                    for version in versions {
                        let key = version.key.clone();
                        let change =
                            Change { key, before: Found::Current(version), what: What::Delete, claim: None };
                        let decided =
                            change.decide(cx, conditions, stamp.micros()).map_err(|e| in_entry(e, at))?;
                        writes.extend(decided.map(|d| d.write));
                    }
                    Some(Ok(Reply::gone(&text, ret)))
                }
                Fate::Write { key, before, claim } => {
                    let what = self.what(ask, planned, &identities, &lookups).map_err(|e| in_entry(e, at))?;
                    let before = before.unwrap_or(Found::Never);
                    let change = Change { key, before, what, claim };
                    let decided =
                        change.decide(cx, conditions, stamp.micros()).map_err(|e| in_entry(e, at))?;
                    decided
                        .map(|d| {
                            written.push((at, writes.len(), d.created));
                            writes.push(d.write);
                            Ok(Reply::empty(204))
                        })
                        .or_else(|| Some(Ok(Reply::gone("there was nothing to delete", ret))))
                }
            };
            answers.push(answer);
        }
        reads::before(ask, &self.entries, &writes, stamp.micros(), &mut answers).await?;
        if let Commit::Stale = cx.store.commit(&ask.scope, &stamp, &writes).await? {
            return Ok(None);
        }
        for (at, position, created) in written {
            if let (Some(slot), Some(write)) = (answers.get_mut(at), writes.get(position)) {
                *slot = Some(Ok(Reply::written(write, created, stamp.micros(), ret)));
            }
        }
        for (at, first) in same {
            let Some(Some(Ok(first))) = answers.get(first) else { continue };
            let there = Reply { status: 200, body: None, ..first.clone() };
            if let Some(slot) = answers.get_mut(at) {
                *slot = Some(Ok(there));
            }
        }
        Ok(Some(answers))
    }

    /// The change of an entry, with its references resolved.
    fn what<'p>(
        &self,
        ask: &Ask<'_>,
        planned: &Planned<'p>,
        identities: &[Option<Identity>],
        lookups: &Lookups,
    ) -> Result<What<'p>> {
        let identity = |at: usize| identities.get(at).cloned().flatten();
        let found = |criteria: &Criteria| self.referenced(criteria, identities, lookups);
        let edits = edits(&planned.entry, &planned.sites, &self.links, &identity, &found)?;
        if let Some(patch) = &planned.patch {
            return Ok(What::Patch(patch.resolved(&edits, ask.cx.limits.json)?));
        }
        let Some(resource) = planned.entry.resource else { return Ok(What::Delete) };
        Ok(match planned.entry.interaction {
            Interaction::Create(_) => What::Create(resource, edits),
            Interaction::Delete(_) => What::Delete,
            _ => What::Update(resource, edits),
        })
    }

    /// The one resource that a conditional reference means: there already, or created here under the same criteria.
    fn referenced(
        &self,
        criteria: &Criteria,
        identities: &[Option<Identity>],
        lookups: &Lookups,
    ) -> Result<Key> {
        let found = lookups.get(&criteria.text).map(|(found, _)| found.as_slice()).unwrap_or_default();
        match found {
            [one] => Ok(one.key.clone()),
            [_, _, ..] => Err(several(&criteria.text)),
            [] => {
                let same = |p: &Planned<'_>| p.criteria.as_ref().is_some_and(|c| c.text == criteria.text);
                let mut same = self.entries.iter().zip(identities).filter(|(planned, _)| same(planned));
                let first = same.find_map(|(_, identity)| identity.as_ref());
                first.map(|(key, _)| key.clone()).ok_or_else(|| {
                    Error::new(
                        Kind::Precondition,
                        format!("the reference {} finds no resource", criteria.text),
                    )
                })
            }
        }
    }
}
