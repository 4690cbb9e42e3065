//! `_total`: <https://hl7.org/fhir/R4/search.html#total>
//!
//! An exact number costs as much as there is to count, so it has a time; after that an estimate has to do, and the answer
//! says so.

use std::borrow::Cow;

use fhir_model::{Error, Result};
use fhir_search::condition::Condition;
use fhir_search::query::{Query, Total};
use fhir_search::sql;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::part::Part;
use super::timeouts;
use crate::scope::ScopedStore;

/// A number of matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub n: u64,
    /// False for an estimate.
    pub exact: bool,
}

/// Matches up to which an estimate counts instead.
const ESTIMATE_COUNTS_MAX: usize = 10_000;

impl ScopedStore<'_> {
    /// The exact number of matches.
    pub(crate) async fn count(&self, query: &Query) -> Result<Count> {
        let mut resolved = self.resolve(query).await?;
        self.resolve_post_filters(query, &mut resolved).await?;
        let condition = self.counted_condition(query, &resolved.condition)?;
        self.count_exactly(query, &condition).await
    }

    /// The condition as it is counted: quantities by code say the code, too.
    fn counted_condition<'c>(&self, query: &Query, condition: &'c Condition) -> Result<Cow<'c, Condition>> {
        let alone = self
            .registry
            .for_type(&query.type_name)?
            .code_quantity_index(&self.hasher)
            .without_codes(condition);
        Ok(alone.map_or(Cow::Borrowed(condition), Cow::Owned))
    }

    /// The number of matches of all parts, as the search asks for it.
    pub(super) async fn total(
        &self,
        parts: &mut [Part<'_>],
        warnings: &mut Vec<String>,
    ) -> Result<Option<Count>> {
        let until = Instant::now() + self.options.total_timeout;
        let mut all = Count { n: 0, exact: true };
        let mut timed_out = false;
        for Part { query, resolved } in parts {
            if query.total == Total::None && query.count > 0 {
                return Ok(None);
            }
            self.resolve_post_filters(query, resolved).await?;
            let condition = &*self.counted_condition(query, &resolved.condition)?;
            let count = match query.total {
                Total::Estimate => self.estimate(query, condition, until).await?,
                Total::None | Total::Accurate => match self.count_until(query, condition, until).await? {
                    Some(count) => Some(count),
                    None => {
                        timed_out = true;
                        self.planned_rows(query, condition, 0).await?
                    }
                },
            };
            let Some(count) = count else {
                warnings.push("there is no total: it could not be counted in time".to_owned());
                return Ok(None);
            };
            all = Count { n: all.n + count.n, exact: all.exact && count.exact };
        }
        if timed_out {
            let seconds = self.options.total_timeout.min(self.options.statement_timeout).as_secs_f32();
            warnings.push(format!("the total is an estimate: it could not be counted within {seconds} s"));
        }
        Ok(Some(all))
    }

    async fn count_exactly(&self, query: &Query, condition: &Condition) -> Result<Count> {
        let rows = self.run(&sql::count(self.type_id(&query.type_name)?, condition, None)).await?;
        Ok(Count { n: number(&rows)?, exact: true })
    }

    /// The exact number of matches. Returns `None` when counting takes longer than until `until`.
    async fn count_until(
        &self,
        query: &Query,
        condition: &Condition,
        until: Instant,
    ) -> Result<Option<Count>> {
        let sql = sql::count(self.type_id(&query.type_name)?, condition, None);
        let Some(rows) = self.run_until(&sql, until).await? else { return Ok(None) };
        Ok(Some(Count { n: number(&rows)?, exact: true }))
    }

    async fn estimate(&self, query: &Query, condition: &Condition, until: Instant) -> Result<Option<Count>> {
        let bounded = sql::count(self.type_id(&query.type_name)?, condition, Some(ESTIMATE_COUNTS_MAX + 1));
        let n = match self.run_until(&bounded, until).await? {
            Some(rows) => number(&rows)?,
            None => return self.planned_rows(query, condition, 0).await,
        };
        match n <= ESTIMATE_COUNTS_MAX as u64 {
            true => Ok(Some(Count { n, exact: true })),
            false => self.planned_rows(query, condition, n).await,
        }
    }

    /// What the planner's statistics say, but never less than was seen. They count what a caller does not see, who is told
    /// what was seen alone, and a coordinator has none of its nodes' rows; `None` when nothing was seen.
    async fn planned_rows(&self, query: &Query, condition: &Condition, seen: u64) -> Result<Option<Count>> {
        if !self.sees_all() || self.is_distributed() {
            return Ok((seen > 0).then_some(Count { n: seen, exact: false }));
        }
        let all = sql::count(self.type_id(&query.type_name)?, condition, Some(i32::MAX as usize));
        let text = format!("explain (format json) {}", all.text());
        let rows = self.run_text(&text, all.binds()).await.map_err(|e| timeouts::costly(e, all.shape()))?;
        let plan: serde_json::Value = match rows.first() {
            Some(row) => row.try_get(0).map_err(Error::internal)?,
            None => serde_json::Value::Null,
        };
        let planned =
            plan.pointer("/0/Plan/Plans/0/Plan Rows").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        Ok(Some(Count { n: (planned as u64).max(seen), exact: false }))
    }
}

fn number(rows: &[Row]) -> Result<u64> {
    let row = rows.first().ok_or_else(|| Error::internal("a count without a row"))?;
    let n: i64 = row.try_get(0).map_err(Error::internal)?;
    u64::try_from(n).map_err(Error::internal)
}
