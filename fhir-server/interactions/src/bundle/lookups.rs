//! What the criteria of a transaction find: each is asked once, several at the same time.

use std::collections::{HashMap, HashSet};

use fhir_model::interaction::Interaction;
use fhir_model::{Error, Key, Result};
use fhir_store::{Claim, Version};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::in_entry;
use super::planned::Planned;
use super::references::Says;
use crate::ask::Ask;
use crate::conditional::Criteria;
use crate::delete::find;

/// What criteria found, without what the transaction deletes; and the claim when they found nothing and somebody may
/// create.
pub(super) type Lookups = HashMap<String, (Vec<Version>, Option<Claim>)>;

/// What is deleted.
pub(super) struct Deletes {
    /// What conditional deletes find, by entry.
    pub(super) found: HashMap<usize, Vec<Version>>,
    /// All keys that are deleted.
    pub(super) keys: HashSet<Key>,
}

/// What is deleted: asked first, as other criteria do not find it.
pub(super) async fn deletes(ask: &Ask<'_>, entries: &[Planned<'_>]) -> Result<Deletes> {
    let mut keys = HashSet::new();
    let mut lookups = Vec::new();
    for (at, planned) in entries.iter().enumerate() {
        match (&planned.entry.interaction, &planned.criteria) {
            (Interaction::Delete(key), _) => {
                keys.insert(key.clone());
            }
            (Interaction::ConditionalDelete(_), Some(criteria)) => lookups.push(async move {
                let found = find(ask, criteria).await.map_err(|e| in_entry(e, at))?;
                Ok::<_, Error>((at, found))
            }),
            _ => {}
        }
    }
    let lookups = stream::iter(lookups).buffer_unordered(ask.cx.limits.parallel_max.max(1));
    let found: HashMap<usize, Vec<Version>> = lookups.try_collect().await?;
    keys.extend(found.values().flatten().map(|v| v.key.clone()));
    Ok(Deletes { found, keys })
}

/// What all other criteria find, each asked once.
pub(super) async fn lookups(
    ask: &Ask<'_>,
    entries: &[Planned<'_>],
    deleted: &HashSet<Key>,
) -> Result<Lookups> {
    let mut distinct: HashMap<&str, (&Criteria, bool)> = HashMap::new();
    for planned in entries {
        let creates = match planned.entry.interaction {
            Interaction::Create(_) | Interaction::ConditionalUpdate(_) => true,
            Interaction::ConditionalPatch(_) => false,
            _ => continue,
        };
        if let Some(criteria) = &planned.criteria {
            distinct.entry(&criteria.text).or_insert((criteria, false)).1 |= creates;
        }
    }
    for site in entries.iter().flat_map(|p| &p.sites) {
        if let Says::Criteria(criteria) = &site.says {
            distinct.entry(&criteria.text).or_insert((criteria, false));
        }
    }
    let lookups: Vec<_> =
        distinct.into_values().map(|(criteria, creates)| lookup(ask, criteria, creates, deleted)).collect();
    stream::iter(lookups).buffer_unordered(ask.cx.limits.parallel_max.max(1)).try_collect().await
}

/// What one criterion finds, without what is deleted.
async fn lookup(
    ask: &Ask<'_>,
    criteria: &Criteria,
    creates: bool,
    deleted: &HashSet<Key>,
) -> Result<(String, (Vec<Version>, Option<Claim>))> {
    let limit = deleted.len() + 2;
    let search = || async {
        let mut found = ask.cx.store.matches(&ask.scope, &criteria.query, limit).await?;
        found.retain(|v| !deleted.contains(&v.key));
        Ok::<_, Error>(found)
    };
    let found = search().await?;
    if !found.is_empty() || !creates {
        return Ok((criteria.text.clone(), (found, None)));
    }
    // As in [`Criteria::find`]: only what is searched after the claim was taken counts.
    let claim = ask.cx.store.claim(&criteria.text).await?;
    Ok((criteria.text.clone(), (search().await?, Some(claim))))
}
