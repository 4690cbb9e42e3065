//! Reindex scans as the table `reindex` has them.

use deadpool_postgres::Transaction;
use fhir_database::failure;
use fhir_model::{Error, Result};

use crate::Store;

/// What is done to the index of a type's resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReindexJob {
    /// The type.
    pub type_name: Box<str>,
    /// Whether it is done.
    pub state: ReindexState,
    /// Resources that were looked at.
    pub done: u64,
    /// Resources that there were when it began.
    pub total: u64,
    /// What keeps it from going on, with the resource it is about where it is about one.
    pub failure: Option<String>,
}

/// States of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReindexState {
    /// It has not begun.
    Waiting,
    /// It is under way.
    Running,
    /// It is under way, and something keeps it from going on.
    Failing,
    /// It is done.
    Done,
}

impl ReindexState {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ReindexState::Waiting => "waiting",
            ReindexState::Running => "running",
            ReindexState::Failing => "failing",
            ReindexState::Done => "done",
        }
    }
}

/// The scan of a type's rows, as the table `reindex` has it.
#[derive(Debug, Clone)]
pub(crate) struct ReindexScan {
    pub(crate) type_id: i32,
    pub(crate) type_name: Box<str>,
    pub(crate) wanted: i64,
    pub(crate) done: i64,
    pub(crate) scanning: Option<i64>,
    pub(crate) until_at: i64,
    pub(crate) position: (i64, i64),
    pub(crate) rows_done: i64,
    /// `None` until the rows were counted.
    pub(crate) rows_total: Option<i64>,
    pub(crate) failure: Option<String>,
}

impl ReindexScan {
    /// How many rows are indexed by what is in force since a version.
    pub(crate) fn done_since(&self, version: i64) -> i64 {
        match self.scanning {
            _ if self.done >= version => self.rows_total.unwrap_or(0),
            Some(walking) if walking >= version => self.rows_done,
            _ => 0,
        }
    }

    /// True when it is requested for a version and has not come to all rows.
    pub(crate) fn is_unfinished(&self, since: i64) -> bool {
        self.wanted >= since && self.done < since
    }

    pub(super) fn job(self) -> ReindexJob {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let state = match self.scanning {
            _ if self.failure.is_some() => ReindexState::Failing,
            Some(_) => ReindexState::Running,
            None if self.done < self.wanted => ReindexState::Waiting,
            None => ReindexState::Done,
        };
        ReindexJob {
            type_name: self.type_name,
            state,
            done: count(self.rows_done),
            total: count(self.rows_total.unwrap_or(0)),
            failure: self.failure,
        }
    }
}

const REQUEST: &str = "insert into reindex (type_id, wanted, done, until_at, position_at, position_handle, rows_done) \
     select t.id, $2::int8, 0, 0, 0, 0, 0 from unnest($1::int4[]) as t(id) \
     order by t.id on conflict (type_id) do update set wanted = excluded.wanted, failure = null, \
     rows_total = case when reindex.walking is null then null else reindex.rows_total end";

const SCANS: &str = "select j.type_id, j.wanted, j.done, j.walking, j.until_at, j.position_at, j.position_handle, \
     j.rows_done, j.rows_total, j.failure from reindex j order by j.type_id";

/// Rows of these types are to be indexed by a version, which is the latest: its row is locked.
pub(crate) async fn request(
    transaction: &Transaction<'_>,
    types: &[i32],
    version: i64,
) -> std::result::Result<(), tokio_postgres::Error> {
    let statement = transaction.prepare_cached(REQUEST).await?;
    transaction.execute(&statement, &[&types, &version]).await?;
    Ok(())
}

impl Store {
    pub(crate) async fn reindex_scans(&self) -> Result<Vec<ReindexScan>> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(SCANS).await.map_err(failure::classify)?;
        self.scans(&client.query(&statement, &[]).await.map_err(failure::classify)?)
    }

    /// The same as a transaction sees them.
    pub(crate) async fn reindex_scans_in(&self, transaction: &Transaction<'_>) -> Result<Vec<ReindexScan>> {
        let statement = transaction.prepare_cached(SCANS).await.map_err(failure::classify)?;
        self.scans(&transaction.query(&statement, &[]).await.map_err(failure::classify)?)
    }

    fn scans(&self, rows: &[tokio_postgres::Row]) -> Result<Vec<ReindexScan>> {
        rows.iter().map(|row| self.reindex_scan(row).map_err(Error::internal)?).collect()
    }

    fn reindex_scan(
        &self,
        row: &tokio_postgres::Row,
    ) -> std::result::Result<Result<ReindexScan>, tokio_postgres::Error> {
        let type_id: i32 = row.try_get(0)?;
        let name = match self.type_name(type_id) {
            Ok(name) => name.into(),
            Err(e) => return Ok(Err(e)),
        };
        Ok(Ok(ReindexScan {
            type_id,
            type_name: name,
            wanted: row.try_get(1)?,
            done: row.try_get(2)?,
            scanning: row.try_get(3)?,
            until_at: row.try_get(4)?,
            position: (row.try_get(5)?, row.try_get(6)?),
            rows_done: row.try_get(7)?,
            rows_total: row.try_get(8)?,
            failure: row.try_get(9)?,
        }))
    }
}
