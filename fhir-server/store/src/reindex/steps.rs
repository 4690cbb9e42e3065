//! The steps in which search parameters come and go, and in which reindex scans advance.

use std::sync::atomic::Ordering;

use deadpool_postgres::Transaction;
use fhir_database::{Lease, failure};
use fhir_model::{Error, Kind, Result};
use fhir_search::custom::{Custom, Stage};
use fhir_search::registry::Set;
use fhir_search::tenant::TenantId;
use tokio_postgres::types::ToSql;

use super::{ReindexScan, StepOutcome, request};
use crate::parameters::{self, NEXT_VERSION};
use crate::version::Version;
use crate::write::{WriteFailure, index_only};
use crate::{Store, read};

/// Bodies in one transaction, about.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bodies that are fetched at a time.
const FETCH: i32 = 10;

const BUILD: &str = "update search_parameter p set stage = 2, since = $2::int8 \
     where p.number = $1::int8 and p.stage = 1 returning p.types";

const UNTIL: &str =
    "select r.updated_at from resource r where r.type_id = $1::int4 order by r.updated_at desc limit 1";

const COUNT: &str = "select count(*) from resource r where r.type_id = $1::int4";

const COUNTED: &str = "update reindex j set rows_total = $2::int8 \
     where j.type_id = $1::int4 and j.rows_total is null and j.walking is null";

const BEGIN: &str = "update reindex j set walking = $2::int8, until_at = $3::int8, position_at = $4::int8, \
     position_handle = $4::int8, rows_done = 0, started_at = $5::int8, ended_at = null, \
     failure = null where j.type_id = $1::int4 and j.walking is null";

const ROWS: &str = "select r.handle, r.version, r.updated_at, r.method, r.id, \
     case when r.packed is null then r.json end, r.packed from resource r where r.type_id = $1::int4 \
     and r.updated_at <= $2::int8 and (r.updated_at, r.handle) > ($3::int8, $4::int8) \
     order by r.updated_at, r.handle limit $5::int8";

const PLACE: &str = "update reindex j set position_at = $3::int8, position_handle = $4::int8, \
     rows_done = j.rows_done + $5::int8, failure = null where j.type_id = $1::int4 and j.walking = $2::int8";

/// Holds all changes of search parameters until the end of the transaction.
const LOCK_VERSION: &str =
    "select v.format, v.format_wanted, v.format_since from search_version v where v.id = 1 for update";

const END: &str = "update reindex j set done = j.walking, walking = null, ended_at = $2::int8 \
     where j.type_id = $1::int4 and j.walking = $3::int8";

const FAILED: &str = "update reindex j set failure = $2::text where j.type_id = $1::int4";

const CHANGING: &str =
    "select p.number, p.types, p.stage, p.since from search_parameter p where p.stage in (2, 4)";

/// Of the types that were to be indexed: an organisation that came later begins with what is ready.
const NOT_DONE: &str = "select count(*) from reindex j where j.type_id = any($1::int4[]) and j.wanted >= $2::int8 and j.done < $2::int8";

const READY: &str = "update search_parameter p set stage = 3, since = $2::int8 where p.number = $1::int8";

const GONE: &str = "delete from search_parameter p where p.number = $1::int8";

impl Store {
    /// One step of what there is to do.
    pub(super) async fn step(&self) -> Result<StepOutcome> {
        // Before anything is looked at: what is to be done later sets it again.
        self.catalog.work_pending.store(false, Ordering::Relaxed);
        let next = self.next_step().await;
        if !matches!(next, Ok(StepOutcome::Idle)) {
            self.catalog.work_pending.store(true, Ordering::Relaxed);
        }
        next
    }

    async fn next_step(&self) -> Result<StepOutcome> {
        self.announce().await?;
        let scans = self.reindex_scans().await?;
        self.note_progress(&scans);
        let customs = self.registry.customs();
        let known: Vec<_> = customs.iter().filter(|c| c.stage == Stage::Known).collect();
        // Of an organisation that another process added: it is indexed by the urls of its base.
        if scans.iter().any(|scan| !self.knows_tenant_of(scan.type_id)) {
            self.tenants.look(&self.connections).await?;
        }
        let is_due = |scan: &&ReindexScan| scan.done < scan.wanted && self.knows_tenant_of(scan.type_id);
        let mut due: Vec<&ReindexScan> = scans.iter().filter(is_due).collect();
        // What fails keeps nothing else from being done, and a large type no small one; types that are refused searches come before
        // those that may hold a resource of one.
        let size = |scan: &ReindexScan| scan.rows_total.filter(|rows| *rows > 0).unwrap_or(i64::MAX);
        due.sort_by_key(|scan| {
            (scan.failure.is_some(), !self.registry.has_pending_params(&scan.type_name), size(scan))
        });
        if known.is_empty() && due.is_empty() {
            return Ok(StepOutcome::Idle);
        }
        let least = self.oldest_version().await?;
        if let Some(custom) = known.iter().find(|custom| custom.since <= least) {
            self.build(custom).await?;
            return Ok(StepOutcome::More);
        }
        let mut next = if known.is_empty() { StepOutcome::Blocked } else { StepOutcome::Wait };
        for scan in due {
            if scan.scanning.is_none() && scan.wanted > least {
                next = StepOutcome::Wait;
                continue;
            }
            if !self.lease(scan).await? {
                continue;
            }
            return match self.advance(scan).await {
                Ok(()) => Ok(StepOutcome::More),
                Err(e) => {
                    self.note_failure(scan, &e).await?;
                    Err(e)
                }
            };
        }
        Ok(next)
    }

    /// Everybody takes its entries away: now they are written, and old rows get them.
    async fn build(&self, custom: &Custom) -> Result<()> {
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let row = transaction.query_one(NEXT_VERSION, &[]).await.map_err(failure::classify)?;
        let version: i64 = row.try_get(0).map_err(Error::internal)?;
        let row =
            transaction.query_opt(BUILD, &[&custom.number, &version]).await.map_err(failure::classify)?;
        // No row: another process was faster, or the parameter was retired.
        let Some(row) = row else { return Ok(()) };
        let types: Vec<i32> = row.try_get(0).map_err(Error::internal)?;
        let type_ids = parameters::of_all_tenants(&transaction, &types).await.map_err(failure::classify)?;
        request(&transaction, &type_ids, version).await.map_err(failure::classify)?;
        transaction.commit().await.map_err(failure::classify)?;
        drop(client);
        self.refresh_catalog().await
    }

    /// The lease of a scan. It is renewed in each transaction that takes the scan further.
    fn lease_of(&self, scan: &ReindexScan) -> Lease {
        let name = format!("reindex {}", scan.type_id);
        Lease::new(name, self.commit_clock.process(), self.options.reindex.lease)
    }

    /// Returns `true` when the scan is this process's for the time being.
    async fn lease(&self, scan: &ReindexScan) -> Result<bool> {
        let client = self.connections.client().await?;
        self.lease_of(scan).take(&**client).await
    }

    /// Begins a scan, advances it by a batch, or ends it.
    async fn advance(&self, scan: &ReindexScan) -> Result<()> {
        let Some(walking) = scan.scanning else { return self.begin(scan).await };
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let versions = self.batch(&transaction, scan).await?;
        let Some(last) = versions.last() else {
            drop(transaction);
            drop(client);
            return self.end(scan, walking).await;
        };
        let place = (last.updated_at, last.handle);
        let all = versions
            .iter()
            .map(|version| self.index_update(scan.type_id, version))
            .collect::<Result<Vec<_>>>()?;
        self.keep_texts_in(&transaction, all.iter().flat_map(|one| &one.rows.distinct)).await?;
        index_only::run(self, &transaction, &all).await.map_err(|e| match e {
            WriteFailure::Stale | WriteFailure::Duplicate(_) => {
                Error::new(Kind::Conflict, "entries were written at the same time")
            }
            WriteFailure::Database(e) => failure::classify(e),
            WriteFailure::Other(e) => e,
        })?;
        let statement = transaction.prepare_cached(PLACE).await.map_err(failure::classify)?;
        let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 5] = [&scan.type_id, &walking, &place.0, &place.1, &count];
        let is_ours = self.lease_of(scan).renew(&*transaction).await?;
        if !is_ours || transaction.execute(&statement, &parameters).await.map_err(failure::classify)? == 0 {
            // The lease is another's by now: it goes on from where it was.
            return transaction.rollback().await.map_err(failure::classify);
        }
        transaction.commit().await.map_err(failure::classify)
    }

    /// The next versions of a scan: at most `batch`, or fewer when they are large.
    async fn batch(&self, transaction: &Transaction<'_>, scan: &ReindexScan) -> Result<Vec<Version>> {
        let batch = self.options.reindex.batch.max(1);
        let limit = i64::try_from(batch).unwrap_or(i64::MAX);
        let statement = transaction.prepare_cached(ROWS).await.map_err(failure::classify)?;
        let (at, handle) = scan.position;
        let parameters: [&(dyn ToSql + Sync); 5] = [&scan.type_id, &scan.until_at, &at, &handle, &limit];
        let portal = transaction.bind(&statement, &parameters).await.map_err(failure::classify)?;
        let (mut versions, mut bytes) = (Vec::new(), 0);
        while versions.len() < batch && bytes < BATCH_BYTES_MAX {
            let rows = transaction.query_portal(&portal, FETCH).await.map_err(failure::classify)?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let version = read::version(&scan.type_name, row)?;
                bytes += version.body.as_ref().map_or(0, |body| body.len());
                versions.push(version);
            }
        }
        Ok(versions)
    }

    fn index_update(&self, type_id: i32, version: &Version) -> Result<index_only::IndexUpdate> {
        let doc = version.doc()?;
        let hasher = self.hasher.with_tenant(TenantId::from_type_id(type_id)?.0);
        Ok(index_only::IndexUpdate {
            handle: version.handle,
            version: i32::try_from(version.version).map_err(Error::internal)?,
            rows: self
                .rows(&hasher, Set::Written, &version.key, &doc)
                .map_err(|e| e.at(version.key.to_string()))?,
            before: self.former_rows(&hasher, &version.key, &doc)?,
        })
    }

    async fn begin(&self, scan: &ReindexScan) -> Result<()> {
        if scan.rows_total.is_none() {
            self.count_rows().await?;
        }
        // What was written before all wrote by this version is visible then.
        let client = self.connections.client().await?;
        self.wait_until_visible(&client).await?;
        // What comes after it is indexed by whoever writes it.
        let until = client.query_opt(UNTIL, &[&scan.type_id]).await.map_err(failure::classify)?;
        let until: i64 = match until {
            Some(row) => row.try_get(0).map_err(Error::internal)?,
            None => i64::MIN,
        };
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&scan.type_id, &scan.wanted, &until, &i64::MIN, &self.now()];
        client.execute(BEGIN, &parameters).await.map_err(failure::classify)?;
        Ok(())
    }

    /// Counts the rows of all types that are to be scanned, so that the progress of a parameter over several types can be given.
    async fn count_rows(&self) -> Result<()> {
        let scans = self.reindex_scans().await?;
        let due =
            scans.iter().filter(|w| w.done < w.wanted && w.scanning.is_none() && w.rows_total.is_none());
        let types: Vec<i32> = due.map(|scan| scan.type_id).collect();
        let client = self.connections.client().await?;
        for type_id in &types {
            if self.stop.is_cancelled() {
                break;
            }
            let rows: i64 = match client.query_one(COUNT, &[type_id]).await.map_err(failure::classify) {
                // What cannot be counted in time is scanned all the same, and its share is not known.
                Err(e) if e.kind == Kind::Timeout => 0,
                row => row?.try_get(0).map_err(Error::internal)?,
            };
            client.execute(COUNTED, &[type_id, &rows]).await.map_err(failure::classify)?;
        }
        Ok(())
    }

    /// All rows were seen: parameters that waited for it take their last step.
    async fn end(&self, scan: &ReindexScan, walking: i64) -> Result<()> {
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let held = transaction.query_one(LOCK_VERSION, &[]).await.map_err(failure::classify)?;
        let [format, wanted] =
            [held.try_get::<_, i32>(0), held.try_get(1)].map(|n| n.map_err(Error::internal));
        let since: i64 = held.try_get(2).map_err(Error::internal)?;
        let ended = transaction.execute(END, &[&scan.type_id, &self.now(), &walking]).await;
        if ended.map_err(failure::classify)? == 0 || !self.lease_of(scan).free(&*transaction).await? {
            return transaction.rollback().await.map_err(failure::classify);
        }
        let mut done = Vec::new();
        for row in transaction.query(CHANGING, &[]).await.map_err(failure::classify)? {
            let types: Vec<i32> = row.try_get(1).map_err(Error::internal)?;
            let since: i64 = row.try_get(3).map_err(Error::internal)?;
            let types = parameters::of_all_tenants(&transaction, &types).await.map_err(failure::classify)?;
            let left = transaction.query_one(NOT_DONE, &[&types, &since]).await.map_err(failure::classify)?;
            if left.try_get::<_, i64>(0).map_err(Error::internal)? == 0 {
                done.push(row);
            }
        }
        let changes_format = format? < wanted? && walking >= since && scan.done < since;
        if changes_format {
            self.settle_in(&transaction, since).await?;
        }
        // All processes look at what is in force by another version.
        if changes_format || !done.is_empty() {
            let row = transaction.query_one(NEXT_VERSION, &[]).await.map_err(failure::classify)?;
            let version: i64 = row.try_get(0).map_err(Error::internal)?;
            for row in done {
                let number: i64 = row.try_get(0).map_err(Error::internal)?;
                let changed = match Stage::from_number(row.try_get(2).map_err(Error::internal)?)? {
                    Stage::Building => transaction.execute(READY, &[&number, &version]).await,
                    _ => transaction.execute(GONE, &[&number]).await,
                };
                changed.map_err(failure::classify)?;
            }
        }
        transaction.commit().await.map_err(failure::classify)?;
        drop(client);
        tracing::info!("the index of {} {} is up to date", scan.rows_done, scan.type_name);
        self.refresh_catalog().await
    }

    /// Records the reason in the row, for operators; it holds nothing of a resource but its id.
    async fn note_failure(&self, scan: &ReindexScan, e: &Error) -> Result<()> {
        let client = self.connections.client().await?;
        let about: String = e.expression.iter().map(|place| format!("{place}: ")).collect();
        client
            .execute(FAILED, &[&scan.type_id, &format!("{about}{}", e.text)])
            .await
            .map_err(failure::classify)?;
        Ok(())
    }
}
