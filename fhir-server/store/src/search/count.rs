//! `_total`: <https://hl7.org/fhir/R4/search.html#total>

use fhir_model::{Error, Result};
use fhir_search::condition::Condition;
use fhir_search::query::Query;
use fhir_search::sql;
use tokio_postgres::Row;

use crate::Store;
use crate::scope::Scope;

/// A number of matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub n: u64,
    /// False for an estimate.
    pub exact: bool,
}

/// Matches up to which an estimate counts instead.
const ESTIMATE_COUNTS_MAX: i64 = 10_000;

impl Store {
    /// The exact number of matches.
    pub async fn count(&self, scope: &Scope, query: &Query) -> Result<Count> {
        let mut resolved = self.resolve(scope, query).await?;
        self.settled(query, &mut resolved).await?;
        self.count_exactly(query, &resolved.condition).await
    }

    pub(super) async fn count_exactly(&self, query: &Query, condition: &Condition) -> Result<Count> {
        let rows = self.run(&sql::count(query, condition, &self.registry, None)).await?;
        Ok(Count { n: number(&rows)?, exact: true })
    }

    pub(super) async fn estimate(&self, query: &Query, condition: &Condition) -> Result<Count> {
        let bounded = sql::count(query, condition, &self.registry, Some(ESTIMATE_COUNTS_MAX + 1));
        let n = number(&self.run(&bounded).await?)?;
        if n <= ESTIMATE_COUNTS_MAX as u64 {
            return Ok(Count { n, exact: true });
        }
        // More than is worth counting: what the planner's statistics say, but never less than was seen.
        let all = sql::count(query, condition, &self.registry, Some(i64::MAX));
        let rows = self.run_text(&format!("explain (format json) {}", all.text()), all.binds()).await?;
        let plan: serde_json::Value = match rows.first() {
            Some(row) => row.try_get(0).map_err(Error::internal)?,
            None => serde_json::Value::Null,
        };
        let planned =
            plan.pointer("/0/Plan/Plans/0/Plan Rows").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        Ok(Count { n: (planned as u64).max(n), exact: false })
    }
}

fn number(rows: &[Row]) -> Result<u64> {
    let row = rows.first().ok_or_else(|| Error::internal("a count without a row"))?;
    let n: i64 = row.try_get(0).map_err(Error::internal)?;
    u64::try_from(n).map_err(Error::internal)
}
