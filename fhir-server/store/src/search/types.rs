//! Searches of several types: each type's rows in order, merged into one order.

use std::cmp::Ordering;

use fhir_model::{Error, Result};
use fhir_search::cursor::Cursor;
use fhir_search::query::Query;
use fhir_search::sql::{self, Plan};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_postgres::Row;

use super::{Found, Part, cursor};
use crate::Store;
use crate::scope::Scope;

/// Types that are asked at the same time.
const PARALLEL: usize = 4;
/// Rows that are read of one type at a time, when there are many types.
const ROWS_MIN: usize = 10;

/// The rows of a page, of several types.
pub(super) struct Hits {
    pub(super) rows: Vec<Hit>,
    /// There is more, though it was not looked for.
    pub(super) more: bool,
    plans: Vec<Plan>,
}

/// A row and which of the queries found it.
pub(super) struct Hit {
    pub(super) of: usize,
    pub(super) row: Row,
}

/// The rows of one type that are not merged yet, the next one first.
struct Lane {
    of: usize,
    rows: std::vec::IntoIter<Row>,
    next: Option<(Cursor, Row)>,
    /// There may be more than was read.
    more: bool,
}

impl Hits {
    /// The plan that found a row.
    pub(super) fn plan_of(&self, hit: &Hit) -> Result<&Plan> {
        self.plans.get(hit.of).ok_or_else(|| Error::internal("a row of no plan"))
    }
}

impl Store {
    /// Of these types, those that have resources.
    pub async fn present(&self, _: &Scope, types: &[&str]) -> Result<Vec<Box<str>>> {
        let numbers = types.iter().filter_map(|t| self.registry.number(t)).map(i32::from).collect();
        let rows = self.run(&sql::present(numbers)).await?;
        rows.iter().map(|row| Ok(self.type_of(row.try_get(0).map_err(Error::internal)?)?.into())).collect()
    }

    /// At most `limit` rows of all parts, in their order.
    pub(super) async fn hits(&self, parts: &mut [Part<'_>], limit: usize) -> Result<Hits> {
        if let [part] = parts {
            let bytes = self.options.page_bytes_max;
            let Found { plan, rows, more } = self.find(&part.query, &mut part.resolved, limit, bytes).await?;
            let rows = rows.into_iter().map(|row| Hit { of: 0, row }).collect();
            return Ok(Hits { rows, more, plans: vec![plan] });
        }
        // A page is made of rows of many types; most of what each could give would be read for nothing.
        let each = (2 * limit / parts.len().max(1)).clamp(ROWS_MIN.min(limit), limit);
        let bytes = self.options.page_bytes_max / parts.len().max(1);
        let found: Vec<_> =
            parts.iter_mut().map(|part| self.find(&part.query, &mut part.resolved, each, bytes)).collect();
        let found: Vec<Found> = stream::iter(found).buffered(PARALLEL).try_collect().await?;
        let mut plans = Vec::with_capacity(found.len());
        let mut lanes = Vec::with_capacity(found.len());
        for (of, Found { plan, rows, more }) in found.into_iter().enumerate() {
            let more = more || rows.len() == each;
            let mut lane = Lane { of, rows: rows.into_iter(), next: None, more };
            lane.advance(&plan)?;
            lanes.push(lane);
            plans.push(plan);
        }
        comparable(&plans)?;
        let mut rows = Vec::with_capacity(limit);
        let mut taken = 0;
        while rows.len() < limit {
            if taken > self.options.page_bytes_max {
                return Ok(Hits { rows, more: true, plans });
            }
            let Some(lane) = least(&mut lanes, &plans) else { break };
            let (Some((place, row)), Some(plan)) = (lane.next.take(), plans.get(lane.of)) else { break };
            let of = lane.of;
            taken += row.raw_size_bytes();
            rows.push(Hit { of, row });
            lane.advance(plan)?;
            if let (None, true, Some(Part { query, resolved })) = (&lane.next, lane.more, parts.get_mut(of)) {
                let backwards = query.cursor.as_ref().is_some_and(|c| c.backwards);
                let after = Query { cursor: Some(Cursor { backwards, ..place }), ..Query::clone(query) };
                let found = self.find(&after, resolved, each, bytes).await?;
                lane.more = found.more || found.rows.len() == each;
                lane.rows = found.rows.into_iter();
                lane.advance(plan)?;
            }
        }
        Ok(Hits { rows, more: false, plans })
    }
}

impl Lane {
    fn advance(&mut self, plan: &Plan) -> Result<()> {
        self.next = match self.rows.next() {
            Some(row) => Some((cursor(&row, plan, false)?, row)),
            None => None,
        };
        Ok(())
    }
}

/// The lane whose next row comes first.
fn least<'l>(lanes: &'l mut [Lane], plans: &[Plan]) -> Option<&'l mut Lane> {
    let directions = &plans.first()?.directions;
    let with_rows = lanes.iter_mut().filter(|lane| lane.next.is_some());
    with_rows.min_by(|a, b| match (&a.next, &b.next) {
        (Some((a, _)), Some((b, _))) => a.compare(b, directions),
        _ => Ordering::Equal,
    })
}

/// A parameter that is a number in one type and a text in another gives no order.
fn comparable(plans: &[Plan]) -> Result<()> {
    let first = plans.first().map(|plan| (&plan.places, &plan.directions));
    match plans.iter().all(|plan| Some((&plan.places, &plan.directions)) == first) {
        true => Ok(()),
        false => {
            Err(Error::invalid("the types that are searched have no common order by these keys").at("_sort"))
        }
    }
}
