//! The change feed: every version in commit order, without holes.
//!
//! Versions are handed out by (lastUpdated, row, version), but only up to the horizon: nothing younger than the
//! oldest write that may still be open anywhere. Each process announces its own horizon in the table `writer`; one
//! that has not done so for the length of a lease is taken for dead, and stops writing well before that itself.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fhir_model::{Error, Result};

use crate::scope::Scope;
use crate::stamp::{LEASE_MICROS, now};
use crate::version::Version;
use crate::{Store, failure};
use tokio_postgres::types::ToSql;

/// A position in the feed; the default is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    updated_at: i64,
    handle: i64,
    version: u32,
}

impl Default for FeedPosition {
    fn default() -> FeedPosition {
        FeedPosition { updated_at: i64::MIN, handle: i64::MIN, version: 0 }
    }
}

impl FeedPosition {
    /// The `lastUpdated` of the version, in microseconds since 1970: every earlier change is before the position.
    pub fn updated_at(&self) -> i64 {
        self.updated_at
    }
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.updated_at, self.handle, self.version)
    }
}

impl FromStr for FeedPosition {
    type Err = Error;

    fn from_str(text: &str) -> Result<FeedPosition> {
        let mut parts = text.split(' ');
        let mut part =
            || parts.next().ok_or_else(|| Error::internal(format!("`{text}` is no place in the feed")));
        Ok(FeedPosition {
            updated_at: part()?.parse().map_err(Error::internal)?,
            handle: part()?.parse().map_err(Error::internal)?,
            version: part()?.parse().map_err(Error::internal)?,
        })
    }
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// The version that came; without a body it is a deletion.
    pub version: Version,
    /// The position after it.
    pub position: FeedPosition,
}

/// How often a process announces its horizon.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);

const ANNOUNCE: &str = "insert into writer (id, horizon, heartbeat_at, search_version, index_settings) \
     values ($1::int8, $2::int8, $3::int8, $4::int8, $5::text) on conflict (id) do update set horizon = excluded.horizon, \
     heartbeat_at = excluded.heartbeat_at, search_version = excluded.search_version";

const LEAVE: &str = "delete from writer w where w.id = $1::int8";

const FORGET: &str = "delete from writer w where w.heartbeat_at < $1::int8";

const LOW_WATERMARK: &str = "select min(w.horizon) from writer w where w.heartbeat_at >= $1::int8";

const CHANGES: &str = "select v.* from unnest($1::int4[]) as t(id) cross join lateral ( \
     (select r.type_id, r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end as json, r.packed, true as current from resource r \
     where r.type_id = t.id and r.updated_at >= $2::int8 and r.updated_at < $5::int8 \
     and (r.updated_at, r.handle, r.version) > ($2::int8, $3::int8, $4::int4) \
     order by r.updated_at, r.handle limit $6::int8) \
     union all \
     (select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, null, h.packed, false from resource_history h \
     where h.type_id = t.id and h.updated_at >= $2::int8 and h.updated_at < $5::int8 \
     and (h.updated_at, h.handle, h.version) > ($2::int8, $3::int8, $4::int4) \
     order by h.updated_at, h.handle, h.version limit $6::int8)) v \
     order by v.updated_at, v.handle, v.version limit $6::int8";

/// Claims older than this are of writes long ended.
const CLAIM_MICROS: i64 = 3_600_000_000;
const FORGET_CLAIMS: &str = "delete from claim c where c.turn < $1::int8";

/// Announces this process now, and again and again for as long as the store is there.
pub(crate) async fn announce(store: &Arc<Store>) -> Result<()> {
    store.announce().await?;
    let store: Weak<Store> = Arc::downgrade(store);
    tokio::spawn(async move {
        let mut turn: u64 = 0;
        loop {
            tokio::time::sleep(ANNOUNCE_EVERY).await;
            let Some(store) = store.upgrade() else { return };
            if let Err(e) = store.announce().await {
                tracing::warn!("this process could not announce itself to the database: {e}");
            }
            turn += 1;
            if turn.is_multiple_of(600)
                && let Err(e) = store.delete_expired().await
            {
                tracing::warn!("old claims and writers could not be removed: {e}");
            }
        }
    });
    Ok(())
}

impl Store {
    /// This process writes no more, and others need not wait until its lease is over. With a write under way, of which it
    /// is not known how it ends, they do.
    pub async fn leave(&self) {
        if !self.clock.leave() {
            return;
        }
        let left = async {
            let client = self.connections.client().await?;
            client.execute(LEAVE, &[&self.clock.process]).await.map_err(failure::classify)
        };
        if let Err(e) = left.await {
            tracing::debug!("this process could not take its leave of the database: {e}");
        }
    }

    pub(crate) async fn announce(&self) -> Result<()> {
        if self.clock.has_left() {
            return Ok(());
        }
        self.ensure_current().await?;
        let (at, low_watermark, version) =
            (now(), self.clock.low_watermark(), self.catalog.version(&self.clock));
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(ANNOUNCE).await.map_err(failure::classify)?;
        let indexed_by = self.indexed_by();
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&self.clock.process, &low_watermark, &at, &version, &indexed_by];
        client.execute(&statement, &parameters).await.map_err(failure::classify)?;
        drop(client);
        // In this order: who changes search parameters either sees the announcement and waits for this process, or has
        // changed them before they are looked at here. Only then may (or may again) be written.
        self.refresh_catalog().await?;
        self.clock.announced_at.store(at, Ordering::Relaxed);
        Ok(())
    }

    async fn delete_expired(&self) -> Result<()> {
        let client = self.connections.client().await?;
        client.execute(FORGET, &[&(now() - 2 * LEASE_MICROS)]).await.map_err(failure::classify)?;
        client.execute(FORGET_CLAIMS, &[&(now() - CLAIM_MICROS)]).await.map_err(failure::classify)?;
        Ok(())
    }

    /// The next changes after a position, oldest first; fewer than `limit` when the feed has no more for now.
    pub async fn changes(&self, scope: &Scope, after: FeedPosition, limit: usize) -> Result<Vec<Change>> {
        let _ = scope;
        self.announce().await?;
        let client = self.connections.client().await?;
        let row =
            client.query_one(LOW_WATERMARK, &[&(now() - LEASE_MICROS)]).await.map_err(failure::classify)?;
        let low_watermark: Option<i64> = row.try_get(0).map_err(Error::internal)?;
        let Some(low_watermark) = low_watermark else { return Ok(Vec::new()) };
        let types = crate::parameters::numbers(self);
        let statement = client.prepare_cached(CHANGES).await.map_err(failure::classify)?;
        let version = i32::try_from(after.version).unwrap_or(i32::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = client
            .query(&statement, &[&types, &after.updated_at, &after.handle, &version, &low_watermark, &limit])
            .await
            .map_err(failure::classify)?;
        let change = |row| {
            let version = self.version_from_listing(row)?;
            let place = FeedPosition {
                updated_at: version.updated_at,
                handle: version.handle,
                version: version.version,
            };
            Ok(Change { version, position: place })
        };
        rows.iter().map(change).collect()
    }
}
