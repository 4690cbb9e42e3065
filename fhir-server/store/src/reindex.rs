//! Walks over the rows of a type that give them the index entries they should have.
//!
//! A scan is a row of the table `reindex`: which version of the search parameters it is for, and its position. The process with its
//! lease advances it by a batch, in one transaction with the new position; when that process is gone, another
//! one goes on there. A batch writes what the current version of each row should have, under its lock, so doing
//! it twice changes nothing.

mod format;
mod settings;
mod steps;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Transaction;
use fhir_model::{Error, Result};
use fhir_search::TenantId;

pub(crate) use self::settings::Settings;
use crate::scope::Scope;
use crate::{Store, failure, parameters};

/// How old resources are indexed anew.
#[derive(Debug, Clone)]
pub struct ReindexOptions {
    /// Resources in one transaction.
    pub batch: usize,
    /// Between two of them.
    pub pause: Duration,
    /// For how long nobody else goes on where a process was seen.
    pub lease: Duration,
}

impl Default for ReindexOptions {
    fn default() -> ReindexOptions {
        ReindexOptions { batch: 200, pause: Duration::ZERO, lease: Duration::from_secs(30) }
    }
}

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

    fn job(self) -> ReindexJob {
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
    /// Indexes all of the tenant's resources of these types anew: entries that are missing come, those that are not due go.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown type, `Unavailable` when the database is away.
    pub async fn reindex(&self, scope: &Scope, types: &[&str]) -> Result<()> {
        let scoped = self.scoped(scope);
        let type_ids = types.iter().map(|name| scoped.type_id(name)).collect::<Result<Vec<_>>>()?;
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let row = transaction.query_one(parameters::NEXT_VERSION, &[]).await.map_err(failure::classify)?;
        let version: i64 = row.try_get(0).map_err(Error::internal)?;
        request(&transaction, &type_ids, version).await.map_err(failure::classify)?;
        transaction.commit().await.map_err(failure::classify)?;
        drop(client);
        self.refresh_catalog_now().await;
        Ok(())
    }

    /// What was and is done, by type, of the tenant. It counts rows: of a type that has some that the caller does not see it says
    /// nothing.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away.
    pub async fn reindex_jobs(&self, scope: &Scope) -> Result<Vec<ReindexJob>> {
        let scans = self.reindex_scans().await?.into_iter();
        let is_seen = |scan: &ReindexScan| {
            let tenant = TenantId::from_type_id(scan.type_id).map(|(tenant, _)| tenant);
            tenant.is_ok_and(|tenant| tenant == scope.tenant()) && !self.hides_some(scope, &scan.type_name)
        };
        Ok(scans.filter(is_seen).map(ReindexScan::job).collect())
    }

    pub(crate) async fn reindex_scans(&self) -> Result<Vec<ReindexScan>> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(SCANS).await.map_err(failure::classify)?;
        let rows = client.query(&statement, &[]).await.map_err(failure::classify)?;
        rows.iter().map(|row| self.reindex_scan(row).map_err(Error::internal)?).collect()
    }

    fn reindex_scan(
        &self,
        row: &tokio_postgres::Row,
    ) -> std::result::Result<Result<ReindexScan>, tokio_postgres::Error> {
        let type_id: i32 = row.try_get(0)?;
        let name = match parameters::names(self, &[type_id]) {
            Ok(names) => names.into_iter().next().unwrap_or_default(),
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

/// What to do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepOutcome {
    /// There is more to do.
    More,
    /// Others have to come so far.
    Wait,
    /// Others do what there is.
    Blocked,
    /// There is nothing.
    Idle,
}

/// How often it is looked whether others have come so far.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often it is looked how far others are, and after a failure whether it is over.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Does what there is to do for as long as the store is there.
pub(crate) fn spawn_worker(store: &Arc<Store>) {
    let (wake, pause) = (store.catalog.wake.clone(), store.options.reindex.pause);
    let (stop, tasks) = (store.stop.clone(), store.tasks.clone());
    let store = Arc::downgrade(store);
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            let Some(this) = store.upgrade() else { return };
            let next = match this.catalog.work_pending.load(Ordering::Relaxed) {
                false => StepOutcome::Idle,
                true => this.step().await.unwrap_or_else(|e| {
                    tracing::warn!("search parameters do not get on: {e}");
                    StepOutcome::Blocked
                }),
            };
            drop(this);
            let rest = async {
                match next {
                    StepOutcome::More => tokio::time::sleep(pause).await,
                    StepOutcome::Wait => tokio::time::sleep(POLL_INTERVAL).await,
                    StepOutcome::Blocked => tokio::time::sleep(RETRY_INTERVAL).await,
                    // Now and then it is looked whether the store is still there.
                    StepOutcome::Idle => drop(tokio::time::timeout(RETRY_INTERVAL, wake.notified()).await),
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = rest => {}
            }
        }
    });
}
