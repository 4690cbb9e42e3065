//! Conditions that are not of the row: on its entries, or on other resources. Where they hold so often that it is cheaper
//! to ask each match than to look for all that meet them, the matches of the rest are asked, along the order.

use std::collections::{HashMap, HashSet};

use fhir_model::{Error, Key, Kind, Result};
use fhir_search::condition::{Chain, Condition, Has};
use fhir_search::filter::refers_to;
use fhir_search::include::Named;
use fhir_search::registry::{Param, Role};
use fhir_search::sql::{self, chain::By};

use super::chain::{is_by_patient, place};
use super::explain;
use super::place::Placed;
use super::sorted::{Ask, Rows};
use crate::version::Version;
use crate::{Store, read};

/// How matches of the rest are asked, batch by batch, in halves of a page. When the most of them do not fill the page, what
/// is late is looked for after all.
struct Asking {
    first: usize,
    most: usize,
    /// Of so many that are asked one must hold: where fewer do, it is not that common.
    for_one: usize,
}

/// Each batch is a statement or more. Where nearly all hold, the first one is enough.
const OF_OTHERS: Asking = Asking { first: 2, most: 36, for_one: 4 };
/// Each match is some microseconds.
const OF_BODIES: Asking = Asking { first: 3, most: 300, for_one: 50 };
/// The same where rows tell that they may hold, and most of these do.
const OF_LIKELY: Asking = Asking { first: 2, ..OF_BODIES };
/// The same where the rest has few matches: they are asked to the end.
const OF_FEW: Asking = Asking { first: 6, most: 600, for_one: usize::MAX };

/// The key of contained resources, and what any key can be written with.
const CONTAINED: &[u8] = b"\"contained\"";
const ESCAPE: &[u8] = b"\\u";
/// Most batches: one whose bodies are large ends before it has all its rows.
const BATCHES_MAX: usize = 10;
/// Sizes of batches, in halves of a page: each is a statement of its own to the database.
const HALVES: &[usize] = &[1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 100, 200, 300, 600];
/// A batch is at most so many times all before it.
const GROWS: usize = 8;

impl Asking {
    /// The size of the first batch, for a page of so many.
    fn first(&self, limit: usize) -> usize {
        (limit * self.first).div_ceil(2)
    }

    /// The size of the next one: what fills the page if as many hold as so far, and a quarter more. None: enough were asked.
    fn next(&self, limit: usize, asked: usize, found: usize) -> Option<usize> {
        let most = (limit * self.most).div_ceil(2);
        if asked >= most || asked / self.for_one > found {
            return None;
        }
        let likely = (limit.saturating_sub(found) * asked * 5).checked_div(found * 4);
        let wanted = likely.map_or(usize::MAX, |likely| likely + 1).min(asked * GROWS).min(most - asked);
        let sizes = HALVES.iter().map(|halves| (limit * halves).div_ceil(2));
        sizes.into_iter().find(|size| *size >= wanted)
    }
}

impl Store {
    /// A page of matches of which all the late conditions hold too; none when the batches were used up before the page was
    /// full.
    pub(super) async fn late_page(&self, ask: Ask<'_>, late: &[Condition]) -> Result<Option<Rows>> {
        let mut query = ask.query.clone();
        let (mut found, mut asked) = (Vec::new(), 0);
        let likely: Vec<Condition> = late.iter().filter_map(Condition::may_hold).collect();
        let of_bodies = late.iter().all(Condition::is_of_entries);
        let asking = match of_bodies {
            true if sql::is_narrow(ask.condition) => OF_FEW,
            true if ask.order.is_walked() && likely.len() == late.len() => OF_LIKELY,
            true if ask.order.is_walked() => OF_BODIES,
            // All would be sorted before the first is asked.
            true => return Ok(None),
            false => OF_OTHERS,
        };
        let asked_for: Vec<&Condition> = late.iter().filter(|one| !one.is_of_row()).collect();
        let condition = Condition::All([vec![ask.condition.clone()], likely].concat()).simplify();
        let ask = Ask { condition: &condition, ..ask };
        let mut next = Some(asking.first(ask.limit));
        for _ in 0..BATCHES_MAX {
            let Some(batch) = next else { break };
            let (rows, cut) = match self.ordered(Ask { query: &query, limit: batch, ..ask }).await {
                // Too many to sort, until what is late makes them fewer.
                Err(e) if e.kind == Kind::TooCostly => return Ok(None),
                rows => rows?,
            };
            let last = !cut && rows.len() < batch;
            if let (false, Some(row)) = (last, rows.last()) {
                let backwards = query.cursor.as_ref().is_some_and(|c| c.backwards);
                query.cursor = Some(row.cursor(backwards));
            }
            asked += rows.len();
            let wanted = ask.limit - found.len();
            found.extend(self.of_which_hold(&query.type_name, rows, &asked_for, wanted).await?);
            let fit = that_fit(&found, ask.bytes);
            if fit < found.len().min(ask.limit) {
                found.truncate(fit);
                return Ok(Some((found, true)));
            }
            if last || found.len() >= ask.limit {
                found.truncate(ask.limit);
                return Ok(Some((found, false)));
            }
            next = asking.next(ask.limit, asked, found.len());
        }
        Ok(None)
    }

    /// The rows of which all hold; as many as are wanted, if not more.
    async fn of_which_hold(
        &self,
        type_name: &str,
        mut rows: Vec<Placed>,
        late: &[&Condition],
        wanted: usize,
    ) -> Result<Vec<Placed>> {
        // What the bodies tell is asked first.
        let (of_bodies, of_others): (Vec<&Condition>, Vec<&Condition>) =
            late.iter().partition(|one| one.is_of_entries());
        if !of_bodies.is_empty() {
            let wanted = if of_others.is_empty() { wanted } else { usize::MAX };
            rows = self.whose_bodies_hold(type_name, rows, &of_bodies, wanted)?;
        }
        for condition in of_others {
            let keys = rows.iter().map(|found| read::key(type_name, &found.row));
            let keys = keys.collect::<Result<Vec<Key>>>()?;
            let holds = match condition {
                Condition::Chain(chain) => self.chain_holds(type_name, &rows, chain).await?,
                Condition::Has(has) => self.has_holds(&keys, has).await?,
                _ => return Err(Error::internal("only chains are late")),
            };
            let mut each = keys.iter();
            rows.retain(|_| each.next().is_some_and(|key| holds.contains(key)));
        }
        Ok(rows)
    }

    fn whose_bodies_hold(
        &self,
        type_name: &str,
        rows: Vec<Placed>,
        conditions: &[&Condition],
        wanted: usize,
    ) -> Result<Vec<Placed>> {
        let mut found = Vec::new();
        for placed in rows {
            if found.len() >= wanted {
                break;
            }
            let doc = super::include::parse(&read::version(type_name, &placed.row)?)?;
            let entries = self.registry.extract(&self.keyer, type_name, doc.root(), &self.settings.ours)?;
            if conditions.iter().all(|condition| condition.holds(&entries)) {
                found.push(placed);
            }
        }
        Ok(found)
    }

    /// The resources whose reference leads to one that meets its condition.
    async fn chain_holds(&self, type_name: &str, rows: &[Placed], chain: &Chain) -> Result<HashSet<Key>> {
        let mut leading: HashMap<Key, Vec<Key>> = HashMap::new();
        let versions = rows.iter().map(|found| read::version(type_name, &found.row));
        let versions = versions.collect::<Result<Vec<_>>>()?;
        let wanted = |t: &str| chain.targets.iter().any(|(target, _)| **target == *t);
        let mut holds = HashSet::new();
        let embedded = self.reference(type_name, &chain.code)?.is_embedded();
        for version in versions.iter().filter(|version| embedded || has_contained(version)) {
            if self.leads_within(version, chain)? {
                holds.insert(version.key.clone());
            }
        }
        if embedded {
            return Ok(holds);
        }
        let led_to = self.led_to(&versions, &chain.code, &wanted).await?;
        for (version, ends) in versions.iter().zip(led_to) {
            for end in ends {
                leading.entry(end).or_default().push(version.key.clone());
            }
        }
        for (target, condition) in &chain.targets {
            let condition = condition.clone().of_rows();
            let ends: Vec<&Key> = leading.keys().filter(|end| end.type_name == *target).collect();
            let mut handles = Vec::with_capacity(ends.len());
            for end in &ends {
                handles.extend(self.handles(end)?);
            }
            let ids = ends.iter().map(|end| end.id.to_string()).collect();
            let both = Condition::All(vec![Condition::Ids(handles, ids), condition]).simplify();
            // Not every number of ends is to be a statement of its own.
            let limit = ends.len().next_power_of_two();
            let plan = sql::places(self.type_number(target)?, both, limit);
            let rows = self.run_plan(&plan, limit).await.map_err(|e| explain::costly_for(e, &chain.code))?;
            for row in rows {
                let end = place(target, &row)?;
                holds.extend(leading.get(&end).into_iter().flatten().cloned());
            }
        }
        Ok(holds)
    }

    /// The resources that something refers to of which the condition holds.
    async fn has_holds(&self, keys: &[Key], has: &Has) -> Result<HashSet<Key>> {
        let param = self.reference(&has.source, &has.code)?;
        let number = self.type_number(&has.source)?;
        let mut marked: HashMap<i64, Vec<&Key>> = HashMap::new();
        let mut by = By::Keys;
        let named = self.names(keys.to_vec(), &param).await?;
        for one in &named {
            for mark in self.marks(one, &param, &mut by) {
                marked.entry(mark).or_default().push(&one.key);
            }
        }
        let marks = marked.keys().copied().collect();
        let condition = has.condition.clone().of_rows();
        let rows = self.run(&sql::chain::held(by, marks, number, &condition)).await;
        let rows = rows.map_err(|e| explain::costly_for(e, &has.name()))?;
        let mut holds = HashSet::new();
        for row in rows {
            let mark: i64 = row.try_get(0).map_err(Error::internal)?;
            holds.extend(marked.get(&mark).into_iter().flatten().map(|key| (*key).clone()));
        }
        Ok(holds)
    }

    /// What a reference to a resource leaves in the row that refers.
    fn marks(&self, named: &Named, param: &Param, by: &mut By) -> Vec<i64> {
        let marks = refers_to(param, std::slice::from_ref(named), &self.registry, &self.keyer);
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

/// True when each match can be asked for what refers to it: all references are in one place of the row.
pub(super) fn can_be_late(type_name: &str, param: &Param) -> bool {
    is_by_patient(type_name, param) || param.indexes.iter().all(|index| index.role != Role::Patient)
}

/// How many of the first rows make a page of so many bytes; the one that fills it is among them.
fn that_fit(rows: &[Placed], bytes: usize) -> usize {
    let mut taken = 0;
    let fit = rows.iter().take_while(|placed| {
        let fits = taken <= bytes;
        taken += placed.row.raw_size_bytes();
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
            (OF_BODIES, (32, 16), Some(21)),
            (OF_BODIES, (32, 20), Some(11)),
            (OF_BODIES, (32, 2), Some(378)),
            // None yet: much more, as long as it may still be common.
            (OF_BODIES, (32, 0), Some(378)),
            (OF_BODIES, (410, 0), None),
            (OF_BODIES, (410, 9), Some(756)),
            (OF_OTHERS, (21, 5), Some(126)),
            (OF_OTHERS, (21, 4), None),
            (OF_OTHERS, (378, 300), None),
            (OF_FEW, (63, 0), Some(504)),
            (OF_FEW, (6000, 0), Some(378)),
            (OF_FEW, (6300, 0), None),
        ];
        for (asking, (asked, found), wanted) in rows {
            assert_eq!(asking.next(21, asked, found), wanted, "{asked} asked, {found} found");
        }
        for asking in [OF_OTHERS, OF_BODIES, OF_LIKELY, OF_FEW] {
            for limit in [1, 2, 1001] {
                let (mut asked, mut batches) = (asking.first(limit), 1);
                while asked / 40 < limit
                    && let Some(next) = asking.next(limit, asked, asked / 40)
                {
                    (asked, batches) = (asked + next, batches + 1);
                }
                assert!(batches < 10 && asked <= limit * 900, "{limit}: {asked} in {batches}");
            }
        }
    }
}
