//! Running the statements of `fhir-search`.

use std::time::Duration;

use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use fhir_search::sql::{Bind, Plan, Sql, Then};
use futures_util::TryStreamExt;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{statement_log, timeouts};
use crate::read::body_bytes;
use crate::scope::ScopedStore;

/// How long the database has to take note that a statement is to be stopped.
const STOPPING: Duration = Duration::from_secs(5);

impl ScopedStore<'_> {
    /// Runs the statements of a plan, one after the other, until the page is full.
    pub(crate) async fn run_plan(&self, plan: &Plan, limit: usize) -> Result<Vec<Row>> {
        let mut found = Vec::new();
        for step in &plan.steps {
            let rows = self.run(&step.sql).await?;
            if step.then == Then::IfFew && are_too_many(&rows)? {
                continue;
            }
            let full = found.len() + rows.len() >= limit;
            if full || step.then != Then::OrElse {
                found.extend(rows);
            }
            if full || matches!(step.then, Then::Done | Then::IfFew) {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The same, cut after the row with which `bytes` are exceeded. Returns true when rows were cut off.
    pub(super) async fn run_page(&self, plan: &Plan, limit: usize, bytes: usize) -> Result<(Vec<Row>, bool)> {
        let (mut found, mut taken) = (Vec::new(), 0);
        for step in &plan.steps {
            let (rows, cut) = self.run_within(&step.sql, bytes.saturating_sub(taken)).await?;
            if step.then == Then::IfFew && are_too_many(&rows)? {
                continue;
            }
            let full = cut || found.len() + rows.len() >= limit;
            if full || step.then != Then::OrElse {
                taken += rows.iter().map(body_bytes).sum::<usize>();
                found.extend(rows);
            }
            if cut {
                return Ok((found, true));
            }
            if full || matches!(step.then, Then::Done | Then::IfFew) {
                break;
            }
        }
        found.truncate(limit);
        Ok((found, false))
    }

    /// The first rows, up to the one with which `bytes` are exceeded. Returns true when there are more.
    pub(crate) async fn run_within(&self, sql: &Sql, bytes: usize) -> Result<(Vec<Row>, bool)> {
        let (mut rows, mut taken) = (Vec::new(), 0);
        let fits = |row: Row| {
            let fits = taken <= bytes;
            if fits {
                taken += body_bytes(&row);
                rows.push(row);
            }
            Ok(fits)
        };
        let all = self.run_each(sql, fits).await?;
        Ok((rows, !all))
    }

    /// All rows of a statement. Returns `None` when they have more than `bytes` together: in whatever order the database finds
    /// them, as the order depends on rows that are hidden.
    pub(crate) async fn run_all_within(&self, sql: &Sql, bytes: usize) -> Result<Option<Vec<Row>>> {
        let (mut rows, mut taken) = (Vec::new(), 0_usize);
        let fits = |row: Row| {
            taken = taken.saturating_add(body_bytes(&row));
            let fits = taken <= bytes;
            if fits {
                rows.push(row);
            }
            Ok(fits)
        };
        Ok(self.run_each(sql, fits).await?.then_some(rows))
    }

    /// Looks at the rows of a statement one by one; until `each` says that it has seen enough, then false. What is not taken
    /// waits in the database, or is thrown away with the stream.
    pub(super) async fn run_each(
        &self,
        sql: &Sql,
        mut each: impl FnMut(Row) -> Result<bool>,
    ) -> Result<bool> {
        statement_log::record(sql);
        let failed = |e| timeouts::costly(failure::classify(e), sql.shape());
        let client = self.client().await?;
        client
            .run(async {
                let statement = client.prepare_cached(sql.text()).await.map_err(failed)?;
                let stream = client.query_raw(&statement, parameters(sql.binds())).await.map_err(failed)?;
                let mut stream = std::pin::pin!(stream);
                while let Some(row) = stream.try_next().await.map_err(failed)? {
                    if !each(row)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            })
            .await
    }

    pub(crate) async fn run(&self, sql: &Sql) -> Result<Vec<Row>> {
        statement_log::record(sql);
        self.run_text(sql.text(), sql.binds()).await.map_err(|e| timeouts::costly(e, sql.shape()))
    }

    pub(super) async fn run_text(&self, text: &str, binds: &[Bind]) -> Result<Vec<Row>> {
        let client = self.client().await?;
        client.rows(text, &parameters(binds)).await
    }

    /// The rows of a statement. Returns `None` when it runs beyond `until`; it is cancelled then.
    pub(super) async fn run_until(&self, sql: &Sql, until: Instant) -> Result<Option<Vec<Row>>> {
        statement_log::record(sql);
        let client = self.client().await?;
        let cancel = client.cancel_token();
        let values = parameters(sql.binds());
        let mut running = Box::pin(client.rows(sql.text(), &values));
        match tokio::time::timeout_at(until, &mut running).await {
            // A statement has a time of its own, which may be shorter.
            Ok(Err(e)) if e.kind == Kind::Timeout => return Ok(None),
            Ok(rows) => return rows.map(Some),
            Err(_) => {}
        }
        let stopped = tokio::time::timeout(STOPPING, self.cancel(&cancel)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("a statement could not be stopped: it goes on until its own time is over");
        }
        // It may have ended by itself, and the request to stop may still be on its way: that would stop the connection's next
        // statement, which is somebody else's. So the connection does not go back to the pool.
        let ended = tokio::time::timeout(self.cancelled_within(), running).await;
        client.discard();
        if self.is_on_standby() && !matches!(&ended, Ok(Err(e)) if e.kind == Kind::Timeout) {
            // It is this request's, for its next statements.
            return Err(Error::new(Kind::Unavailable, "a standby did not stop a statement"));
        }
        match ended.map_err(Error::internal)? {
            Err(e) if e.kind == Kind::Timeout => Ok(None),
            ended => ended.map(Some),
        }
    }
}

/// True when the first row is NULL: the statement says so that there are too many.
fn are_too_many(rows: &[Row]) -> Result<bool> {
    let handle =
        rows.first().map(|row| row.try_get::<_, Option<i64>>(0)).transpose().map_err(Error::internal)?;
    Ok(handle == Some(None))
}

/// Values as the driver takes them.
pub(crate) fn parameters(binds: &[Bind]) -> Vec<&(dyn ToSql + Sync)> {
    let each = binds.iter().map(|bind| match bind {
        Bind::Long(n) => n as &(dyn ToSql + Sync),
        Bind::Longs(n) => n,
        Bind::Int(n) => n,
        Bind::Ints(n) => n,
        Bind::Text(t) => t,
        Bind::Texts(t) => t,
    });
    each.collect()
}
