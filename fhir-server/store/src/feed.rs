//! The change feed: every version in commit order, without holes.
//!
//! Versions are handed out by (lastUpdated, row, version), but only up to the low-watermark: nothing younger than the oldest
//! write that may still be open anywhere (`writers.rs`), or is committed and not visible yet (`late_visibility.rs`). It is
//! the server's own, of all tenants and without a scope: nobody's answer is made of it. It is read by one task of the process
//! and kept, so that a look at the feed costs one statement over one index of each table, and none while nothing is new.

mod position;

use std::collections::HashMap;

use fhir_database::failure;
use fhir_model::{Error, Result};
use fhir_search::TenantId;
use tokio::sync::watch;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

pub use self::position::FeedPosition;
use crate::Store;
use crate::read;
use crate::version::Version;

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// Whose resource it is about.
    pub tenant: TenantId,
    /// The version that came; without a body it is a deletion.
    pub version: Version,
    /// The position after it.
    pub position: FeedPosition,
}

/// By `updated_at + 0`, as the index of the feed has it: see `migrations/0012_modules.sql`. The low half of a `type_id` is the
/// type: another process may have added an organisation.
const CHANGES: &str = "select v.* from ( \
     (select r.type_id, r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end as json, r.packed, true as current from resource r \
     where r.updated_at + 0 >= $1::int8 and r.updated_at + 0 < $4::int8 \
     and (r.updated_at + 0, r.handle, r.version) > ($1::int8, $2::int8, $3::int4) \
     and (cardinality($6::int4[]) = 0 or r.type_id % 65536 = any($6::int4[])) \
     order by r.updated_at + 0, r.handle limit $5::int8) \
     union all \
     (select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, null, h.packed, false from resource_history h \
     where h.updated_at + 0 >= $1::int8 and h.updated_at + 0 < $4::int8 \
     and (h.updated_at + 0, h.handle, h.version) > ($1::int8, $2::int8, $3::int4) \
     and (cardinality($6::int4[]) = 0 or h.type_id % 65536 = any($6::int4[])) \
     order by h.updated_at + 0, h.handle, h.version limit $5::int8)) v \
     order by v.updated_at, v.handle, v.version limit $5::int8";

const PREVIOUS: &str = "select h.handle, h.version, h.updated_at, h.method, h.id, h.packed \
     from unnest($1::int8[], $2::int4[]) as p(handle, version) \
     join resource_history h on h.handle = p.handle and h.version = p.version";

/// Claims older than this are of writes long ended.
const CLAIM_MICROS: i64 = 3_600_000_000;
const FORGET_CLAIMS: &str = "delete from claim c where c.turn < $1::int8";

impl Store {
    pub(crate) async fn delete_expired(&self) -> Result<()> {
        self.commit_clock.check_skew()?;
        let client = self.connections.client().await?;
        // What a claim was spent on is visible below the low-watermark: who finds no claim need not wait.
        let before = (self.now() - CLAIM_MICROS).min(*self.low_watermark.borrow());
        client.execute(FORGET_CLAIMS, &[&before]).await.map_err(failure::classify)?;
        Ok(())
    }

    /// The low-watermark of the feed, in microseconds since 1970: every change before it is there. Whoever follows the feed
    /// waits for it to change.
    pub fn low_watermark(&self) -> watch::Receiver<i64> {
        self.low_watermark.subscribe()
    }

    /// The next changes after a position, oldest first; fewer than `limit` when the feed has no more for now.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn changes(&self, after: FeedPosition, limit: usize) -> Result<Vec<Change>> {
        self.publish().await?;
        let before = *self.low_watermark.borrow();
        self.changes_before(after, before, &[], limit).await
    }

    /// The next changes after a position and before an instant, which the low-watermark must have reached, of some types or
    /// (without any) of all; fewer than `limit` when there are no more.
    ///
    /// # Errors
    ///
    /// When the database is not available, or a type is not known.
    pub async fn changes_before(
        &self,
        after: FeedPosition,
        before: i64,
        types: &[&str],
        limit: usize,
    ) -> Result<Vec<Change>> {
        if after >= FeedPosition::before(before) {
            return Ok(Vec::new());
        }
        let types = types.iter().map(|name| self.type_number(name).map(i32::from));
        let types = types.collect::<Result<Vec<_>>>()?;
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(CHANGES).await.map_err(failure::classify)?;
        let (updated_at, handle, version) = after.columns();
        let version = i32::try_from(version).unwrap_or(i32::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 6] = [&updated_at, &handle, &version, &before, &limit, &types];
        let rows = client.query(&statement, &parameters).await.map_err(failure::classify)?;
        let change = |row: &Row| {
            let (tenant, _) = TenantId::from_type_id(row.try_get(0).map_err(Error::internal)?)?;
            let version = self.version_from_listing(row)?;
            Ok(Change { tenant, position: FeedPosition::from_version(&version), version })
        };
        rows.iter().map(change).collect()
    }

    /// The versions before those of changes, in their order; `None` where a change is the first version.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn previous(&self, changes: &[Change]) -> Result<Vec<Option<Version>>> {
        let (mut handles, mut versions) = (Vec::new(), Vec::new());
        for Change { version, .. } in changes.iter().filter(|change| change.version.version > 1) {
            handles.push(version.handle);
            versions.push(i32::try_from(version.version - 1).unwrap_or(i32::MAX));
        }
        let mut found = HashMap::new();
        if !handles.is_empty() {
            let client = self.connections.client().await?;
            let statement = client.prepare_cached(PREVIOUS).await.map_err(failure::classify)?;
            for row in client.query(&statement, &[&handles, &versions]).await.map_err(failure::classify)? {
                let handle: i64 = row.try_get(0).map_err(Error::internal)?;
                let version: i32 = row.try_get(1).map_err(Error::internal)?;
                found.insert((handle, version), row);
            }
        }
        let previous = |change: &Change| {
            let before = i32::try_from(change.version.version.saturating_sub(1)).unwrap_or(i32::MAX);
            let row = found.get(&(change.version.handle, before));
            row.map(|row| read::from_history(&change.version.key.type_name, row)).transpose()
        };
        changes.iter().map(previous).collect()
    }
}
