//! Sort orders that are not columns of the row. Where entries have the values in order, an index-order scan reads them and tests
//! whether each row matches; where few match, all of them are fetched and sorted in memory by values of their bodies. What can be done in
//! neither way within bounds is refused.

use std::collections::HashMap;

use fhir_model::{Error, Kind, Result};
use fhir_search::condition::Condition;
use fhir_search::cursor::{Cursor, SortValue};
use fhir_search::order::{Order, TEXT_CHARS_MAX, sorted_part};
use fhir_search::query::Query;
use fhir_search::sql::everything::current;
use fhir_search::sql::{self, index_scan::IndexScan};
use tokio_postgres::Row;

use super::sort_values::{SortKey, SortedRow};
use super::timeouts;
use crate::read::body_bytes;
use crate::scope::ScopedStore;

/// Entries that are looked at before the search is answered in another way. First it is some more than a page, or some
/// pages when not all will match, then each time so many times more. Entries of hidden rows are among them, as an index does
/// not tell them apart: the work is bounded, not what is seen.
const SCAN_ENTRIES_MAX: usize = 16_384;
const SCAN_GROWTH: usize = 8;
/// References of a match that are followed to sort it, on average.
const ENDS_OF_EACH: usize = 5;
/// The column of the entry's value in a row of an index scan.
const ENTRY: usize = 7;

/// A page of a search in an order.
#[derive(Clone, Copy)]
pub(super) struct PageRequest<'q> {
    pub(super) query: &'q Query,
    pub(super) condition: &'q Condition,
    pub(super) order: &'q Order,
    pub(super) limit: usize,
    /// It ends when its rows have more bytes.
    pub(super) bytes: usize,
}

/// Rows in order; true when there are more rows that were not read, because the page's bytes are used up.
pub(super) type PageRows = (Vec<SortedRow>, bool);

impl ScopedStore<'_> {
    /// Matches in their order, after the query's cursor.
    pub(super) async fn sorted_page(&self, request: PageRequest<'_>) -> Result<PageRows> {
        // As a condition of an outer join, a distributed database does not take what is never true.
        if *request.condition == Condition::never() {
            return Ok((Vec::new(), false));
        }
        if request.order.is_columns() {
            let plan = sql::page(
                self.placement,
                request.query,
                self.type_id(&request.query.type_name)?,
                request.condition.clone(),
                request.order,
                request.limit,
            );
            let (rows, cut) = self.run_page(&plan, request.limit, request.bytes).await?;
            let rows = rows.into_iter().map(|row| SortedRow::read(row, &plan.sort_texts));
            return Ok((rows.collect::<Result<_>>()?, cut));
        }
        let selective = sql::is_selective(request.condition);
        if selective && let Some(found) = self.filter_then_sort(request).await? {
            return Ok(found);
        }
        if let Some(found) = self.index_order_scan(request).await? {
            return Ok(found);
        }
        if !selective && let Some(found) = self.filter_then_sort(request).await? {
            return Ok(found);
        }
        let text = format!(
            "more than {} resources match, too many to sort them so; narrow the search or sort by a date, \
             a number or a text",
            self.options.sorted_max
        );
        Err(Error::new(Kind::TooCostly, text).at("_sort"))
    }

    /// Matches by a scan of the entries of the first sort key, then those without a value. Returns `None` when no index has
    /// that order, or when too many entries would be read.
    async fn index_order_scan(&self, request: PageRequest<'_>) -> Result<Option<PageRows>> {
        let Some(first) = request.order.keys().first() else { return Ok(None) };
        // The entries of one code have the same values, so that a cursor is valid for either scan.
        let by_code = self.registry.for_type(&request.query.type_name)?;
        let by_code = by_code.code_quantity_index(&self.hasher).sorted(first, request.condition);
        let (first, beside) = by_code.as_ref().map_or((first, request.condition), |(key, rest)| (key, rest));
        let at = request.query.cursor.as_ref();
        let backwards = at.is_some_and(|c| c.backwards);
        let at = at.filter(|c| !c.is_end());
        let in_missing = at.map(|c| c.sort_values.first() == Some(&first.missing()));
        let Some(scan) = IndexScan::new(first, at.filter(|_| in_missing == Some(false)), backwards) else {
            return Ok(None);
        };
        // Rows without a value come last, or first on a page that is read backwards.
        let with = in_missing != Some(true) || backwards;
        let without = in_missing != Some(false) || !backwards;
        let steps =
            if backwards { [(without, false), (with, true)] } else { [(with, true), (without, false)] };
        let (mut found, mut taken) = (Vec::new(), 0);
        for (_, valued) in steps.into_iter().filter(|(wanted, _)| *wanted) {
            let request = PageRequest {
                limit: request.limit - found.len(),
                bytes: request.bytes.saturating_sub(taken),
                ..request
            };
            let (rows, cut) = match valued {
                true => match self.scan_entries(PageRequest { condition: beside, ..request }, &scan).await? {
                    Some(rows) => rows,
                    None => return Ok(None),
                },
                false => self.rows_without_value(request, &scan, in_missing == Some(true)).await?,
            };
            taken += rows.iter().map(|sorted_row| body_bytes(&sorted_row.row)).sum::<usize>();
            let full = cut || rows.len() >= request.limit;
            found.extend(rows);
            if full {
                return Ok(Some((found, cut)));
            }
        }
        Ok(Some((found, false)))
    }

    /// Those that have no value of the first key, by the rest of the keys.
    async fn rows_without_value(
        &self,
        request: PageRequest<'_>,
        scan: &IndexScan<'_>,
        begun: bool,
    ) -> Result<PageRows> {
        let none = Condition::Not(Box::new(scan.present()));
        let condition = Condition::All(vec![request.condition.clone(), none]).simplify();
        let mut query = request.query.clone();
        if !begun {
            query.cursor = query.cursor.filter(|c| c.backwards).map(|_| Cursor::end());
        }
        let order = request.order.for_missing();
        Box::pin(self.sorted_page(PageRequest {
            query: &query,
            condition: &condition,
            order: &order,
            ..request
        }))
        .await
    }

    /// Matches by a scan of entries. Returns `None` when at most `SCAN_ENTRIES_MAX` entries do not fill the page.
    async fn scan_entries(&self, request: PageRequest<'_>, scan: &IndexScan<'_>) -> Result<Option<PageRows>> {
        let halves = if *request.condition == Condition::default() { 3 } else { 6 };
        let first = (request.limit * halves).div_ceil(2);
        for looked_at in std::iter::successors(Some(first), |n| Some(n * SCAN_GROWTH))
            .take_while(|n| *n <= SCAN_ENTRIES_MAX)
        {
            let (mut rows, mut taken, mut beyond) = (Vec::new(), 0, None);
            let fits = |row: Row| {
                // What does not match, or is hidden, has no bytes: a page ends where it ends without such entries.
                let matches = row.try_get::<_, Option<i64>>(0).map_err(Error::internal)?.is_some();
                if matches && taken > request.bytes {
                    beyond = Some(entry(&row)?);
                    return Ok(false);
                }
                taken += if matches { body_bytes(&row) } else { 0 };
                rows.push(row);
                Ok(true)
            };
            let cut = !self.run_each(&scan.sql(self.placement, request.condition, looked_at), fits).await?;
            let exhausted = !cut && rows.len() < looked_at;
            // Where bytes end the scan, the first match that does not fit is its end: the last entry may be of a hidden row, and
            // would tell of it.
            let last = match beyond {
                Some(value) => Some(value),
                None => rows.last().map(entry).transpose()?,
            };
            let (mut rows_of, mut sort_keys, mut values) = (HashMap::new(), Vec::new(), Vec::new());
            for row in rows {
                // NULL: the row of this entry does not match.
                let handle: Option<i64> = row.try_get(0).map_err(Error::internal)?;
                let Some(handle) = handle else { continue };
                values.push(entry(&row)?);
                sort_keys.push(self.sort_key(&request.query.type_name, &row, request.order)?);
                rows_of.insert(handle, row);
            }
            self.add_target_values(request.order, &mut sort_keys).await?;
            // A row is where its own value is; it may have other entries.
            let mut value = values.iter();
            sort_keys.retain(|row| row.sort_values.first() == value.next());
            // Of those that are alike by the last value there may be more.
            if let (false, false, Some(last)) = (exhausted, is_exact(request.order, last.as_ref()), &last) {
                sort_keys.retain(|row| row.sort_values.first() != Some(last));
            }
            let mut first = rows_after_cursor(request, sort_keys);
            first.truncate(request.limit);
            let sorted_row = first.into_iter().filter_map(|SortKey { sort_values, handle, .. }| {
                Some(SortedRow { row: rows_of.remove(&handle)?, sort_values, handle })
            });
            let found: Vec<SortedRow> = sorted_row.collect();
            if exhausted || found.len() >= request.limit || (cut && !found.is_empty()) {
                return Ok(Some((found, cut)));
            }
        }
        Ok(None)
    }

    /// All matches, sorted in memory by values of their bodies. Returns `None` when there are more than `sorted_max`.
    async fn filter_then_sort(&self, request: PageRequest<'_>) -> Result<Option<PageRows>> {
        let type_id = self.type_id(&request.query.type_name)?;
        let plan =
            sql::unordered(self.placement, type_id, request.condition.clone(), self.options.sorted_max + 1);
        // The steps before it end where a page is full.
        let Some(step) = plan.steps.last() else { return Ok(Some((Vec::new(), false))) };
        let mut all = Vec::new();
        let mut ends = 0;
        let few = |row: Row| {
            let few = all.len() < self.options.sorted_max && ends <= self.options.sorted_max * ENDS_OF_EACH;
            if few {
                let sort_keys = self.sort_key(&request.query.type_name, &row, request.order)?;
                ends += sort_keys.ends();
                all.push(sort_keys);
            }
            Ok(few)
        };
        if !self.run_each(&step.sql, few).await.map_err(|e| timeouts::costly_for(e, "_sort"))? {
            return Ok(None);
        }
        self.add_target_values(request.order, &mut all).await?;
        self.fetch_sorted(request, rows_after_cursor(request, all)).await.map(Some)
    }

    /// The bodies of the first of the sorted rows. What was deleted meanwhile is not there, nor has it bytes, and others
    /// take its place: a page without any would be the last one.
    async fn fetch_sorted(&self, request: PageRequest<'_>, sorted: Vec<SortKey>) -> Result<PageRows> {
        let (mut found, mut taken) = (Vec::new(), 0);
        let mut rest = sorted.as_slice();
        while !rest.is_empty() && found.len() < request.limit {
            let mut bytes = taken;
            let fits = rest.iter().take(request.limit - found.len()).take_while(|row| {
                let fits = bytes <= request.bytes;
                bytes += row.bytes;
                fits
            });
            let (some, further) = rest.split_at(fits.count());
            if some.is_empty() {
                return Ok((found, true));
            }
            rest = further;
            let mut rows = HashMap::with_capacity(some.len());
            for row in
                self.run(&current(some.iter().map(|row| row.handle).collect(), &self.visible_rows())).await?
            {
                rows.insert(row.try_get::<_, i64>(0).map_err(Error::internal)?, row);
            }
            for SortKey { sort_values, handle, .. } in some {
                let Some(row) = rows.remove(handle) else { continue };
                taken += body_bytes(&row);
                found.push(SortedRow { row, sort_values: sort_values.clone(), handle: *handle });
            }
        }
        Ok((found, false))
    }
}

/// The value of the entry that led to a row.
fn entry(row: &Row) -> Result<SortValue> {
    if let Ok(number) = row.try_get(ENTRY) {
        return Ok(SortValue::Number(number));
    }
    let text: &str = row.try_get(ENTRY).map_err(Error::internal)?;
    Ok(SortValue::Text(sorted_part(text).to_owned()))
}

/// True when the order of entries is that of their rows.
fn is_exact(order: &Order, last: Option<&SortValue>) -> bool {
    let cut = matches!(last, Some(SortValue::Text(text)) if text.chars().count() >= TEXT_CHARS_MAX);
    order.keys().len() == 1 && !cut
}

/// The rows after the cursor, in the direction of the page.
fn rows_after_cursor(request: PageRequest<'_>, mut rows: Vec<SortKey>) -> Vec<SortKey> {
    let at = request.query.cursor.as_ref();
    let backwards = at.is_some_and(|c| c.backwards);
    let compare = |a: (&[SortValue], i64), b: (&[SortValue], i64)| {
        let order = request.order.compare(a, b);
        if backwards { order.reverse() } else { order }
    };
    if let Some(after) = at.filter(|c| !c.is_end()) {
        rows.retain(|row| {
            compare((&row.sort_values, row.handle), (&after.sort_values, after.handle)).is_gt()
        });
    }
    rows.sort_by(|a, b| compare((&a.sort_values, a.handle), (&b.sort_values, b.handle)));
    // A row with two entries that are alike was met twice.
    rows.dedup_by_key(|row| row.handle);
    rows
}
