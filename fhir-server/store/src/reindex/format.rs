//! The format of index entries, and the settings they depend on. A build whose resources leave other entries than before gives
//! them to all resources: while it serves, where the entries are those of single search parameters, which are not searched by
//! meanwhile. Otherwise, and with other settings, it does so before it serves: what it does not find could be there.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Transaction;
use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use fhir_search::registry::index_change::{Concerned, IndexChange};
use tokio::time::Instant;

use super::{RETRY_INTERVAL, ReindexScan, Settings, StepOutcome, request, settings};
use crate::Store;
use crate::options::Options;
use crate::parameters::{self, NEXT_VERSION};

/// What each format of the index changed, the first one first: every change of what parameters leave in the index adds one.
/// Entries that are not made any more are deleted by a migration, or named by the change: nobody else knows them.
const FORMATS: &[IndexChange] = &[IndexChange::Everything, IndexChange::Everything, IndexChange::Everything];

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

const UNFINISHED: &str = "select count(*) from reindex j where j.wanted >= $1::int8 and j.done < $1::int8";

/// Scans that give resources the entries of this build and its settings.
struct IndexScans {
    /// The version they are requested as.
    since: i64,
    /// What it is for, where nothing can be answered before they are done.
    blocks: Option<&'static str>,
}

fn formats(options: &Options) -> impl Iterator<Item = &IndexChange> {
    FORMATS.iter().chain(options.further_formats())
}

fn index_format(options: &Options) -> i32 {
    i32::try_from(formats(options).count()).unwrap_or(i32::MAX)
}

/// The format and settings of an index.
pub(crate) fn indexed_by(options: &Options, settings: &Settings) -> String {
    format!("{} {}", index_format(options), settings.text)
}

impl Store {
    /// Returns when this process can answer: all resources have the entries of this build, or no search relies on
    /// those that some lack. What fails again and again is logged and left to the scans, as one resource must not keep the server
    /// from starting.
    pub(crate) async fn reconcile_index(&self) -> Result<()> {
        self.wait_for_other_settings().await?;
        let scans = self.want_index().await?;
        self.catalog.index_reconciled.store(true, Ordering::Relaxed);
        match scans {
            Some(IndexScans { since, blocks: Some(why) }) => {
                tracing::info!("nothing is answered until all resources are indexed anew: {why}");
                self.make_anew(since).await
            }
            Some(IndexScans { since, blocks: None }) => self.serve_meanwhile(since).await,
            None => Ok(()),
        }
    }

    /// The worker does the scans.
    async fn serve_meanwhile(&self, since: i64) -> Result<()> {
        self.settle(since).await?;
        self.reload_catalog().await?;
        let refused = self.registry.refused_params();
        if !refused.is_empty() {
            tracing::info!(
                "this build indexes {} search parameters otherwise: what relies on one is refused until the resources of its type are \
                 indexed anew, which begins now; `$reindex-status` says how far that is",
                refused.len()
            );
        }
        Ok(())
    }

    /// Notes that the index is as wanted, if no scan is left.
    async fn settle(&self, since: i64) -> Result<()> {
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        transaction.query_one(HELD, &[]).await.map_err(failure::classify)?;
        self.settle_in(&transaction, since).await?;
        transaction.commit().await.map_err(failure::classify)
    }

    /// The same within a transaction that holds the version of the search parameters.
    pub(super) async fn settle_in(&self, transaction: &Transaction<'_>, since: i64) -> Result<()> {
        let row = transaction.query_one(UNFINISHED, &[&since]).await.map_err(failure::classify)?;
        if row.try_get::<_, i64>(0).map_err(Error::internal)? > 0 {
            return Ok(());
        }
        self.note_done(transaction, since).await
    }

    async fn note_done(&self, transaction: &Transaction<'_>, since: i64) -> Result<()> {
        let settled = settings::text(std::slice::from_ref(&self.settings.text));
        transaction
            .execute(DONE, &[&self.index_format(), &since, &settled])
            .await
            .map(drop)
            .map_err(failure::classify)
    }

    /// The format of the index that this build makes.
    pub(crate) fn index_format(&self) -> i32 {
        index_format(&self.options)
    }

    /// What this build makes otherwise than one that made a format.
    pub(crate) fn changes_since(&self, format: i32) -> Vec<IndexChange> {
        formats(&self.options).skip(usize::try_from(format).unwrap_or(0)).copied().collect()
    }

    async fn make_anew(&self, since: i64) -> Result<()> {
        let (mut told, mut failed) = (Instant::now(), 0);
        loop {
            self.refresh_catalog().await?;
            let scans = self.reindex_scans().await?;
            let due: Vec<&ReindexScan> = scans.iter().filter(|scan| scan.is_unfinished(since)).collect();
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
        self.settle(since).await
    }

    /// The format and settings of this process's index, as its row of `writer` says them.
    pub(crate) fn indexed_by(&self) -> String {
        indexed_by(&self.options, &self.settings)
    }

    /// An error when the index is made by other settings than this process's by now: it was away for so long that another
    /// one began.
    pub(crate) fn is_index_ours(&self, kept: &str, format: i32) -> Result<()> {
        match !self.catalog.index_reconciled.load(Ordering::Relaxed)
            || (format <= self.index_format() && self.settings.is_wanted(kept)?)
        {
            true => Ok(()),
            false => Err(Error::internal("the index is made by other settings than those of this process")),
        }
    }

    /// Requests the scans that this build and its settings need. Returns `None` when the index is current.
    async fn want_index(&self) -> Result<Option<IndexScans>> {
        let ours = self.index_format();
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let row = transaction.query_one(HELD, &[]).await.map_err(failure::classify)?;
        let [format, wanted] = [row.get::<_, i32>(0), row.get(1)];
        let (since, kept): (i64, String) = (row.get(2), row.get(3));
        if format.max(wanted) > ours {
            let text = "the index of this database was made by a later build of the server";
            return Err(Error::new(Kind::Unavailable, text));
        }
        let same_settings = self.settings.is_all(&kept)?;
        if format == ours && same_settings {
            return Ok(None);
        }
        let (blocks, concerned) = match self.registry.concerned(&self.changes_since(format))? {
            _ if !same_settings => (Some("its settings are others"), None),
            Concerned::All => (Some("this build makes entries that every answer relies on otherwise"), None),
            Concerned::Types(types) => (None, Some(types)),
        };
        if wanted == ours && self.settings.is_wanted(&kept)? {
            return Ok(Some(IndexScans { since, blocks }));
        }
        // A type whose first rows are not visible yet would have none.
        self.wait_until_visible(&transaction).await?;
        let types = self.types_with_rows(&transaction, concerned.as_ref()).await?;
        if types.is_empty() {
            self.note_done(&transaction, since).await?;
            transaction.commit().await.map_err(failure::classify)?;
            drop(client);
            self.reload_catalog().await?;
            return Ok(None);
        }
        let row = transaction.query_one(NEXT_VERSION, &[]).await.map_err(failure::classify)?;
        let since: i64 = row.try_get(0).map_err(Error::internal)?;
        request(&transaction, &types, since).await.map_err(failure::classify)?;
        let wanted = settings::text(&self.settings.wanted_in(&kept)?);
        transaction.execute(WANTED, &[&ours, &since, &wanted]).await.map_err(failure::classify)?;
        transaction.commit().await.map_err(failure::classify)?;
        Ok(Some(IndexScans { since, blocks }))
    }

    /// The `type_id`s of these types, or of all, that have rows, of all tenants.
    async fn types_with_rows(
        &self,
        transaction: &Transaction<'_>,
        types: Option<&BTreeSet<Box<str>>>,
    ) -> Result<Vec<i32>> {
        let mut with_rows = Vec::new();
        let all = parameters::type_ids(self, transaction).await.map_err(failure::classify)?;
        let has_rows = transaction.prepare_cached(HAS_ROWS).await.map_err(failure::classify)?;
        for type_id in all {
            if let Some(types) = types
                && !types.contains(self.type_name(type_id)?)
            {
                continue;
            }
            if transaction.query_opt(&has_rows, &[&type_id]).await.map_err(failure::classify)?.is_some() {
                with_rows.push(type_id);
            }
        }
        with_rows.sort_unstable();
        Ok(with_rows)
    }
}
