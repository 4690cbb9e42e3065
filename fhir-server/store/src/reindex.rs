//! Walks over the rows of a type that give them the index entries they should have.
//!
//! A scan is a row of the table `reindex`: which version of the search parameters it is for, and its position. The process with its
//! lease advances it by a batch, in one transaction with the new position; when that process is gone, another
//! one goes on there. A batch writes what the current version of each row should have, under its lock, so doing
//! it twice changes nothing.

mod format;
mod other_processes;
mod scan;
mod settings;
mod steps;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fhir_database::failure;
use fhir_model::{Error, Result};
use fhir_search::TenantId;

pub(crate) use self::format::indexed_by;
pub use self::scan::{ReindexJob, ReindexState};
pub(crate) use self::scan::{ReindexScan, request};
pub(crate) use self::settings::Settings;
use crate::scope::Scope;
use crate::{Store, parameters};

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
