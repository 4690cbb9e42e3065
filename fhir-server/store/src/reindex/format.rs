//! The format of index entries, and the settings they depend on. A build whose resources leave other entries than before, and
//! a server with other settings, gives all of them theirs before it serves: what it does not find could be there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use tokio::time::Instant;

use super::{RETRY_INTERVAL, ReindexScan, StepOutcome, request, settings};
use crate::Store;
use crate::parameters::{self, NEXT_VERSION};

/// Grows with every change of what R4's parameters leave in the index. Entries that are not made any more have to be
/// deleted by a migration: nobody knows them.
const FORMAT: i32 = 3;

/// Failures in a row after which it is served all the same.
const TRIES: usize = 5;
/// How often the progress is logged.
const TELL_EVERY: Duration = Duration::from_secs(10);

const HELD: &str = "select v.format, v.format_wanted, v.format_since, v.index_settings from search_version v \
     where v.id = 1 for update";

/// Of one type, as a distributed database has no statement that stops at the first row of each of several.
const HAS_ROWS: &str = "select r.type_id from resource r where r.type_id = $1::int4 limit 1";

const WANTED: &str = "update search_version v set format_wanted = $1::int4, format_since = $2::int8, \
     index_settings = $3::text where v.id = 1";

const DONE: &str = "update search_version v set format = $1::int4, format_wanted = $1::int4, index_settings = $3::text \
     where v.id = 1 and v.format_since = $2::int8";

impl Store {
    /// Returns when all resources have the entries of this build. What fails again and again is logged and left to the
    /// scans, as one resource must not keep the server from starting.
    pub(crate) async fn reconcile_index(&self) -> Result<()> {
        self.wait_for_other_settings().await?;
        let since = self.want_index().await?;
        self.catalog.index_reconciled.store(true, Ordering::Relaxed);
        match since {
            Some(since) => self.make_anew(since).await,
            None => Ok(()),
        }
    }

    async fn make_anew(&self, since: i64) -> Result<()> {
        let (mut told, mut failed) = (Instant::now(), 0);
        loop {
            self.refresh_catalog().await?;
            let scans = self.reindex_scans().await?;
            let due: Vec<&ReindexScan> =
                scans.iter().filter(|w| w.wanted >= since && w.done < since).collect();
            if due.is_empty() {
                break;
            }
            if failed >= TRIES {
                let names: Vec<&str> = due.iter().map(|scan| &*scan.type_name).collect();
                tracing::error!(
                    "searches may miss some of {}: their index is not up to date",
                    names.join(", ")
                );
                return Ok(());
            }
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                let (done, all) = scans.iter().fold((0, 0), |(done, all), scan| {
                    (done + scan.done_since(since), all + scan.rows_total.unwrap_or(0))
                });
                tracing::info!(
                    "the index is made anew for this build and its settings: {done} of {all} resources are done"
                );
            }
            match self.step().await {
                Ok(StepOutcome::More) => failed = 0,
                Ok(_) => tokio::time::sleep(RETRY_INTERVAL).await,
                // The failure is recorded with its scan, if it is about one; the other scans go first.
                Err(e) => {
                    failed += 1;
                    tracing::warn!("the index does not get on: {e}");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
        let client = self.connections.client().await?;
        let settled = settings::text(std::slice::from_ref(&self.settings.text));
        client.execute(DONE, &[&FORMAT, &since, &settled]).await.map_err(failure::classify)?;
        Ok(())
    }

    /// The format and settings of this process's index, as its row of `writer` says them.
    pub(crate) fn indexed_by(&self) -> String {
        format!("{FORMAT} {}", self.settings.text)
    }

    /// An error when the index is made by other settings than this process's by now: it was away for so long that another
    /// one began.
    pub(crate) fn is_index_ours(&self, kept: &str, format: i32) -> Result<()> {
        match !self.catalog.index_reconciled.load(Ordering::Relaxed)
            || (format <= FORMAT && self.settings.is_wanted(kept)?)
        {
            true => Ok(()),
            false => Err(Error::internal("the index is made by other settings than those of this process")),
        }
    }

    /// Requests the scans that this build and its settings need, and returns the version they are requested as. Returns `None`
    /// when the index is current.
    async fn want_index(&self) -> Result<Option<i64>> {
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let row = transaction.query_one(HELD, &[]).await.map_err(failure::classify)?;
        let [format, wanted] = [row.get::<_, i32>(0), row.get(1)];
        let (since, kept): (i64, String) = (row.get(2), row.get(3));
        if format.max(wanted) > FORMAT {
            let text = "the index of this database was made by a later build of the server";
            return Err(Error::new(Kind::Unavailable, text));
        }
        if format == FORMAT && self.settings.is_all(&kept)? {
            return Ok(None);
        }
        if wanted == FORMAT && self.settings.is_wanted(&kept)? {
            return Ok(Some(since));
        }
        let mut types = Vec::new();
        let all = parameters::type_ids(self, &transaction).await.map_err(failure::classify)?;
        let has_rows = transaction.prepare_cached(HAS_ROWS).await.map_err(failure::classify)?;
        for type_id in all {
            if transaction.query_opt(&has_rows, &[&type_id]).await.map_err(failure::classify)?.is_some() {
                types.push(type_id);
            }
        }
        types.sort_unstable();
        if types.is_empty() {
            let settled = settings::text(std::slice::from_ref(&self.settings.text));
            transaction.execute(DONE, &[&FORMAT, &since, &settled]).await.map_err(failure::classify)?;
            transaction.commit().await.map_err(failure::classify)?;
            return Ok(None);
        }
        let row = transaction.query_one(NEXT_VERSION, &[]).await.map_err(failure::classify)?;
        let since: i64 = row.try_get(0).map_err(Error::internal)?;
        request(&transaction, &types, since).await.map_err(failure::classify)?;
        let wanted = settings::text(&self.settings.wanted_in(&kept)?);
        transaction.execute(WANTED, &[&FORMAT, &since, &wanted]).await.map_err(failure::classify)?;
        transaction.commit().await.map_err(failure::classify)?;
        Ok(Some(since))
    }
}
