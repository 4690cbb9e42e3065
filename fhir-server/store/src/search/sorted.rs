//! Orders by what is beside the row. Where entries have the values in order, they are walked, and each row is asked
//! whether it matches; where few match, all of them are gathered and sorted by what their bodies say. What can be done in
//! neither way within bounds is refused.

use std::collections::HashMap;

use fhir_model::{Error, Kind, Result};
use fhir_search::condition::Condition;
use fhir_search::cursor::{Cursor, Place};
use fhir_search::order::{Order, TEXT_CHARS_MAX, sorted_part};
use fhir_search::query::Query;
use fhir_search::sql::everything::current;
use fhir_search::sql::{self, entries::Walk};
use tokio_postgres::Row;

use super::explain;
use super::place::{Placed, Standing};
use crate::Store;

/// Entries that are looked at before the search is answered in another way. First it is some more than a page, or some
/// pages when not all will match, then each time so many times more.
const WALK_MAX: usize = 16_384;
const WALK_GROWS: usize = 8;
/// References of a match that are followed to sort it, on average.
const ENDS_OF_EACH: usize = 5;
/// Where an entry stands in a row of a walk.
const ENTRY: usize = 7;

/// A page of a search in an order.
#[derive(Clone, Copy)]
pub(super) struct Ask<'q> {
    pub(super) query: &'q Query,
    pub(super) condition: &'q Condition,
    pub(super) order: &'q Order,
    pub(super) limit: usize,
    /// It ends when its rows have more bytes.
    pub(super) bytes: usize,
}

/// Rows in order; true when there are more, though they were not looked for: the bytes are enough.
pub(super) type Rows = (Vec<Placed>, bool);

impl Store {
    /// Matches in their order, from where the query's cursor stands.
    pub(super) async fn ordered(&self, ask: Ask<'_>) -> Result<Rows> {
        if ask.order.is_columns() {
            let plan = sql::page(ask.query, ask.condition.clone(), ask.order, &self.registry, ask.limit);
            let (rows, cut) = self.run_page(&plan, ask.limit, ask.bytes).await?;
            let rows = rows.into_iter().map(|row| Placed::read(row, &plan.places));
            return Ok((rows.collect::<Result<_>>()?, cut));
        }
        let narrow = sql::is_narrow(ask.condition);
        if narrow && let Some(found) = self.gathered(ask).await? {
            return Ok(found);
        }
        if let Some(found) = self.walked(ask).await? {
            return Ok(found);
        }
        if !narrow && let Some(found) = self.gathered(ask).await? {
            return Ok(found);
        }
        let text = format!(
            "more than {} resources match, too many to sort them so; narrow the search or sort by a date, \
             a number or a text",
            self.options.sorted_max
        );
        Err(Error::new(Kind::TooCostly, text).at("_sort"))
    }

    /// Along the entries of the first key, and then those that have none; none when there is no such walk or it is long.
    async fn walked(&self, ask: Ask<'_>) -> Result<Option<Rows>> {
        let Some(first) = ask.order.keys().first() else { return Ok(None) };
        // The values are the same along the entries of one code: links hold of either walk.
        let by_code = self.registry.of(&ask.query.type_name)?;
        let by_code = by_code.by_code(&self.keyer).sorted(first, ask.condition);
        let (first, beside) = by_code.as_ref().map_or((first, ask.condition), |(key, rest)| (key, rest));
        let at = ask.query.cursor.as_ref();
        let backwards = at.is_some_and(|c| c.backwards);
        let at = at.filter(|c| !c.is_end());
        let in_missing = at.map(|c| c.places.first() == Some(&first.missing()));
        let Some(walk) = Walk::of(first, at.filter(|_| in_missing == Some(false)), backwards) else {
            return Ok(None);
        };
        // Those without a value come last, or first when the page is walked backwards.
        let with = in_missing != Some(true) || backwards;
        let without = in_missing != Some(false) || !backwards;
        let steps =
            if backwards { [(without, false), (with, true)] } else { [(with, true), (without, false)] };
        let (mut found, mut taken) = (Vec::new(), 0);
        for (_, valued) in steps.into_iter().filter(|(wanted, _)| *wanted) {
            let ask = Ask { limit: ask.limit - found.len(), bytes: ask.bytes.saturating_sub(taken), ..ask };
            let (rows, cut) = match valued {
                true => match self.along(Ask { condition: beside, ..ask }, &walk).await? {
                    Some(rows) => rows,
                    None => return Ok(None),
                },
                false => self.valueless(ask, &walk, in_missing == Some(true)).await?,
            };
            taken += rows.iter().map(|placed| placed.row.raw_size_bytes()).sum::<usize>();
            let full = cut || rows.len() >= ask.limit;
            found.extend(rows);
            if full {
                return Ok(Some((found, cut)));
            }
        }
        Ok(Some((found, false)))
    }

    /// Those that have no value of the first key, by the rest of the keys.
    async fn valueless(&self, ask: Ask<'_>, walk: &Walk<'_>, begun: bool) -> Result<Rows> {
        let none = Condition::Not(Box::new(walk.present()));
        let condition = Condition::All(vec![ask.condition.clone(), none]).simplify();
        let mut query = ask.query.clone();
        if !begun {
            query.cursor = query.cursor.filter(|c| c.backwards).map(|_| Cursor::end());
        }
        let order = ask.order.of_missing();
        Box::pin(self.ordered(Ask { query: &query, condition: &condition, order: &order, ..ask })).await
    }

    /// Along the entries; none when a page is not full after all that may be looked at.
    async fn along(&self, ask: Ask<'_>, walk: &Walk<'_>) -> Result<Option<Rows>> {
        let halves = if *ask.condition == Condition::default() { 3 } else { 6 };
        let first = (ask.limit * halves).div_ceil(2);
        for looked_at in
            std::iter::successors(Some(first), |n| Some(n * WALK_GROWS)).take_while(|n| *n <= WALK_MAX)
        {
            let (rows, cut) = self.run_within(&walk.sql(ask.condition, looked_at), ask.bytes).await?;
            let exhausted = !cut && rows.len() < looked_at;
            let last = rows.last().map(entry).transpose()?;
            let (mut rows_of, mut standing, mut values) = (HashMap::new(), Vec::new(), Vec::new());
            for row in rows {
                // None: it does not match.
                let handle: Option<i64> = row.try_get(0).map_err(Error::internal)?;
                let Some(handle) = handle else { continue };
                values.push(entry(&row)?);
                standing.push(self.standing(&ask.query.type_name, &row, ask.order)?);
                rows_of.insert(handle, row);
            }
            self.complete(ask.order, &mut standing).await?;
            // A row is where its own value is; it may have other entries.
            let mut value = values.iter();
            standing.retain(|row| row.places.first() == value.next());
            // Of those that are alike by the last value there may be more.
            if let (false, false, Some(last)) = (exhausted, is_exact(ask.order, last.as_ref()), &last) {
                standing.retain(|row| row.places.first() != Some(last));
            }
            let mut first = after(ask, standing);
            first.truncate(ask.limit);
            let placed = first.into_iter().filter_map(|Standing { places, handle, .. }| {
                Some(Placed { row: rows_of.remove(&handle)?, places, handle })
            });
            let found: Vec<Placed> = placed.collect();
            if exhausted || found.len() >= ask.limit || (cut && !found.is_empty()) {
                return Ok(Some((found, cut)));
            }
        }
        Ok(None)
    }

    /// All matches, sorted by what their bodies say; none when they are too many.
    async fn gathered(&self, ask: Ask<'_>) -> Result<Option<Rows>> {
        let number = self.type_number(&ask.query.type_name)?;
        let plan = sql::unordered(number, ask.condition.clone(), self.options.sorted_max + 1);
        // The steps before it end where a page is full.
        let Some(step) = plan.steps.last() else { return Ok(Some((Vec::new(), false))) };
        let mut all = Vec::new();
        let mut ends = 0;
        let few = |row: Row| {
            let few = all.len() < self.options.sorted_max && ends <= self.options.sorted_max * ENDS_OF_EACH;
            if few {
                let standing = self.standing(&ask.query.type_name, &row, ask.order)?;
                ends += standing.ends();
                all.push(standing);
            }
            Ok(few)
        };
        if !self.run_each(&step.sql, few).await.map_err(|e| explain::costly_for(e, "_sort"))? {
            return Ok(None);
        }
        self.complete(ask.order, &mut all).await?;
        self.bodies(ask, after(ask, all)).await.map(Some)
    }

    /// The first of the rows whose places are known. What was deleted meanwhile is not there, nor has it bytes, and others
    /// take its place: a page without any would be the last one.
    async fn bodies(&self, ask: Ask<'_>, sorted: Vec<Standing>) -> Result<Rows> {
        let (mut found, mut taken) = (Vec::new(), 0);
        let mut rest = sorted.as_slice();
        while !rest.is_empty() && found.len() < ask.limit {
            let mut bytes = taken;
            let fits = rest.iter().take(ask.limit - found.len()).take_while(|row| {
                let fits = bytes <= ask.bytes;
                bytes += row.bytes;
                fits
            });
            let (some, further) = rest.split_at(fits.count());
            if some.is_empty() {
                return Ok((found, true));
            }
            rest = further;
            let mut rows = HashMap::with_capacity(some.len());
            for row in self.run(&current(some.iter().map(|row| row.handle).collect())).await? {
                rows.insert(row.try_get::<_, i64>(0).map_err(Error::internal)?, row);
            }
            for Standing { places, handle, .. } in some {
                let Some(row) = rows.remove(handle) else { continue };
                taken += row.raw_size_bytes();
                found.push(Placed { row, places: places.clone(), handle: *handle });
            }
        }
        Ok((found, false))
    }
}

/// The value of the entry that led to a row.
fn entry(row: &Row) -> Result<Place> {
    if let Ok(number) = row.try_get(ENTRY) {
        return Ok(Place::Number(number));
    }
    let text: &str = row.try_get(ENTRY).map_err(Error::internal)?;
    Ok(Place::Text(sorted_part(text).to_owned()))
}

/// True when the order of entries is that of their rows.
fn is_exact(order: &Order, last: Option<&Place>) -> bool {
    let cut = matches!(last, Some(Place::Text(text)) if text.chars().count() >= TEXT_CHARS_MAX);
    order.keys().len() == 1 && !cut
}

/// The rows after where a page begins, as they are walked.
fn after(ask: Ask<'_>, mut rows: Vec<Standing>) -> Vec<Standing> {
    let at = ask.query.cursor.as_ref();
    let backwards = at.is_some_and(|c| c.backwards);
    let compare = |a: (&[Place], i64), b: (&[Place], i64)| {
        let order = ask.order.compare(a, b);
        if backwards { order.reverse() } else { order }
    };
    if let Some(after) = at.filter(|c| !c.is_end()) {
        rows.retain(|row| compare((&row.places, row.handle), (&after.places, after.handle)).is_gt());
    }
    rows.sort_by(|a, b| compare((&a.places, a.handle), (&b.places, b.handle)));
    // A row with two entries that are alike was met twice.
    rows.dedup_by_key(|row| row.handle);
    rows
}
