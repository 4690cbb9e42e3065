//! Searches of several types: each type's rows in order, merged into one order.

use std::cmp::Ordering;

use fhir_model::{Error, Result};
use fhir_search::order::{Key, Order};
use fhir_search::query::Query;
use fhir_search::sql::{self, Placement};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::part::{Part, PartRows};
use super::sort_values::SortedRow;
use crate::read::body_bytes;
use crate::scope::ScopedStore;

/// Types that are asked at the same time.
const PARALLEL: usize = 4;
/// Rows that are read of one type at a time, when there are many types.
const ROWS_MIN: usize = 10;

/// The rows of a page, of several types.
pub(super) struct Hits {
    pub(super) rows: Vec<Hit>,
    /// There are more rows that were not read.
    pub(super) more: bool,
}

/// A row and which of the queries found it.
pub(super) struct Hit {
    pub(super) part: usize,
    pub(super) found: SortedRow,
}

/// The rows of one type that are not merged yet, the next one first.
struct MergeInput {
    part: usize,
    rows: std::vec::IntoIter<SortedRow>,
    next: Option<SortedRow>,
    /// There may be more than was read.
    more: bool,
}

impl ScopedStore<'_> {
    /// Of these types, those that have resources.
    pub(crate) async fn types_with_resources(&self, types: &[&str]) -> Result<Vec<Box<str>>> {
        let (numbers, visible) = (self.type_ids(types.iter().copied()), self.visible_rows());
        let rows = match self.placement {
            Placement::Single => self.run(&sql::types_with_resources(numbers, &visible)).await?,
            // A distributed database has no statement that stops at the first row of each type.
            Placement::Distributed => {
                let each: Vec<_> = numbers.into_iter().map(|n| sql::one_of_type(n, &visible)).collect();
                let found = each.iter().map(|one| self.run(one)).collect::<Vec<_>>();
                let rows: Vec<_> = stream::iter(found).buffered(PARALLEL).try_collect().await?;
                rows.into_iter().flatten().collect()
            }
        };
        rows.iter().map(|row| Ok(self.type_name(row.try_get(0).map_err(Error::internal)?)?.into())).collect()
    }

    /// At most `limit` rows of all parts, in their order.
    pub(super) async fn hits(&self, parts: &mut [Part<'_>], limit: usize) -> Result<Hits> {
        if let [part] = parts {
            let bytes = self.options.page_bytes_max;
            let PartRows { rows, more, .. } =
                self.part_page(&part.query, &mut part.resolved, limit, bytes).await?;
            return Ok(Hits { rows: rows.into_iter().map(|found| Hit { part: 0, found }).collect(), more });
        }
        // A page is made of rows of many types; most of what each could give would be read for nothing.
        let each = (2 * limit / parts.len().max(1)).clamp(ROWS_MIN.min(limit), limit);
        let bytes = self.options.page_bytes_max / parts.len().max(1);
        let found: Vec<_> = parts
            .iter_mut()
            .map(|part| self.part_page(&part.query, &mut part.resolved, each, bytes))
            .collect();
        let found: Vec<PartRows> = stream::iter(found).buffered(PARALLEL).try_collect().await?;
        let mut orders = Vec::with_capacity(found.len());
        let mut inputs = Vec::with_capacity(found.len());
        for (of, PartRows { order, rows, more }) in found.into_iter().enumerate() {
            let more = more || rows.len() == each;
            let mut rows = rows.into_iter();
            let next = rows.next();
            inputs.push(MergeInput { part: of, rows, next, more });
            orders.push(order);
        }
        comparable(&orders)?;
        let backwards = parts.iter().any(|part| part.query.cursor.as_ref().is_some_and(|c| c.backwards));
        let mut rows = Vec::with_capacity(limit);
        let mut taken = 0;
        while rows.len() < limit {
            if taken > self.options.page_bytes_max {
                return Ok(Hits { rows, more: true });
            }
            let Some(input) = orders.first().and_then(|order| least(&mut inputs, order, backwards)) else {
                break;
            };
            let Some(found) = input.next.take() else { break };
            let (of, place) = (input.part, found.cursor(backwards));
            taken += body_bytes(&found.row);
            rows.push(Hit { part: of, found });
            input.next = input.rows.next();
            if let (None, true, Some(Part { query, resolved })) = (&input.next, input.more, parts.get_mut(of))
            {
                let after = Query { cursor: Some(place), ..Query::clone(query) };
                let found = self.part_page(&after, resolved, each, bytes).await?;
                input.more = found.more || found.rows.len() == each;
                input.rows = found.rows.into_iter();
                input.next = input.rows.next();
            }
        }
        Ok(Hits { rows, more: false })
    }
}

/// The lane whose next row comes first.
fn least<'l>(inputs: &'l mut [MergeInput], order: &Order, backwards: bool) -> Option<&'l mut MergeInput> {
    let with_rows = inputs.iter_mut().filter(|input| input.next.is_some());
    with_rows.min_by(|a, b| match (&a.next, &b.next) {
        (Some(a), Some(b)) => {
            let (a, b) = if backwards { (b, a) } else { (a, b) };
            order.compare((&a.sort_values, a.handle), (&b.sort_values, b.handle))
        }
        _ => Ordering::Equal,
    })
}

/// A parameter that is a number in one type and a text in another gives no order.
fn comparable(orders: &[Order]) -> Result<()> {
    let kinds = |order: &Order| order.keys().iter().map(Key::is_number).collect::<Vec<_>>();
    let first = orders.first().map(kinds);
    match orders.iter().all(|order| Some(kinds(order)) == first) {
        true => Ok(()),
        false => {
            Err(Error::invalid("the types that are searched have no common order by these keys").at("_sort"))
        }
    }
}
