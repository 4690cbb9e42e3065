//! Post-filters: conditions on entries or on other resources, which no column of the row decides. Where they are not selective, it is
//! cheaper to test them on the matches of the other conditions, in the order of the answer, than to look up all that meet them.

use std::collections::{HashMap, HashSet};

use fhir_model::{Error, Key, Kind, Result};
use fhir_search::condition::{Chain, Condition, Has};
use fhir_search::include::ReferencedResource;
use fhir_search::include::refers_to;
use fhir_search::registry::{Param, Role};
use fhir_search::sql::{self, chain::By};

use super::chain::{is_by_patient, key_of_row};
use super::sort_values::SortedRow;
use super::sorted::{PageRequest, PageRows};
use super::timeouts;
use crate::read::{self, body_bytes};
use crate::scope::ScopedStore;
use crate::version::Version;

/// Sizes of the batches that are post-filtered, in halves of a page. When the last batch does not fill the page, what
/// the post-filter asks for is looked up after all.
struct BatchSizes {
    first: usize,
    most: usize,
    /// At least one in `for_one` rows must pass; otherwise post-filtering is given up.
    for_one: usize,
}

/// For conditions on other resources: each batch is a statement or more. Where nearly all rows pass, the first is enough.
const REFERENCE_BATCHES: BatchSizes = BatchSizes { first: 2, most: 36, for_one: 4 };
/// For conditions on entries, tested on bodies: each row costs some microseconds.
const BODY_BATCHES: BatchSizes = BatchSizes { first: 3, most: 300, for_one: 50 };
/// The same with a prefilter on the row, which most rows that pass it satisfy.
const LIKELY_BATCHES: BatchSizes = BatchSizes { first: 2, ..BODY_BATCHES };
/// The same where the other conditions are selective: all of their matches are tested.
const SELECTIVE_BATCHES: BatchSizes = BatchSizes { first: 6, most: 600, for_one: usize::MAX };

/// The key of contained resources, and what any key can be written with.
const CONTAINED: &[u8] = b"\"contained\"";
const ESCAPE: &[u8] = b"\\u";
/// Most batches: one whose bodies are large ends before it has all its rows.
const BATCHES_MAX: usize = 10;
/// Sizes of batches, in halves of a page: each is a statement of its own to the database.
const HALVES: &[usize] = &[1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 100, 200, 300, 600];
/// A batch is at most so many times as large as all batches before it.
const GROWTH_MAX: usize = 8;

impl BatchSizes {
    /// The size of the first batch for a page of `limit` matches.
    fn first(&self, limit: usize) -> usize {
        (limit * self.first).div_ceil(2)
    }

    /// The size of the next batch: what fills the page at the rate of matches so far, and a quarter more. Returns `None`
    /// when enough rows were read.
    fn next(&self, limit: usize, asked: usize, found: usize) -> Option<usize> {
        let most = (limit * self.most).div_ceil(2);
        if asked >= most || asked / self.for_one > found {
            return None;
        }
        let likely = (limit.saturating_sub(found) * asked * 5).checked_div(found * 4);
        let wanted = likely.map_or(usize::MAX, |likely| likely + 1).min(asked * GROWTH_MAX).min(most - asked);
        let sizes = HALVES.iter().map(|halves| (limit * halves).div_ceil(2));
        sizes.into_iter().find(|size| *size >= wanted)
    }
}

impl ScopedStore<'_> {
    /// A page of matches that pass the post-filters too. Returns `None` when the batches were used up before the page was
    /// full.
    pub(super) async fn post_filtered_page(
        &self,
        request: PageRequest<'_>,
        post_filters: &[Condition],
    ) -> Result<Option<PageRows>> {
        let mut query = request.query.clone();
        let (mut found, mut asked) = (Vec::new(), 0);
        let likely: Vec<Condition> = post_filters.iter().filter_map(Condition::prefilter).collect();
        let of_bodies = post_filters.iter().all(Condition::is_on_entries);
        let sizes = match of_bodies {
            true if sql::is_selective(request.condition) => SELECTIVE_BATCHES,
            true if request.order.is_indexed() && likely.len() == post_filters.len() => LIKELY_BATCHES,
            true if request.order.is_indexed() => BODY_BATCHES,
            // All would be sorted before the first is asked.
            true => return Ok(None),
            false => REFERENCE_BATCHES,
        };
        let asked_for: Vec<&Condition> = post_filters.iter().filter(|one| !one.is_on_row()).collect();
        let condition = Condition::All([vec![request.condition.clone()], likely].concat()).simplify();
        let request = PageRequest { condition: &condition, ..request };
        let mut next = Some(sizes.first(request.limit));
        for _ in 0..BATCHES_MAX {
            let Some(batch) = next else { break };
            let (rows, cut) =
                match self.sorted_page(PageRequest { query: &query, limit: batch, ..request }).await {
                    // Too many to sort before the post-filter makes them fewer.
                    Err(e) if e.kind == Kind::TooCostly => return Ok(None),
                    rows => rows?,
                };
            let last = !cut && rows.len() < batch;
            if let (false, Some(row)) = (last, rows.last()) {
                let backwards = query.cursor.as_ref().is_some_and(|c| c.backwards);
                query.cursor = Some(row.cursor(backwards));
            }
            asked += rows.len();
            let wanted = request.limit - found.len();
            found.extend(self.retain_matching(&query.type_name, rows, &asked_for, wanted).await?);
            let fit = rows_that_fit(&found, request.bytes);
            if fit < found.len().min(request.limit) {
                found.truncate(fit);
                return Ok(Some((found, true)));
            }
            if last || found.len() >= request.limit {
                found.truncate(request.limit);
                return Ok(Some((found, false)));
            }
            next = sizes.next(request.limit, asked, found.len());
        }
        Ok(None)
    }

    /// The rows that pass all post-filters; at least `wanted` of them, when there are so many.
    async fn retain_matching(
        &self,
        type_name: &str,
        mut rows: Vec<SortedRow>,
        post_filters: &[&Condition],
        wanted: usize,
    ) -> Result<Vec<SortedRow>> {
        // Conditions that bodies decide are evaluated first.
        let (of_bodies, of_others): (Vec<&Condition>, Vec<&Condition>) =
            post_filters.iter().partition(|one| one.is_on_entries());
        if !of_bodies.is_empty() {
            let wanted = if of_others.is_empty() { wanted } else { usize::MAX };
            rows = self.retain_by_bodies(type_name, rows, &of_bodies, wanted)?;
        }
        for condition in of_others {
            let keys = rows.iter().map(|found| read::key(type_name, &found.row));
            let keys = keys.collect::<Result<Vec<Key>>>()?;
            let holds = match condition {
                Condition::Chain(chain) => self.keys_meeting_chain(type_name, &rows, chain).await?,
                Condition::Has(has) => self.keys_meeting_has(&keys, has).await?,
                _ => {
                    return Err(Error::internal(
                        "only conditions on entries, chains and `_has` can be post-filters",
                    ));
                }
            };
            let mut each = keys.iter();
            rows.retain(|_| each.next().is_some_and(|key| holds.contains(key)));
        }
        Ok(rows)
    }

    fn retain_by_bodies(
        &self,
        type_name: &str,
        rows: Vec<SortedRow>,
        conditions: &[&Condition],
        wanted: usize,
    ) -> Result<Vec<SortedRow>> {
        let mut found = Vec::new();
        for sorted_row in rows {
            if found.len() >= wanted {
                break;
            }
            let doc = read::version(type_name, &sorted_row.row)?.doc()?;
            let entries =
                self.registry.extract(&self.hasher, type_name, doc.root(), self.index_settings())?;
            if conditions.iter().all(|condition| condition.holds(&entries)) {
                found.push(sorted_row);
            }
        }
        Ok(found)
    }

    /// The resources whose reference leads to a resource that meets the chain's condition.
    async fn keys_meeting_chain(
        &self,
        type_name: &str,
        rows: &[SortedRow],
        chain: &Chain,
    ) -> Result<HashSet<Key>> {
        let mut leading: HashMap<Key, Vec<Key>> = HashMap::new();
        let versions = rows.iter().map(|found| read::version(type_name, &found.row));
        let versions = versions.collect::<Result<Vec<_>>>()?;
        let wanted = |t: &str| chain.targets.iter().any(|(target, _)| **target == *t);
        let mut holds = HashSet::new();
        let embedded = self.reference(type_name, &chain.code)?.is_embedded();
        for version in versions.iter().filter(|version| embedded || has_contained(version)) {
            if self.embedded_target_matches(version, chain)? {
                holds.insert(version.key.clone());
            }
        }
        if embedded {
            return Ok(holds);
        }
        let led_to = self.targets_by_version(&versions, &chain.code, &wanted).await?;
        for (version, ends) in versions.iter().zip(led_to) {
            for end in ends {
                leading.entry(end).or_default().push(version.key.clone());
            }
        }
        for (target, condition) in &chain.targets {
            let condition = condition.clone().on_rows();
            let ends: Vec<&Key> = leading.keys().filter(|end| end.type_name == *target).collect();
            let mut handles = Vec::with_capacity(ends.len());
            for end in &ends {
                handles.extend(self.handles(end)?);
            }
            let ids = ends.iter().map(|end| end.id.to_string()).collect();
            let both = Condition::All(vec![Condition::Ids(handles, ids), condition]).simplify();
            // Not every number of ends is to be a statement of its own.
            let limit = ends.len().next_power_of_two();
            let plan = sql::row_keys(self.placement, self.type_id(target)?, both, limit);
            let rows = self.run_plan(&plan, limit).await.map_err(|e| timeouts::costly_for(e, &chain.code))?;
            for row in rows {
                let end = key_of_row(target, &row)?;
                holds.extend(leading.get(&end).into_iter().flatten().cloned());
            }
        }
        Ok(holds)
    }

    /// The resources that are referred to by a resource that meets the condition of `_has`.
    async fn keys_meeting_has(&self, keys: &[Key], has: &Has) -> Result<HashSet<Key>> {
        let param = self.reference(&has.source, &has.code)?;
        let type_id = self.type_id(&has.source)?;
        let mut marked: HashMap<i64, Vec<&Key>> = HashMap::new();
        let mut by = By::Keys;
        let named = self.named_for(keys.to_vec(), &param).await?;
        for one in &named {
            for mark in self.reference_keys(one, &param, &mut by) {
                marked.entry(mark).or_default().push(&one.key);
            }
        }
        let marks = marked.keys().copied().collect();
        let condition = has.condition.clone().on_rows();
        let rows = self.run(&sql::chain::held(self.placement, by, marks, type_id, &condition)).await;
        let rows = rows.map_err(|e| timeouts::costly_for(e, &has.name()))?;
        let mut holds = HashSet::new();
        for row in rows {
            let mark: i64 = row.try_get(0).map_err(Error::internal)?;
            holds.extend(marked.get(&mark).into_iter().flatten().map(|key| (*key).clone()));
        }
        Ok(holds)
    }

    /// The index hashes, or the patient, that a reference to a resource leaves in the row that refers.
    fn reference_keys(&self, named: &ReferencedResource, param: &Param, by: &mut By) -> Vec<i64> {
        let marks = refers_to(param, std::slice::from_ref(named), &self.registry, &self.hasher);
        match marks {
            Condition::Patient(handles) => {
                *by = By::Patient;
                handles
            }
            Condition::Keys(keys) => keys,
            _ => Vec::new(),
        }
    }
}

/// True when the body of a version may have contained resources.
fn has_contained(version: &Version) -> bool {
    let body = version.body.as_deref().unwrap_or_default();
    let has = |text: &[u8]| body.windows(text.len()).any(|part| part == text);
    has(CONTAINED) || has(ESCAPE)
}

/// True when `_has` can be a post-filter: all references by the parameter are in one column of the row.
pub(super) fn can_post_filter(type_name: &str, param: &Param) -> bool {
    is_by_patient(type_name, param) || param.indexes.iter().all(|index| index.role != Role::Patient)
}

/// How many of the first rows fill a page of `bytes`; the one that exceeds it is among them.
fn rows_that_fit(rows: &[SortedRow], bytes: usize) -> usize {
    let mut taken = 0;
    let fit = rows.iter().take_while(|sorted_row| {
        let fits = taken <= bytes;
        taken += body_bytes(&sorted_row.row);
        fits
    });
    fit.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_follow_from_what_was_found() {
        let rows = [
            // A half holds: twice the rest of the page, and some more.
            (BODY_BATCHES, (32, 16), Some(21)),
            (BODY_BATCHES, (32, 20), Some(11)),
            (BODY_BATCHES, (32, 2), Some(378)),
            // None yet: much more, as long as it may still be common.
            (BODY_BATCHES, (32, 0), Some(378)),
            (BODY_BATCHES, (410, 0), None),
            (BODY_BATCHES, (410, 9), Some(756)),
            (REFERENCE_BATCHES, (21, 5), Some(126)),
            (REFERENCE_BATCHES, (21, 4), None),
            (REFERENCE_BATCHES, (378, 300), None),
            (SELECTIVE_BATCHES, (63, 0), Some(504)),
            (SELECTIVE_BATCHES, (6000, 0), Some(378)),
            (SELECTIVE_BATCHES, (6300, 0), None),
        ];
        for (sizes, (asked, found), wanted) in rows {
            assert_eq!(sizes.next(21, asked, found), wanted, "{asked} asked, {found} found");
        }
        for sizes in [REFERENCE_BATCHES, BODY_BATCHES, LIKELY_BATCHES, SELECTIVE_BATCHES] {
            for limit in [1, 2, 1001] {
                let (mut asked, mut batches) = (sizes.first(limit), 1);
                while asked / 40 < limit
                    && let Some(next) = sizes.next(limit, asked, asked / 40)
                {
                    (asked, batches) = (asked + next, batches + 1);
                }
                assert!(batches < 10 && asked <= limit * 900, "{limit}: {asked} in {batches}");
            }
        }
    }
}
