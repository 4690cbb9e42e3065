//! Search parameters that come and go with SearchParameter resources.
//!
//! A SearchParameter takes effect in the transaction that writes it, whoever writes it. Every process looks at the
//! version of all of them once a second, and says in its row of `writer` by which version all that it still writes is
//! indexed; the next step of a parameter ([`Stage`]) is taken when all processes have come so far. So no process that is
//! behind can leave a resource without its entries, and no write waits for another process.

mod apply;
mod catalog;
mod definition;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use deadpool_postgres::Transaction;
use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use fhir_search::custom::{self, Custom, Progress, Stage};
use fhir_search::parameters::Parameter;
use fhir_search::registry::index_change::PendingChange;
use tokio_postgres::IsolationLevel;

pub(crate) use self::apply::apply_definitions;
pub(crate) use self::catalog::ParameterCatalog;
pub(crate) use self::definition::Definition;
use crate::Store;
use crate::reindex::ReindexScan;

const VERSION: &str = "select v.version, v.index_settings, v.format_wanted, v.format, v.format_since \
     from search_version v where v.id = 1";

const ALL: &str =
    "select p.number, p.types, p.stage, p.since, p.definition from search_parameter p order by p.number";

/// Holds all other changes of search parameters until the end of the transaction.
pub(crate) const NEXT_VERSION: &str =
    "update search_version v set version = v.version + 1 where v.id = 1 returning v.version";

/// A parameter as it is stored.
fn parse(text: &str) -> Result<Parameter> {
    serde_json::from_str(text).map_err(Error::internal)
}

/// The `type_id`s of all resource types, of all tenants.
pub(crate) async fn type_ids(
    store: &Store,
    transaction: &Transaction<'_>,
) -> std::result::Result<Vec<i32>, tokio_postgres::Error> {
    let names = store.registry.definitions().resource_types();
    let numbers: Vec<i32> = names.filter_map(|name| store.registry.number(name)).map(i32::from).collect();
    of_all_tenants(transaction, &numbers).await
}

/// The `type_id`s of resource types, of all tenants of the database: another process may have added one that this one does
/// not serve.
pub(crate) async fn of_all_tenants(
    transaction: &Transaction<'_>,
    numbers: &[i32],
) -> std::result::Result<Vec<i32>, tokio_postgres::Error> {
    let statement = transaction.prepare_cached(TYPE_IDS).await?;
    transaction.query(&statement, &[&numbers]).await?.iter().map(|row| row.try_get(0)).collect()
}

/// A tenant is the high half of a `type_id`; the default organisation, 0, and the platform, 2, have no row.
const TYPE_IDS: &str = "select t.number * 65536 + n.number \
     from (select 0 as number union all select 2 union all select t.number from tenant t) t cross join unnest($1::int4[]) as n(number)";

impl Store {
    /// Refuses what could not take effect as a SearchParameter. The commit checks it again, as whatever is written is.
    ///
    /// # Errors
    ///
    /// When an active SearchParameter has an expression that cannot be compiled or looks at too much, or a code that
    /// is taken.
    pub fn check_definition(&self, resource: &str) -> Result<()> {
        custom::read(resource, &self.registry).map(drop)
    }

    /// Learns of search parameters that other processes have changed.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away or wants another index format or other settings, `Internal` when a
    /// stored definition cannot be read: this process may not write until it can.
    pub async fn refresh_catalog(&self) -> Result<()> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(VERSION).await.map_err(failure::classify)?;
        let row = client.query_one(&statement, &[]).await.map_err(failure::classify)?;
        drop(client);
        let version: i64 = row.try_get(0).map_err(Error::internal)?;
        let kept: &str = row.try_get(1).map_err(Error::internal)?;
        let refreshed = match self.is_index_ours(kept, row.try_get(2).map_err(Error::internal)?) {
            Ok(()) if version > self.registry.version() => self.reload_catalog().await,
            other => other,
        };
        let failed = refreshed.as_ref().is_err_and(|e| e.kind == Kind::Internal);
        self.catalog.refresh_failed.store(failed, Ordering::Relaxed);
        refreshed
    }

    /// Before this process says that it is there: one that does not understand what is to be indexed does not, so that
    /// others do not wait for it, and then may not write.
    pub(crate) async fn ensure_current(&self) -> Result<()> {
        match self.catalog.refresh_failed.load(Ordering::Relaxed) {
            true => self.refresh_catalog().await,
            false => Ok(()),
        }
    }

    /// After a change of this process's own. What fails now is done within a second.
    pub(crate) async fn refresh_catalog_now(&self) {
        if let Err(e) = self.refresh_catalog().await {
            tracing::warn!("search parameters that were changed could not be read: {e}");
        }
    }

    pub(crate) async fn reload_catalog(&self) -> Result<()> {
        let _one = self.catalog.reload.lock().await;
        let mut client = self.connections.client().await?;
        // Of one snapshot: what is known of a standby goes by the version.
        let snapshot =
            client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let snapshot = snapshot.start().await.map_err(failure::classify)?;
        let row = snapshot.query_one(VERSION, &[]).await.map_err(failure::classify)?;
        let version: i64 = row.try_get(0).map_err(Error::internal)?;
        let format: i32 = row.try_get(3).map_err(Error::internal)?;
        let since: i64 = row.try_get(4).map_err(Error::internal)?;
        let known: HashMap<i64, Arc<Progress>> =
            self.registry.customs().iter().map(|c| (c.number, c.progress.clone())).collect();
        let mut customs = Vec::new();
        for row in snapshot.query(ALL, &[]).await.map_err(failure::classify)? {
            let number: i64 = row.try_get(0).map_err(Error::internal)?;
            let types: Vec<i32> = row.try_get(1).map_err(Error::internal)?;
            customs.push(Arc::new(Custom {
                number,
                definition: Arc::new(parse(row.try_get(4).map_err(Error::internal)?)?),
                types: self.type_names(&types)?,
                stage: Stage::from_number(row.try_get(2).map_err(Error::internal)?)?,
                since: row.try_get(3).map_err(Error::internal)?,
                progress: known.get(&number).cloned().unwrap_or_default(),
            }));
        }
        let pending = self.pending_change(&snapshot, format, since).await?;
        snapshot.commit().await.map_err(failure::classify)?;
        drop(client);
        self.registry.set_catalog(version, customs, pending)?;
        // Writes under way may have looked at the registry before.
        self.catalog.set_pending(version, self.commit_clock.latest());
        self.catalog.work_pending.store(true, Ordering::Relaxed);
        self.catalog.wake.notify_one();
        Ok(())
    }

    /// What this build indexes otherwise than the format that all resources have, and the types that still have some of that.
    async fn pending_change(
        &self,
        snapshot: &Transaction<'_>,
        format: i32,
        since: i64,
    ) -> Result<Option<PendingChange>> {
        let changes = self.changes_since(format);
        if changes.is_empty() {
            return Ok(None);
        }
        let known = self.registry.pending_change().map(|change| change.types.clone()).unwrap_or_default();
        let mut types = BTreeMap::new();
        for scan in self.reindex_scans_in(snapshot).await?.iter().filter(|scan| scan.is_unfinished(since)) {
            let progress = known.get(&scan.type_name).cloned().unwrap_or_default();
            types.insert(scan.type_name.clone(), progress);
        }
        Ok((!types.is_empty()).then_some(PendingChange { changes, types, since }))
    }

    /// Notes how far old resources are indexed.
    pub(crate) fn note_progress(&self, scans: &[ReindexScan]) {
        let share = |progress: &Progress, since: i64, is_of: &dyn Fn(&str) -> bool| {
            let of_types = scans.iter().filter(|scan| is_of(&scan.type_name));
            let (done, all) = of_types.fold((0, 0), |(done, all), scan| {
                (done + scan.done_since(since), all + scan.rows_total.unwrap_or(0))
            });
            progress.set(done, all);
        };
        if let Some(change) = self.registry.pending_change() {
            for (type_name, progress) in &change.types {
                share(progress, change.since, &|name| *name == **type_name);
            }
        }
        for custom in self.registry.customs() {
            share(&custom.progress, custom.since, &|name| custom.types.iter().any(|t| **t == *name));
        }
    }
}
