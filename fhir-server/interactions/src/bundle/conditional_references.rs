//! Conditional references: <https://hl7.org/fhir/R4/http.html#trules>
//!
//! They are resolved after everything is written. What the transaction does not touch is found by a search, what it
//! writes is asked itself, from what it will leave in the indexes: a resource that is created is found, one that no longer
//! meets the criteria is not. In nearly all transactions nothing of the types that are asked for is written, and a search
//! is all.

use std::collections::{HashMap, HashSet};

use fhir_model::{Error, Key, Kind, Result};
use fhir_search::condition::Condition;
use fhir_search::rows::Rows;
use fhir_store::Write;

use super::criteria::other_types;
use super::lookups::Lookups;
use crate::conditional::{Criteria, several};
use crate::request_context::RequestContext;

/// The resource that criteria resolve to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    Resource(Key),
    Nothing,
    Several,
    /// Something decides that is known only after the commit.
    Unknown,
}

/// Criteria on types that the transaction writes, and what they resolve to; criteria that are missing are not decided yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolutions(HashMap<String, Resolution>);

/// Rounds after which references that decide on each other are given up.
pub(super) const ROUNDS_MAX: usize = 4;

/// Conditions that are asked of resources, in one transaction.
const ASKED_MAX: usize = 1_000_000;

/// Resources that are changed by the transaction, and no longer need be what they were found as: most that are looked past.
pub(super) const CHANGED_MAX: usize = 1000;

/// True when what is written may decide what the criteria mean.
pub(super) fn is_open(criteria: &Criteria, written: &HashSet<&str>) -> bool {
    written.contains(&*criteria.query.type_name)
        || other_types(criteria).is_none_or(|types| types.iter().any(|one| written.contains(one)))
}

/// The resources of one type that the transaction writes, by their index entries.
struct WrittenIndex<'w> {
    all: Vec<(&'w Key, Rows)>,
    by_key: HashMap<i64, Vec<usize>>,
}

impl<'w> WrittenIndex<'w> {
    fn new(ctx: &RequestContext<'_>, type_name: &str, writes: &'w [Write]) -> Result<WrittenIndex<'w>> {
        let mut written = WrittenIndex { all: Vec::new(), by_key: HashMap::new() };
        for write in writes.iter().filter(|write| *write.key.type_name == *type_name) {
            let Some(doc) = &write.doc else { continue };
            let rows = ctx.cx.store.index_rows(ctx.request.tenant, &write.key, doc)?;
            for key in &rows.keys {
                written.by_key.entry(*key).or_default().push(written.all.len());
            }
            written.all.push((&write.key, rows));
        }
        Ok(written)
    }

    /// The resources that meet the condition; `None` when it is not known.
    fn meeting(&self, condition: &Condition) -> Option<Vec<&'w Key>> {
        let meets =
            |(key, rows): &(&'w Key, Rows)| condition.meets(&key.id, rows).map(|holds| holds.then_some(*key));
        let found: Option<Vec<Option<&Key>>> = match equality(condition) {
            // Many criteria and many resources: only those that have the key are asked.
            Some(keys) => {
                let mut places: Vec<usize> =
                    keys.iter().filter_map(|key| self.by_key.get(key)).flatten().copied().collect();
                places.sort_unstable();
                places.dedup();
                places.into_iter().filter_map(|place| self.all.get(place)).map(meets).collect()
            }
            None => self.all.iter().map(meets).collect(),
        };
        Some(found?.into_iter().flatten().collect())
    }
}

/// Keys of which a resource must have one to meet the condition.
fn equality(condition: &Condition) -> Option<&[i64]> {
    match condition {
        Condition::Keys(keys) | Condition::Tokens(keys) | Condition::Codes(keys) => Some(keys),
        Condition::All(parts) => parts.iter().find_map(equality),
        _ => None,
    }
}

impl Resolutions {
    /// Resolves the criteria as if these writes were done.
    ///
    /// # Errors
    /// When a body cannot be indexed, or too much would be looked at.
    pub(super) fn resolve<'c>(
        ctx: &RequestContext<'_>,
        criteria: impl Iterator<Item = &'c Criteria>,
        lookups: &Lookups,
        writes: &[Write],
    ) -> Result<Resolutions> {
        let types: HashSet<&str> = writes.iter().map(|write| &*write.key.type_name).collect();
        let keys: HashSet<&Key> = writes.iter().map(|write| &write.key).collect();
        let mut written: HashMap<&str, WrittenIndex<'_>> = HashMap::new();
        let mut meanings = HashMap::new();
        let mut asked: usize = 0;
        for criteria in criteria {
            if meanings.contains_key(&criteria.text) {
                continue;
            }
            let type_name = &*criteria.query.type_name;
            if !written.contains_key(type_name) {
                written.insert(type_name, WrittenIndex::new(ctx, type_name, writes)?);
            }
            let Some(of_type) = written.get(type_name) else { continue };
            let condition = ctx.cx.store.condition(ctx.request.tenant, &criteria.query);
            asked += if equality(&condition).is_some() { 1 } else { of_type.all.len() };
            if asked > ASKED_MAX {
                let text = "the conditional references ask for more than can be looked at among what is written; \
                            name what they mean by identifiers";
                return Err(Error::new(Kind::TooCostly, text));
            }
            let found = lookups.get(&criteria.text).map(|(found, _)| found.as_slice()).unwrap_or_default();
            let mut all: Vec<&Key> = found.iter().map(|v| &v.key).filter(|key| !keys.contains(key)).collect();
            let cut = found.len() >= CHANGED_MAX && all.len() < 2;
            let elsewhere =
                other_types(criteria).is_none_or(|others| others.iter().any(|one| types.contains(one)));
            let mine = of_type.meeting(&condition);
            let is_known = mine.is_some() && !elsewhere && !cut;
            all.extend(mine.unwrap_or_default());
            let meaning = match all.as_slice() {
                _ if !is_known => Resolution::Unknown,
                [] => Resolution::Nothing,
                [one] => Resolution::Resource((*one).clone()),
                _ => Resolution::Several,
            };
            meanings.insert(criteria.text.clone(), meaning);
        }
        Ok(Resolutions(meanings))
    }

    /// True when each means one resource.
    pub(super) fn are_clear(&self) -> bool {
        self.0.values().all(|meaning| matches!(meaning, Resolution::Resource(_)))
    }

    /// The resource that a reference by these criteria means, as far as is known by now.
    pub(super) fn current(&self, criteria: &Criteria) -> Option<Key> {
        match self.0.get(&criteria.text) {
            Some(Resolution::Resource(key)) => Some(key.clone()),
            _ => None,
        }
    }

    /// The resource that a reference by these criteria means, if that is known.
    ///
    /// # Errors
    /// When it means none, or several.
    pub(super) fn get(&self, criteria: &Criteria) -> Result<Option<Key>> {
        match self.0.get(&criteria.text) {
            None => Ok(None),
            Some(Resolution::Resource(key)) => Ok(Some(key.clone())),
            Some(Resolution::Nothing) => Err(nothing(criteria)),
            Some(Resolution::Several) => Err(several(&criteria.text)),
            Some(Resolution::Unknown) => {
                let text = format!(
                    "what {} finds depends on what this transaction itself writes, in a way that is known only after it; \
                     refer to the entry by its `fullUrl`, or send the reference in a transaction of its own",
                    criteria.text
                );
                Err(Error::not_supported(text))
            }
        }
    }
}

/// The resource that criteria mean whose resources the transaction does not write.
///
/// # Errors
/// When they mean none, or several.
pub(super) fn found(criteria: &Criteria, lookups: &Lookups) -> Result<Key> {
    match lookups.get(&criteria.text).map(|(found, _)| found.as_slice()).unwrap_or_default() {
        [one] => Ok(one.key.clone()),
        [] => Err(nothing(criteria)),
        _ => Err(several(&criteria.text)),
    }
}

fn nothing(criteria: &Criteria) -> Error {
    Error::new(Kind::Precondition, format!("the reference {} finds no resource", criteria.text))
}

/// References whose meanings change with what they mean.
pub(super) fn circular_criteria() -> Error {
    Error::not_supported(
        "what some conditional references find depends on what others find; use the `fullUrl` of entries",
    )
}
