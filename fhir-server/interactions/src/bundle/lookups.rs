//! Runs the criteria of a transaction: each is searched once, several at the same time.

use std::collections::{HashMap, HashSet};

use fhir_model::interaction::Interaction;
use fhir_model::{Error, Key, Result};
use fhir_store::{Claim, Version};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::checked_entry::CheckedEntry;
use super::entry_error::in_entry;
use crate::conditional::Criteria;
use crate::delete::find;
use crate::request_context::RequestContext;

/// The matches of criteria, without what the transaction deletes; and the claim when there are none and an entry may
/// create.
pub(super) type Lookups = HashMap<String, (Vec<Version>, Option<Claim>)>;

/// What is deleted.
pub(super) struct Deletes {
    /// The matches of conditional deletes, by entry.
    pub(super) found: HashMap<usize, Vec<Version>>,
    /// All keys that are deleted.
    pub(super) keys: HashSet<Key>,
    /// How many, by type.
    counts: HashMap<Box<str>, usize>,
}

/// Finds what is deleted: first, as other criteria must not match it.
pub(super) async fn deletes(ctx: &RequestContext<'_>, entries: &[CheckedEntry<'_>]) -> Result<Deletes> {
    let mut keys = HashSet::new();
    let mut lookups = Vec::new();
    for (at, checked) in entries.iter().enumerate() {
        match (&checked.entry.interaction, &checked.criteria) {
            (Interaction::Delete(key), _) => {
                keys.insert(key.clone());
            }
            (Interaction::ConditionalDelete(_), Some(criteria)) => lookups.push(async move {
                let found = find(ctx, criteria).await.map_err(|e| in_entry(e, at))?;
                Ok::<_, Error>((at, found))
            }),
            _ => {}
        }
    }
    let lookups = stream::iter(lookups).buffer_unordered(ctx.cx.limits.parallel_max.max(1));
    let found: HashMap<usize, Vec<Version>> = lookups.try_collect().await?;
    keys.extend(found.values().flatten().map(|v| v.key.clone()));
    let mut counts: HashMap<Box<str>, usize> = HashMap::new();
    for key in &keys {
        *counts.entry(key.type_name.clone()).or_default() += 1;
    }
    Ok(Deletes { found, keys, counts })
}

/// A lookup of criteria.
pub(super) struct Lookup<'c> {
    pub(super) criteria: &'c Criteria,
    /// Somebody may create under them.
    pub(super) creates: bool,
    /// How many of what they find may not count.
    pub(super) beyond: usize,
}

/// Looks up criteria, each once, without what is deleted.
pub(super) async fn lookups(
    ctx: &RequestContext<'_>,
    all: impl Iterator<Item = Lookup<'_>>,
    deleted: &Deletes,
    known: &mut Lookups,
) -> Result<()> {
    let mut distinct: HashMap<&str, Lookup<'_>> = HashMap::new();
    // An earlier lookup of the same criteria may lack the claim, or have fetched too few.
    let suffices = |one: &Lookup<'_>, (found, claim): &(Vec<Version>, Option<Claim>)| {
        one.beyond == 0 && (!one.creates || !found.is_empty() || claim.is_some())
    };
    for one in all.filter(|one| !known.get(&one.criteria.text).is_some_and(|found| suffices(one, found))) {
        let Lookup { creates, beyond, .. } = one;
        let asked = distinct.entry(&one.criteria.text).or_insert(one);
        asked.creates |= creates;
        asked.beyond = asked.beyond.max(beyond);
    }
    let lookups: Vec<_> = distinct.into_values().map(|asked| find_one(ctx, asked, deleted)).collect();
    let lookups = stream::iter(lookups).buffer_unordered(ctx.cx.limits.parallel_max.max(1));
    known.extend(lookups.try_collect::<Vec<_>>().await?);
    Ok(())
}

/// The matches of one set of criteria, without what is deleted.
async fn find_one(
    ctx: &RequestContext<'_>,
    Lookup { criteria, creates, beyond }: Lookup<'_>,
    deleted: &Deletes,
) -> Result<(String, (Vec<Version>, Option<Claim>))> {
    // Not every number is to be a statement of its own.
    let of_type = deleted.counts.get(&criteria.query.type_name).copied().unwrap_or_default();
    let limit = match of_type + beyond {
        0 => 2,
        more => (more + 2).next_power_of_two(),
    };
    let search = || async {
        let mut found = ctx.cx.store.matches(&ctx.scope, &criteria.query, limit).await?;
        found.retain(|v| !deleted.keys.contains(&v.key));
        Ok::<_, Error>(found)
    };
    let found = search().await?;
    if !found.is_empty() || !creates {
        return Ok((criteria.text.clone(), (found, None)));
    }
    // As in [`Criteria::find`]: only what is searched after the claim was taken counts.
    let claim = ctx.cx.store.claim(&ctx.scope, &criteria.text).await?;
    Ok((criteria.text.clone(), (search().await?, Some(claim))))
}
