//! The processes that write: each has a row, by which others know what may still come from it.
//!
//! A process joins, announces itself every second, and says more often how far it is (its low-watermark, `horizon`) while
//! others wait for it. One that is gone is fenced: its row says so, whatever it began before is waited for or ended, and
//! then the row is deleted. Every write asks for the row of its commit timestamp in its own statement, so that a process that was fenced
//! and lives on writes nothing with the commit timestamps it has; it joins again under another number.
//!
//! **Invariants:** whether a process is gone is judged by the database's clock; a row is deleted only when no connection is
//! left that can have begun a statement before the fence.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fhir_database::failure;
use fhir_model::{Error, Result};
use tokio_postgres::types::ToSql;

use crate::commit_clock::Announced;
use crate::{Store, pipelined};

/// How often a process announces itself.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);
/// How often it says how far it is, when that has changed or others are there.
const PUBLISH_EVERY: Duration = Duration::from_millis(80);
/// A process without any connection is gone when it has not announced itself for this long.
const GONE_MICROS: i64 = 2_500_000;
/// One with connections is, too, after this long: it hangs, or was killed while a statement ran.
const LEASE_MICROS: i64 = 7_000_000;
/// Processes of earlier builds do not name their connections, and have longer leases.
const NAMELESS_LEASE_MICROS: i64 = 60_000_000;

/// Until it is announced for the first time, a process holds everything back.
const JOIN: &str = "insert into writer (id, horizon, heartbeat_at, search_version, index_settings, application_name) \
     values ($1::int8, 0, (extract(epoch from clock_timestamp()) * 1000000)::int8, $2::int8, $3::text, $4::text)";

const ANNOUNCE: &str = "update writer w set horizon = greatest(w.horizon, $2::int8), \
     heartbeat_at = (extract(epoch from clock_timestamp()) * 1000000)::int8, search_version = $3::int8 \
     where w.id = $1::int8 and w.fenced_at is null returning w.heartbeat_at";

const PUBLISH: &str = "update writer w set horizon = greatest(w.horizon, $2::int8) where w.id = $1::int8 and w.fenced_at is null";

const LOOK: &str = "select w.id, w.horizon, \
     (extract(epoch from clock_timestamp()) * 1000000)::int8 - w.heartbeat_at, w.application_name from writer w";

/// The latest commit timestamp that is stored.
const LATEST: &str = "select greatest( \
     (select r.updated_at from resource r order by r.updated_at + 0 desc, r.handle desc limit 1), \
     (select h.updated_at from resource_history h order by h.updated_at + 0 desc, h.handle desc, h.version desc limit 1), \
     (select max(w.horizon) from writer w))";

const IS_WRITER: &str = "select w.id from writer w where w.id = $1::int8 and w.fenced_at is null";

const LEAVE: &str = "delete from writer w where w.id = $1::int8";

/// What runs for a process, of which the fence (if there is one) knows.
const CONNECTED: &str = "select a.pid from pg_stat_activity a where a.application_name = $1::text limit 1";

const FENCE: &str = "update writer w set fenced_at = (extract(epoch from clock_timestamp()) * 1000000)::int8 \
     where w.id = $1::int8 and w.fenced_at is null \
     and w.heartbeat_at < (extract(epoch from clock_timestamp()) * 1000000)::int8 - $2::int8";

const END_CONNECTIONS: &str = "select pg_terminate_backend(a.pid) from pg_stat_activity a join writer w \
     on a.application_name = w.application_name where w.id = $1::int8 and w.application_name <> '' \
     and (extract(epoch from a.backend_start) * 1000000)::int8 <= w.fenced_at";

const REMOVE: &str = "delete from writer w where w.id = $1::int8 and w.fenced_at is not null \
     and not exists (select from pg_stat_activity a where w.application_name <> '' \
     and a.application_name = w.application_name \
     and (extract(epoch from a.backend_start) * 1000000)::int8 <= w.fenced_at)";

/// The oldest version of the search parameters by which any process may write; each says its own in `writer`.
const LEAST: &str = "select min(w.search_version) from writer w";

/// Another process, as its row says.
struct Writer {
    id: i64,
    low_watermark: i64,
    /// Microseconds since it announced itself.
    silent: i64,
    application_name: String,
}

impl Store {
    /// Makes this process one of those that write: under a number of its own, with commit timestamps later than all there are.
    pub(crate) async fn join(&self) -> Result<()> {
        let id = fhir_database::random_id();
        let shared = self.connections.coordinator().await?;
        let version = self.catalog.version(&self.commit_clock);
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&id, &version, &self.indexed_by(), &self.connections.application_name()];
        shared.client.execute(JOIN, &parameters).await.map_err(failure::classify)?;
        // In this order: who does not see the row yet has said how far it goes, and what it says is read here.
        let row = shared.client.query_one(LATEST, &[]).await.map_err(failure::classify)?;
        self.commit_clock.join(id, row.try_get(0).map_err(Error::internal)?);
        Ok(())
    }

    /// This process writes no more, and others need not wait until its lease is over. With a write under way, of which it
    /// is not known how it ends, they do. When it returns, no task of the store runs any more.
    pub async fn leave(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let left = async {
            let shared = self.connections.coordinator().await?;
            let process = self.commit_clock.process();
            match self.commit_clock.leave() {
                true => shared.client.execute(LEAVE, &[&process]).await.map_err(failure::classify),
                false => {
                    let low_watermark = self.commit_clock.low_watermark();
                    shared
                        .client
                        .execute(PUBLISH, &[&process, &low_watermark])
                        .await
                        .map_err(failure::classify)
                }
            }
        };
        if let Err(e) = left.await {
            tracing::debug!("this process could not take its leave of the database: {e}");
        }
    }

    /// Says that this process is there, and what its writes are indexed by.
    pub(crate) async fn announce(&self) -> Result<()> {
        if self.commit_clock.has_left() {
            return Ok(());
        }
        self.ensure_current().await?;
        let shared = self.connections.coordinator().await?;
        let (process, low_watermark) = (self.commit_clock.process(), self.commit_clock.low_watermark());
        let version = self.catalog.version(&self.commit_clock);
        let at = Instant::now();
        let announce = shared.statement(pipelined::ANNOUNCE)?;
        let row = shared.client.query_opt(announce, &[&process, &low_watermark, &version]).await;
        let Some(row) = row.map_err(failure::classify)? else {
            // Others took it for gone, or the database has lost its row: what it has begun is refused.
            tracing::warn!("this process was taken for gone by others; it joins them again");
            return self.join().await;
        };
        let database: i64 = row.try_get(0).map_err(Error::internal)?;
        let took = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.published.store(low_watermark, Ordering::Relaxed);
        // In this order: who changes search parameters either sees the announcement and waits for this process, or has
        // changed them before they are looked at here. Only then may (or may again) be written.
        self.refresh_catalog().await?;
        self.commit_clock.announced(Announced { at, database, error: took });
        Ok(())
    }

    /// Says how far this process is and reads how far all are, so that the feed can go on.
    pub(crate) async fn publish(&self) -> Result<()> {
        let shared = self.connections.coordinator().await?;
        let process = self.commit_clock.process();
        let publish_own = async || -> Result<i64> {
            let low_watermark = self.commit_clock.low_watermark();
            if self.published.load(Ordering::Relaxed) != low_watermark && !self.commit_clock.has_left() {
                let publish = shared.statement(pipelined::PUBLISH)?;
                let parameters: [&(dyn ToSql + Sync); 2] = [&process, &low_watermark];
                shared.client.execute(publish, &parameters).await.map_err(failure::classify)?;
                self.published.store(low_watermark, Ordering::Relaxed);
            }
            Ok(low_watermark)
        };
        let low_watermark = publish_own().await?;
        let writers = self.writers().await?;
        let latest = writers.iter().map(|writer| writer.low_watermark).max().unwrap_or(0);
        let least = least_of(&writers);
        self.commit_clock.go_on_from(latest.saturating_sub(1));
        // Who writes nothing itself says at once that others need not wait for it.
        publish_own().await?;
        self.has_others.store(writers.iter().any(|writer| writer.id != process), Ordering::Relaxed);
        // Elsewhere what is committed may not be visible yet: `late_visibility.rs` waits for it.
        if !self.is_visible_late {
            // Without any row nobody writes: what there is, is there.
            self.raise_low_watermark(least.unwrap_or(low_watermark));
        }
        Ok(())
    }

    /// The earliest commit timestamp that may still be committed anywhere.
    pub(crate) async fn least_low_watermark(&self) -> Result<i64> {
        let own = self.commit_clock.low_watermark();
        Ok(least_of(&self.writers().await?).unwrap_or(own))
    }

    /// Tells those who follow the feed how far it goes.
    pub(crate) fn raise_low_watermark(&self, low_watermark: i64) {
        self.low_watermark.send_if_modified(|known| {
            let is_later = low_watermark > *known;
            *known = low_watermark.max(*known);
            is_later
        });
    }

    async fn writers(&self) -> Result<Vec<Writer>> {
        let shared = self.connections.coordinator().await?;
        let look = shared.statement(pipelined::LOOK)?;
        let rows = shared.client.query(look, &[]).await.map_err(failure::classify)?;
        let writer = |row: &tokio_postgres::Row| {
            Ok(Writer {
                id: row.try_get(0)?,
                low_watermark: row.try_get(1)?,
                silent: row.try_get(2)?,
                application_name: row.try_get(3)?,
            })
        };
        rows.iter()
            .map(writer)
            .collect::<std::result::Result<_, tokio_postgres::Error>>()
            .map_err(Error::internal)
    }

    /// Removes those that are gone, so that nobody waits for them.
    async fn remove_gone(&self) -> Result<()> {
        let process = self.commit_clock.process();
        for writer in self.writers().await?.iter().filter(|writer| writer.id != process) {
            if writer.silent < GONE_MICROS {
                continue;
            }
            let shared = self.connections.coordinator().await?;
            let client = &shared.client;
            let has_name = !writer.application_name.is_empty();
            let connected = client.query_opt(CONNECTED, &[&writer.application_name]).await;
            let is_connected = has_name && connected.map_err(failure::classify)?.is_some();
            let lease = match (has_name, is_connected) {
                (true, false) => GONE_MICROS,
                (true, true) => LEASE_MICROS,
                (false, _) => NAMELESS_LEASE_MICROS,
            };
            if writer.silent < lease {
                continue;
            }
            // Each a statement of its own: it sees what was there after the one before.
            client.execute(FENCE, &[&writer.id, &lease]).await.map_err(failure::classify)?;
            if is_connected {
                client.execute(END_CONNECTIONS, &[&writer.id]).await.map_err(failure::classify)?;
            }
            if client.execute(REMOVE, &[&writer.id]).await.map_err(failure::classify)? == 1 {
                tracing::info!(
                    "a process that was gone for {} ms is not waited for any more",
                    writer.silent / 1000
                );
            }
        }
        Ok(())
    }

    /// The least version of the search parameters that the writes of a process are indexed by.
    pub(crate) async fn oldest_version(&self) -> Result<i64> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(LEAST).await.map_err(failure::classify)?;
        let row = client.query_one(&statement, &[]).await.map_err(failure::classify)?;
        // This process has just published its own; without any there is nobody to wait for.
        Ok(row.try_get::<_, Option<i64>>(0).map_err(Error::internal)?.unwrap_or(i64::MAX))
    }

    /// Returns `true` when this process may write with commit timestamps of `writer`.
    pub(crate) async fn is_writer(&self, writer: i64) -> Result<bool> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(IS_WRITER).await.map_err(failure::classify)?;
        Ok(client.query_opt(&statement, &[&writer]).await.map_err(failure::classify)?.is_some())
    }
}

fn least_of(writers: &[Writer]) -> Option<i64> {
    writers.iter().map(|writer| writer.low_watermark).min()
}

/// The row of the commit timestamp's process, asked for in each transaction that writes resources.
pub(crate) const MAY_WRITE: &str = IS_WRITER;

/// The statements that are pipelined.
pub(crate) const STATEMENTS: [&str; 3] = [ANNOUNCE, PUBLISH, LOOK];

/// Announces this process again and again for as long as the store is there.
pub(crate) fn keep_announced(store: &Arc<Store>) {
    let (stop, tasks) = (store.stop.clone(), store.tasks.clone());
    let store: Weak<Store> = Arc::downgrade(store);
    tasks.spawn(async move {
        let mut announced = Instant::now();
        let mut rounds: u64 = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PUBLISH_EVERY) => {}
            }
            let Some(store) = store.upgrade() else { return };
            if announced.elapsed() >= ANNOUNCE_EVERY {
                announced = Instant::now();
                rounds += 1;
                store.announce_and_tidy(rounds).await;
            } else if store.published.load(Ordering::Relaxed) != store.commit_clock.low_watermark()
                || store.has_others.load(Ordering::Relaxed)
            {
                // Those who follow the feed see it when the next announcement fails, too.
                let _ = store.publish().await;
            }
        }
    });
}

impl Store {
    async fn announce_and_tidy(&self, rounds: u64) {
        let announced = async {
            self.announce().await?;
            self.publish().await?;
            self.remove_gone().await
        };
        if let Err(e) = announced.await {
            tracing::warn!("this process could not announce itself to the database: {e}");
        }
        if rounds.is_multiple_of(600)
            && let Err(e) = self.delete_expired().await
        {
            tracing::warn!("old claims could not be removed: {e}");
        }
    }
}
