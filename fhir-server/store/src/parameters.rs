//! Search parameters that come and go with SearchParameter resources.
//!
//! A SearchParameter takes effect in the transaction that writes it, whoever writes it. Every process looks at the
//! version of all of them once a second, and says in its row of `writer` by which version all that it still writes is
//! indexed; the next step of a parameter ([`Stage`]) is taken when all processes have come so far. So no process that is
//! behind can leave a resource without its entries, and no write waits for another process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Transaction;
use fhir_model::{Error, Kind, Result};
use fhir_search::Registry;
use fhir_search::custom::{self, Custom, Defined, Progress, Stage};
use fhir_search::parameters::Parameter;

use crate::reindex::ReindexScan;
use crate::stamp::CommitClock;
use crate::write::{PreparedWrite, Write, WriteFailure};
use crate::{Store, failure};

/// Most search parameters beside those of R4.
const PARAMETERS_MAX: i64 = 500;

/// The type whose resources define parameters.
const TYPE: &str = "SearchParameter";

const VERSION: &str =
    "select v.version, v.index_settings, v.format_wanted from search_version v where v.id = 1";

const ALL: &str =
    "select p.number, p.types, p.stage, p.since, p.definition from search_parameter p order by p.number";

/// Holds all other changes of search parameters until the end of the transaction.
pub(crate) const NEXT_VERSION: &str =
    "update search_version v set version = v.version + 1 where v.id = 1 returning v.version";

const IN_FORCE: &str = "select p.number, p.types, p.definition from search_parameter p \
     where p.handle = $1::int8 and p.stage <> 4 order by p.number";

const RESTATE: &str = "update search_parameter p set definition = $2::text where p.number = $1::int8";

const RETIRE: &str = "update search_parameter p set stage = 4, since = $2::int8 where p.number = $1::int8";

const TAKEN: &str = "select p.types, p.definition from search_parameter p where p.code = $1::text \
     and p.types && $2::int4[] and p.stage <> 4 limit 1";

const HOW_MANY: &str = "select count(*) from search_parameter p where p.stage <> 4";

const ADD: &str = "insert into search_parameter (number, handle, code, types, stage, since, definition) \
     values ($1::int8, $2::int8, $3::text, $4::int4[], 1, $1::int8, $5::text)";

/// The search parameters as this process knows them, and their version.
#[derive(Debug, Default)]
pub(crate) struct ParameterCatalog {
    /// Held while the catalog is reloaded.
    reload: tokio::sync::Mutex<()>,
    version: Mutex<CatalogVersions>,
    /// True once the index was made by this process's format and settings.
    pub(crate) index_reconciled: AtomicBool,
    /// True when the worker may have something to do.
    pub(crate) work_pending: AtomicBool,
    /// True when the last refresh failed: this process may not write until one succeeds.
    refresh_failed: AtomicBool,
    /// Wakes the worker.
    pub(crate) wake: Arc<tokio::sync::Notify>,
}

/// The versions of the catalog that writes are indexed by.
#[derive(Debug, Default)]
struct CatalogVersions {
    /// All open writes are indexed by it.
    current: i64,
    /// The next version, and the last commit timestamp of writes that may still be indexed by the current one.
    pending: Option<(i64, i64)>,
}

impl ParameterCatalog {
    /// The version that all open and coming writes of this process are indexed by.
    pub(crate) fn version(&self, clock: &CommitClock) -> i64 {
        let mut known = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, last)) = known.pending
            && clock.is_closed(last)
        {
            *known = CatalogVersions { current: version, pending: None };
        }
        known.current
    }
}

/// What a write of a SearchParameter asks for.
#[derive(Debug)]
pub(crate) struct Definition {
    /// `None` when the SearchParameter is not active, or deleted.
    defined: Option<Defined>,
}

impl Definition {
    /// None for a write of anything else. An error when it cannot take effect.
    pub(crate) fn from_write(write: &Write, registry: &Registry) -> Result<Option<Definition>> {
        if *write.key.type_name != *TYPE {
            return Ok(None);
        }
        let defined = match &write.doc {
            Some(doc) => custom::read(doc.text(), registry)?,
            None => None,
        };
        Ok(Some(Definition { defined }))
    }
}

/// Lets the SearchParameters of a transaction take effect.
pub(crate) async fn apply_definitions(
    store: &Store,
    transaction: &Transaction<'_>,
    ready: &[PreparedWrite<'_>],
) -> std::result::Result<(), WriteFailure> {
    for one in ready {
        let Some(definition) = &one.definition else { continue };
        let statement = transaction.prepare_cached(IN_FORCE).await?;
        let before = transaction.query_opt(&statement, &[&one.handle]).await?;
        if before.is_none() && definition.defined.is_none() {
            continue;
        }
        let statement = transaction.prepare_cached(NEXT_VERSION).await?;
        let version: i64 = transaction.query_one(&statement, &[]).await?.try_get(0)?;
        if let Some(row) = before {
            let (number, types): (i64, Vec<i32>) = (row.try_get(0)?, row.try_get(1)?);
            let parameter = parse(row.try_get(2)?).map_err(WriteFailure::Other)?;
            let before = Defined { parameter, types: names(store, &types).map_err(WriteFailure::Other)? };
            if let Some(now) = definition.defined.as_ref().filter(|now| now.indexes_like(&before)) {
                let text = serde_json::to_string(&now.parameter)
                    .map_err(|e| WriteFailure::Other(Error::internal(e)))?;
                let statement = transaction.prepare_cached(RESTATE).await?;
                transaction.execute(&statement, &[&number, &text]).await?;
                continue;
            }
            let statement = transaction.prepare_cached(RETIRE).await?;
            transaction.execute(&statement, &[&number, &version]).await?;
            let type_ids = of_all_tenants(transaction, &types).await?;
            crate::reindex::request(transaction, &type_ids, version).await?;
        }
        if let Some(defined) = &definition.defined {
            add(store, transaction, one.handle, version, defined).await?;
        }
    }
    Ok(())
}

async fn add(
    store: &Store,
    transaction: &Transaction<'_>,
    handle: i64,
    version: i64,
    defined: &Defined,
) -> std::result::Result<(), WriteFailure> {
    let code = &*defined.parameter.code;
    let types: Vec<i32> =
        defined.types.iter().filter_map(|name| store.registry.number(name)).map(i32::from).collect();
    let statement = transaction.prepare_cached(TAKEN).await?;
    if let Some(row) = transaction.query_opt(&statement, &[&code, &types]).await? {
        let taken: Vec<i32> = row.try_get(0)?;
        let by = parse(row.try_get(1)?).map_err(WriteFailure::Other)?;
        let shared: Vec<i32> = types.into_iter().filter(|t| taken.contains(t)).collect();
        let shared = names(store, &shared).map_err(WriteFailure::Other)?;
        let name = shared.first().map(|name| &**name).unwrap_or_default();
        return Err(WriteFailure::Other(custom::overlap(code, name, &by.url)));
    }
    let statement = transaction.prepare_cached(HOW_MANY).await?;
    if transaction.query_one(&statement, &[]).await?.try_get::<_, i64>(0)? >= PARAMETERS_MAX {
        let text = format!("this server has its {PARAMETERS_MAX} search parameters beside those of R4");
        return Err(WriteFailure::Other(Error::new(Kind::Rule, text).at(TYPE)));
    }
    let text =
        serde_json::to_string(&defined.parameter).map_err(|e| WriteFailure::Other(Error::internal(e)))?;
    let statement = transaction.prepare_cached(ADD).await?;
    transaction.execute(&statement, &[&version, &handle, &code, &types, &text]).await?;
    Ok(())
}

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

/// A tenant is the high half of a `type_id`; the default organisation, 0, has no row.
const TYPE_IDS: &str = "select t.number * 65536 + n.number from (select 0 as number union all select t.number from tenant t) t \
     cross join unnest($1::int4[]) as n(number)";

/// The names of resource types.
pub(crate) fn names(store: &Store, numbers: &[i32]) -> Result<Vec<Box<str>>> {
    let name = |number: &i32| store.type_name(*number).map(Box::from);
    numbers.iter().map(name).collect()
}

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

    async fn reload_catalog(&self) -> Result<()> {
        let _one = self.catalog.reload.lock().await;
        let client = self.connections.client().await?;
        // The version first: what is read after it may be newer, and is then read again.
        let row = client.query_one(VERSION, &[]).await.map_err(failure::classify)?;
        let version: i64 = row.try_get(0).map_err(Error::internal)?;
        let known: HashMap<i64, Arc<Progress>> =
            self.registry.customs().iter().map(|c| (c.number, c.progress.clone())).collect();
        let mut customs = Vec::new();
        for row in client.query(ALL, &[]).await.map_err(failure::classify)? {
            let number: i64 = row.try_get(0).map_err(Error::internal)?;
            let types: Vec<i32> = row.try_get(1).map_err(Error::internal)?;
            customs.push(Arc::new(Custom {
                number,
                definition: Arc::new(parse(row.try_get(4).map_err(Error::internal)?)?),
                types: names(self, &types)?,
                stage: Stage::from_number(row.try_get(2).map_err(Error::internal)?)?,
                since: row.try_get(3).map_err(Error::internal)?,
                progress: known.get(&number).cloned().unwrap_or_default(),
            }));
        }
        drop(client);
        self.registry.set_customs(version, customs)?;
        {
            // Writes under way may have looked at the registry before.
            let mut known = self.catalog.version.lock().unwrap_or_else(PoisonError::into_inner);
            known.pending = Some((version, self.commit_clock.latest()));
        }
        self.catalog.work_pending.store(true, Ordering::Relaxed);
        self.catalog.wake.notify_one();
        Ok(())
    }

    /// Notes how far old resources are indexed.
    pub(crate) fn note_progress(&self, scans: &[ReindexScan]) {
        for custom in self.registry.customs() {
            let of = |scan: &&ReindexScan| custom.types.iter().any(|t| **t == *scan.type_name);
            let (done, all) = scans.iter().filter(of).fold((0, 0), |(done, all), scan| {
                (done + scan.done_since(custom.since), all + scan.rows_total.unwrap_or(0))
            });
            custom.progress.set(done, all);
        }
    }
}
