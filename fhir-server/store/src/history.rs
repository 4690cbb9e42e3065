//! history: current and superseded versions and deletions, newest first.
//!
//! For a type or the whole system, each type's two indexes are scanned in order and merged, so that the cost is that of the
//! page, not of what is stored. With `_at` the scan skips versions that were superseded before the instant; a
//! page ends when it has passed over many, and its link goes on from there.

use std::collections::HashSet;

use fhir_database::ReadConnection;
use fhir_model::{Error, Key, Result};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::scope::ScopedStore;
use crate::version::{Method, ResourceState, Version};

/// Whose history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryTarget {
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
    /// Most versions; 0 for the total alone.
    pub count: usize,
    /// Only versions from this instant on (µs, inclusive).
    pub since: Option<i64>,
    /// Only versions that were current at some time within (µs, both inclusive). A deletion counts as one.
    pub at: Option<(i64, i64)>,
    /// Only versions of what is in this List.
    pub list: Option<Box<str>>,
    /// After this version in the listing.
    pub before: Option<(i64, i64, u32)>,
}

/// A page of history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Versions, newest first; deletions have no body.
    pub versions: Vec<Version>,
    /// Number of all versions on all pages: for an instance, and where it alone is asked for.
    pub total: Option<u64>,
    /// Where the next page begins.
    pub next: Option<(i64, i64, u32)>,
    /// Those of the versions (row and number) that brought back what was deleted: they were answered as created.
    pub restored: HashSet<(i64, u32)>,
    /// There is no List of the id that was asked for.
    pub no_list: bool,
}

/// Whether a version `p` came after a deletion.
macro_rules! restored {
    () => {
        "case when p.method = 2 and p.version > 1 then \
         (select n.method = 4 from resource_history n where n.handle = p.handle and n.version = p.version - 1) end"
    };
}

/// A page of versions `v`, newest first, and whether each came after a deletion: of a PUT that is no first version, the
/// one before is looked up by its primary key, once the page is cut.
macro_rules! page_of {
    ($versions:expr, $limit:literal) => {
        concat!(
            "select p.*, ",
            restored!(),
            " as restored from (select v.* from (",
            $versions,
            " order by v.updated_at desc, v.handle desc, v.version desc limit ",
            $limit,
            ") p order by p.updated_at desc, p.handle desc, p.version desc"
        )
    };
}

/// Both halves have the same columns: type, row, version; JSONB only in the current half.
const INSTANCE: &str = page_of!(
    "select r.type_id, r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end as json, r.packed, true as current from resource r \
     where r.handle = any($1::int8[]) and r.type_id = $2::int4{r} \
     union all \
     select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, null, h.packed, false from resource_history h \
     where h.handle = any($1::int8[]) and h.type_id = $2::int4{h}) v \
     where v.updated_at >= $3::int8 and v.updated_at <= $4::int8 \
     and (v.updated_at, v.handle, v.version) < ($5::int8, $6::int8, $7::int4)",
    "$8::int8"
);

/// True for a version in history that was current at the instant `$4`, or came after it: the next one that is seen came later. That
/// has the same handle, so it lies beside this one however the tables are distributed. (As values, since the planner
/// may answer `exists` by hashing the whole table.)
macro_rules! current_after {
    () => {
        "(h.updated_at > $4::int8 or coalesce( \
         (select n.updated_at from resource_history n where n.handle = h.handle and n.version > h.version{n} \
         order by n.version limit 1), \
         (select n.updated_at from resource n where n.handle = h.handle), \
         9223372036854775807) > $4::int8)"
    };
}

/// The last column says whether the version belongs to the answer: those that do not are only passed over, and come
/// without their bodies.
const TYPES: &str = page_of!(
    concat!(
        "select l.* from unnest($1::int4[]) as t(id) cross join lateral ( \
     (select r.type_id, r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end as json, r.packed, true as listed from resource r \
     where r.type_id = t.id and r.updated_at >= $2::int8 and r.updated_at <= $3::int8 \
     and (r.updated_at, r.handle) <= ($5::int8, $6::int8) \
     and (r.updated_at, r.handle, r.version) < ($5::int8, $6::int8, $7::int4){r} \
     order by r.updated_at desc, r.handle desc limit $8::int8) \
     union all \
     select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, null, case when h.listed then h.packed end, h.listed from ( \
     select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, h.packed, ",
        current_after!(),
        "{h} as listed from resource_history h \
     where h.type_id = t.id and h.updated_at >= $2::int8 and h.updated_at <= $3::int8 \
     and (h.updated_at, h.handle, h.version) < ($5::int8, $6::int8, $7::int4) \
     order by h.updated_at desc, h.handle desc, h.version desc limit $8::int8) h) l) v"
    ),
    "$8::int8"
);

/// The same where each node looks at its own versions: of all types in the order of the feed's index.
const DISTRIBUTED_TYPES: &str = page_of!(
    concat!(
        "select l.* from ( \
     (select r.type_id, r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end as json, r.packed, true as listed from resource r \
     where r.type_id = any($1::int4[]) and r.updated_at + 0 >= $2::int8 and r.updated_at + 0 <= $3::int8 \
     and (r.updated_at + 0, r.handle) <= ($5::int8, $6::int8) \
     and (r.updated_at, r.handle, r.version) < ($5::int8, $6::int8, $7::int4){r} \
     order by r.updated_at + 0 desc, r.handle desc limit $8::int8) \
     union all \
     select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, null, case when h.listed then h.packed end, h.listed from ( \
     select h.type_id, h.handle, h.version, h.updated_at, h.method, h.id, h.packed, ",
        current_after!(),
        "{h} as listed from resource_history h \
     where h.type_id = any($1::int4[]) and h.updated_at + 0 >= $2::int8 and h.updated_at + 0 <= $3::int8 \
     and (h.updated_at + 0, h.handle, h.version) < ($5::int8, $6::int8, $7::int4) \
     order by h.updated_at + 0 desc, h.handle desc, h.version desc limit $8::int8) h) l) v"
    ),
    "$8::int8"
);

/// Of the versions after these, those before which a deletion came.
const RESTORED_AFTER: &str = "select h.handle, h.version + 1 from resource_history h \
     join unnest($1::int8[], $2::int4[]) as p(handle, version) on h.handle = p.handle and h.version = p.version \
     where h.method = 4";

mod list;

const COUNT_TYPES: &str = concat!(
    "select (select count(*) from resource r \
     where r.type_id = any($1::int4[]) and r.updated_at >= $2::int8 and r.updated_at <= $3::int8{r}) \
     + (select count(*) from resource_history h \
     where h.type_id = any($1::int4[]) and h.updated_at >= $2::int8 and h.updated_at <= $3::int8 and ",
    current_after!(),
    "{h})"
);

/// When the last version up to an instant came: what was current when the interval of `_at` began.
const LAST_BEFORE: &str = "select coalesce(max(v.updated_at), $3::int8) from ( \
     select r.updated_at from resource r where r.handle = any($1::int8[]) and r.type_id = $2::int4{r} \
     union all select h.updated_at from resource_history h where h.handle = any($1::int8[]) and h.type_id = $2::int4{h}) v \
     where v.updated_at <= $3::int8";

const COUNT: &str = "select (select count(*) from resource r where r.handle = any($1::int8[]) and r.type_id = $2::int4 \
     and r.updated_at >= $3::int8 and r.updated_at <= $4::int8{r}) \
     + (select count(*) from resource_history h where h.handle = any($1::int8[]) and h.type_id = $2::int4 \
     and h.updated_at >= $3::int8 and h.updated_at <= $4::int8{h})";

/// Where [`TYPES`] says whether the version belongs to the answer.
const LISTED: usize = 8;
/// Where every statement says whether the version came after a deletion; null: no.
const RESTORED: usize = 9;

/// At most so many versions are scanned by one statement, and for one page.
const SCAN_STEP_ROWS: usize = 2_000;
const SCAN_ROWS_MAX: usize = 20_000;

impl ScopedStore<'_> {
    /// A page of history, newest first.
    pub(crate) async fn history(&self, of: &HistoryTarget, page: &HistoryPage) -> Result<History> {
        if let Some(list) = &page.list {
            return self.list_history(of, list, page).await;
        }
        match of {
            HistoryTarget::Instance(key) => self.instance_history(key, page).await,
            HistoryTarget::Type(name) => self.types_history(&[self.type_id(name)?], page).await,
            HistoryTarget::System => {
                let types = self.registry.definitions().resource_types();
                self.types_history(&self.type_ids(types), page).await
            }
        }
    }

    async fn instance_history(&self, key: &Key, page: &HistoryPage) -> Result<History> {
        let handles = self.handles_with_history(key).await?;
        let type_id = self.type_id(&key.type_name)?;
        let client = self.client().await?;
        let (mut low, mut high) = (page.since.unwrap_or(i64::MIN), i64::MAX);
        if let Some((from, to)) = page.at {
            let rows = self.query(&client, LAST_BEFORE, &[&handles, &type_id, &from]).await?;
            low = low.max(number(&rows)?);
            high = to;
        }
        let rows = self.query(&client, COUNT, &[&handles, &type_id, &low, &high]).await?;
        let total = Some(count_of(&rows)?);
        if page.count == 0 {
            return Ok(History { total, ..History::default() });
        }
        let (time, handle, version) = position_columns(page.before);
        let limit = i64::try_from(page.count + 1).unwrap_or(i64::MAX);
        let rows = self
            .page(&client, INSTANCE, &[&handles, &type_id, &low, &high, &time, &handle, &version, &limit])
            .await?;
        let found = History { total, ..self.truncate(&rows, page.count)? };
        self.with_restored(&client, found).await
    }

    /// The rows of a page. Of rows that were cut to a page a distributed database answers no subqueries: what came after a
    /// deletion is asked for by [`Self::with_restored`].
    async fn page(
        &self,
        client: &ReadConnection,
        text: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        match self.is_distributed() {
            true => self.query(client, &text.replace(restored!(), "null::boolean"), values).await,
            false => self.query(client, text, values).await,
        }
    }

    /// The same, with those marked that came after a deletion, where the rows do not say it.
    async fn with_restored(&self, client: &ReadConnection, mut history: History) -> Result<History> {
        if !self.is_distributed() {
            return Ok(history);
        }
        let after = history.versions.iter().filter(|v| v.method == Method::Put && v.version > 1);
        let before = |v: &Version| (v.handle, i32::try_from(v.version - 1).unwrap_or(i32::MAX));
        let (handles, versions): (Vec<i64>, Vec<i32>) = after.map(before).unzip();
        if !handles.is_empty() {
            for row in client.rows(RESTORED_AFTER, &[&handles, &versions]).await? {
                let version: i32 = row.try_get(1).map_err(Error::internal)?;
                history.restored.insert((row.try_get(0).map_err(Error::internal)?, version.unsigned_abs()));
            }
        }
        Ok(history)
    }

    /// The page of these rows, of which there is one more when it is not the last.
    fn truncate(&self, rows: &[Row], count: usize) -> Result<History> {
        let mut history = History::default();
        for row in rows.iter().take(count) {
            history.push(self.version_from_listing(row)?, row)?;
        }
        if rows.len() > count {
            history.next = history.versions.last().map(|v| (v.updated_at, v.handle, v.version));
        }
        Ok(history)
    }

    async fn types_history(&self, types: &[i32], page: &HistoryPage) -> Result<History> {
        let client = self.client().await?;
        let low = page.since.unwrap_or(i64::MIN);
        let (from, high) = page.at.unwrap_or((i64::MIN, i64::MAX));
        if page.count == 0 {
            let rows = self.query(&client, COUNT_TYPES, &[&types, &low, &high, &from]).await?;
            let total = Some(count_of(&rows)?);
            return Ok(History { total, ..History::default() });
        }
        let statement = if self.is_distributed() { DISTRIBUTED_TYPES } else { TYPES };
        let (mut place, mut found) = (page.before, History::default());
        let (mut step, mut walked) = (page.count + 1, 0);
        loop {
            let (time, handle, version) = position_columns(place);
            let limit = i64::try_from(step).unwrap_or(i64::MAX);
            let rows = self
                .page(&client, statement, &[&types, &low, &high, &from, &time, &handle, &version, &limit])
                .await?;
            for row in &rows {
                let version = self.version_from_listing(row)?;
                let here = (version.updated_at, version.handle, version.version);
                if row.try_get(LISTED).map_err(Error::internal)? {
                    if found.versions.len() == page.count {
                        return self.with_restored(&client, History { next: place, ..found }).await;
                    }
                    found.push(version, row)?;
                }
                place = Some(here);
            }
            walked += rows.len();
            if rows.len() < step {
                return self.with_restored(&client, found).await;
            }
            if walked >= SCAN_ROWS_MAX {
                return self.with_restored(&client, History { next: place, ..found }).await;
            }
            // Few more at first: what is listed comes with its body.
            step = (step * 4).min(SCAN_STEP_ROWS.max(page.count + 1));
        }
    }

    /// The handle the resource has or had: of two possible ones only that whose rows carry the id.
    async fn handles_with_history(&self, key: &Key) -> Result<Vec<i64>> {
        match self.read(key).await? {
            ResourceState::Current(v) | ResourceState::Deleted(v) => Ok(vec![v.handle]),
            ResourceState::Absent => Err(Error::not_found(key)),
        }
    }
}

impl History {
    /// Adds a version and what its row says besides.
    fn push(&mut self, version: Version, row: &Row) -> Result<()> {
        let restored: Option<bool> = row.try_get(RESTORED).map_err(Error::internal)?;
        if restored == Some(true) {
            self.restored.insert((version.handle, version.version));
        }
        self.versions.push(version);
        Ok(())
    }
}

/// A position in the listing as the statements take it; without one, the position before all versions.
fn position_columns(place: Option<(i64, i64, u32)>) -> (i64, i64, i32) {
    match place {
        Some((time, handle, version)) => (time, handle, i32::try_from(version).unwrap_or(i32::MAX)),
        None => (i64::MAX, i64::MAX, i32::MAX),
    }
}

/// The one number that a statement answers.
fn number(rows: &[Row]) -> Result<i64> {
    let row = rows.first().ok_or_else(|| Error::internal("a number without a row"))?;
    row.try_get(0).map_err(Error::internal)
}

/// What a statement counted.
fn count_of(rows: &[Row]) -> Result<u64> {
    u64::try_from(number(rows)?).map_err(Error::internal)
}

#[cfg(test)]
mod tests;
