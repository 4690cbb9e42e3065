//! history: current and superseded versions and deletions, newest first.
//!
//! For a type or the whole system, each type's two indexes are walked and merged, so that the cost is that of the
//! page, not of what is stored.

use fhir_model::{Error, Key, Result};
use tokio_postgres::Row;

use crate::scope::Scope;
use crate::version::{Found, Version};
use crate::{Store, failure, read};

/// Whose history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryOf {
    /// One resource's.
    Instance(Key),
    /// All of a type.
    Type(Box<str>),
    /// Everything.
    System,
}

/// Which part of it.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    /// Most versions.
    pub count: usize,
    /// Only versions from this instant on (µs, inclusive).
    pub since: Option<i64>,
    /// Only versions that were current at some time within (µs, both inclusive).
    pub at: Option<(i64, i64)>,
    /// After this version in the listing.
    pub before: Option<(i64, i64, u32)>,
}

/// A page of history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Versions, newest first; deletions have no body.
    pub versions: Vec<Version>,
    /// Number of all versions listed, when cheap: for an instance.
    pub total: Option<u64>,
    /// Where the next page begins.
    pub next: Option<(i64, i64, u32)>,
}

/// Both halves have the same columns: type, row, version; JSONB only in the current half.
const INSTANCE: &str = "select v.* from ( \
     select r.type_id, r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end as json, r.packed, true as current from resource r \
     where r.handle = any($1::int8[]) and r.type_id = $2::int4 \
     union all \
     select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, null, h.packed, false from resource_history h \
     where h.handle = any($1::int8[]) and h.type_id = $2::int4) v \
     where v.updated_at >= $3::int8 and v.updated_at <= $4::int8 \
     and (v.updated_at, v.handle, v.version) < ($5::int8, $6::int8, $7::int4) \
     order by v.updated_at desc, v.handle desc, v.version desc limit $8::int8";

const TYPES: &str = "select v.* from unnest($1::int4[]) as t(id) cross join lateral ( \
     (select r.type_id, r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end as json, r.packed, true as current from resource r \
     where r.type_id = t.id and r.updated_at >= $2::int8 and r.updated_at <= $3::int8 \
     and (r.updated_at, r.handle) <= ($4::int8, $5::int8) \
     and (r.updated_at, r.handle, r.version) < ($4::int8, $5::int8, $6::int4) \
     order by r.updated_at desc, r.handle desc limit $7::int8) \
     union all \
     (select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, null, h.packed, false from resource_history h \
     where h.type_id = t.id and h.updated_at >= $2::int8 and h.updated_at <= $3::int8 \
     and (h.updated_at, h.handle, h.version) < ($4::int8, $5::int8, $6::int4) \
     order by h.updated_at desc, h.handle desc, h.version desc limit $7::int8)) v \
     order by v.updated_at desc, v.handle desc, v.version desc limit $7::int8";

/// The versions that were the last ones before an instant: what was current when the interval of `_at` began.
const LAST_BEFORE: &str = "select coalesce(max(v.updated_at), $3::int8) from ( \
     select r.updated_at from resource r where r.handle = any($1::int8[]) and r.type_id = $2::int4 \
     union all select h.updated_at from resource_history h where h.handle = any($1::int8[]) and h.type_id = $2::int4) v \
     where v.updated_at <= $3::int8";

const COUNT: &str = "select (select count(*) from resource r where r.handle = any($1::int8[]) and r.type_id = $2::int4) \
     + (select count(*) from resource_history h where h.handle = any($1::int8[]) and h.type_id = $2::int4)";

impl Store {
    /// A page of history, newest first.
    pub async fn history(&self, scope: &Scope, of: &HistoryOf, page: &HistoryPage) -> Result<History> {
        let _ = scope;
        let (at_handle, at_version, at_time) = match page.before {
            Some((time, handle, version)) => (handle, i32::try_from(version).unwrap_or(i32::MAX), time),
            None => (i64::MAX, i32::MAX, i64::MAX),
        };
        let mut low = page.since.unwrap_or(i64::MIN);
        let mut high = i64::MAX;
        let limit = i64::try_from(page.count + 1).unwrap_or(i64::MAX);
        let client = self.connections.client().await?;
        let mut total = None;
        let rows = match of {
            HistoryOf::Instance(key) => {
                let handles = self.handles_with_history(key).await?;
                let type_id = i32::from(self.type_number(&key.type_name)?);
                if let Some((from, to)) = page.at {
                    // The version that was current when the interval began is part of it.
                    let statement = client.prepare_cached(LAST_BEFORE).await.map_err(failure::classify)?;
                    let row = client.query_one(&statement, &[&handles, &type_id, &from]).await;
                    low = low.max(row.map_err(failure::classify)?.try_get(0).map_err(Error::internal)?);
                    high = to;
                }
                if page.since.is_none() && page.at.is_none() {
                    let statement = client.prepare_cached(COUNT).await.map_err(failure::classify)?;
                    let row = client
                        .query_one(&statement, &[&handles, &type_id])
                        .await
                        .map_err(failure::classify)?;
                    let n: i64 = row.try_get(0).map_err(Error::internal)?;
                    total = u64::try_from(n).ok();
                }
                let statement = client.prepare_cached(INSTANCE).await.map_err(failure::classify)?;
                client
                    .query(
                        &statement,
                        &[&handles, &type_id, &low, &high, &at_time, &at_handle, &at_version, &limit],
                    )
                    .await
            }
            HistoryOf::Type(_) | HistoryOf::System => {
                if let Some((from, to)) = page.at {
                    (low, high) = (low.max(from), to);
                }
                let types: Vec<i32> = match of {
                    HistoryOf::Type(name) => vec![i32::from(self.type_number(name)?)],
                    _ => self
                        .registry
                        .definitions()
                        .resource_types()
                        .filter_map(|t| self.registry.number(t))
                        .map(i32::from)
                        .collect(),
                };
                let statement = client.prepare_cached(TYPES).await.map_err(failure::classify)?;
                client
                    .query(&statement, &[&types, &low, &high, &at_time, &at_handle, &at_version, &limit])
                    .await
            }
        };
        let rows = rows.map_err(failure::classify)?;
        let mut versions = rows.iter().map(|row| self.version_of(row)).collect::<Result<Vec<_>>>()?;
        let mut next = None;
        if versions.len() > page.count {
            versions.truncate(page.count);
            next = versions.last().map(|v| (v.updated_at, v.handle, v.version));
        }
        Ok(History { versions, total, next })
    }

    /// The handle the resource has or had: of two possible ones only that whose rows carry the id.
    async fn handles_with_history(&self, key: &Key) -> Result<Vec<i64>> {
        match self.read(&Scope::everything(), key).await? {
            Found::Current(v) | Found::Deleted(v) => Ok(vec![v.handle]),
            Found::Never => Err(Error::not_found(key)),
        }
    }

    /// A version from a row of either half, whose first column is the type.
    pub(crate) fn version_of(&self, row: &Row) -> Result<Version> {
        let type_id: i32 = row.try_get(0).map_err(Error::internal)?;
        let type_name = u16::try_from(type_id).ok().and_then(|n| self.registry.definitions().type_name(n));
        let type_name = type_name.ok_or_else(|| Error::internal("a row of an unknown type"))?;
        read::of_history(type_name, row)
    }
}
