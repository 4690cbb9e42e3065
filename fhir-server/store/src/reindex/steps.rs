//! The steps in which parameters come and go, and walks over rows are taken.

use std::sync::atomic::Ordering;

use deadpool_postgres::Transaction;
use fhir_model::json::{Doc, Limits};
use fhir_model::{Error, Key, Kind, Result};
use fhir_search::custom::{Custom, Stage};
use fhir_search::registry::Set;
use fhir_search::rows::Rows;
use tokio_postgres::types::ToSql;

use super::{Next, Walk, want};
use crate::parameters::NEXT_VERSION;
use crate::stamp::{LEASE_MICROS, now};
use crate::version::Version;
use crate::write::{Failure, again};
use crate::{Store, failure, read};

/// Bodies in one transaction, about.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bodies that are fetched at a time.
const FETCH: i32 = 10;

/// The least version that a process which may write goes by; all of them tell it.
const LEAST: &str = "select min(w.search_version) from writer w where w.heartbeat_at >= $1::int8";

const BUILD: &str = "update search_parameter p set stage = 2, since = $2::int8 \
     where p.number = $1::int8 and p.stage = 1 returning p.types";

const LEASE: &str = "update reindex j set owner = $2::int8, leased_until = $3::int8 where j.type_id = $1::int4 \
     and j.done < j.wanted and (j.owner = $2::int8 or j.leased_until < $4::int8)";

const UNTIL: &str =
    "select r.updated_at from resource r where r.type_id = $1::int4 order by r.updated_at desc limit 1";

const COUNTS: &str =
    "select r.type_id, count(*) from resource r where r.type_id = any($1::int4[]) group by r.type_id";

const COUNTED: &str = "update reindex j set rows_total = c.n from unnest($1::int4[], $2::int8[]) as c(id, n) \
     where j.type_id = c.id and j.rows_total is null and j.walking is null";

const BEGIN: &str = "update reindex j set walking = $2::int8, until_at = $3::int8, position_at = $4::int8, \
     position_handle = $4::int8, rows_done = 0, started_at = $5::int8, ended_at = null, \
     failure = null where j.type_id = $1::int4 and j.owner = $6::int8 and j.walking is null";

const ROWS: &str = "select r.handle, r.version, r.updated_at, r.method, r.id, \
     case when r.packed is null then r.json end, r.packed from resource r where r.type_id = $1::int4 \
     and r.updated_at <= $2::int8 and (r.updated_at, r.handle) > ($3::int8, $4::int8) \
     order by r.updated_at, r.handle limit $5::int8";

const PLACE: &str = "update reindex j set position_at = $3::int8, position_handle = $4::int8, \
     rows_done = j.rows_done + $5::int8, leased_until = $6::int8, failure = null \
     where j.type_id = $1::int4 and j.owner = $2::int8 and j.walking = $7::int8";

/// Holds all changes of search parameters until the end of the transaction.
const HOLD: &str = "select v.version from search_version v where v.id = 1 for update";

const END: &str = "update reindex j set done = j.walking, walking = null, ended_at = $3::int8, leased_until = 0 \
     where j.type_id = $1::int4 and j.owner = $2::int8 and j.walking = $4::int8";

const FAILED: &str =
    "update reindex j set failure = $3::text where j.type_id = $1::int4 and j.owner = $2::int8";

const CHANGING: &str =
    "select p.number, p.types, p.stage, p.since from search_parameter p where p.stage in (2, 4)";

const DONE: &str = "select count(*) from reindex j where j.type_id = any($1::int4[]) and j.done >= $2::int8";

const READY: &str = "update search_parameter p set stage = 3, since = $2::int8 where p.number = $1::int8";

const GONE: &str = "delete from search_parameter p where p.number = $1::int8";

impl Store {
    /// One step of what there is to do.
    pub(super) async fn step(&self) -> Result<Next> {
        // Before anything is looked at: what is to be done later sets it again.
        self.learned.busy.store(false, Ordering::Relaxed);
        let next = self.look_and_step().await;
        if !matches!(next, Ok(Next::Rest)) {
            self.learned.busy.store(true, Ordering::Relaxed);
        }
        next
    }

    async fn look_and_step(&self) -> Result<Next> {
        self.announce().await?;
        let walks = self.walks().await?;
        self.note_progress(&walks);
        let customs = self.registry.customs();
        let known: Vec<_> = customs.iter().filter(|c| c.stage == Stage::Known).collect();
        let mut due: Vec<&Walk> = walks.iter().filter(|walk| walk.done < walk.wanted).collect();
        // What fails keeps nothing else from being done.
        due.sort_by_key(|walk| walk.failure.is_some());
        if known.is_empty() && due.is_empty() {
            return Ok(Next::Rest);
        }
        let least = self.least_version().await?;
        if let Some(custom) = known.iter().find(|custom| custom.since <= least) {
            self.build(custom).await?;
            return Ok(Next::GoOn);
        }
        let mut next = if known.is_empty() { Next::Elsewhere } else { Next::Wait };
        for walk in due {
            if walk.walking.is_none() && walk.wanted > least {
                next = Next::Wait;
                continue;
            }
            if !self.lease(walk).await? {
                continue;
            }
            return match self.take(walk).await {
                Ok(()) => Ok(Next::GoOn),
                Err(e) => {
                    self.note_failure(walk, &e).await?;
                    Err(e)
                }
            };
        }
        Ok(next)
    }

    async fn least_version(&self) -> Result<i64> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(LEAST).await.map_err(failure::classify)?;
        let row =
            client.query_one(&statement, &[&(now() - LEASE_MICROS)]).await.map_err(failure::classify)?;
        // This process has just told its own; without any there is nobody to wait for.
        Ok(row.try_get::<_, Option<i64>>(0).map_err(Error::internal)?.unwrap_or(i64::MAX))
    }

    /// Everybody takes its entries away: now they are written, and old rows get them.
    async fn build(&self, custom: &Custom) -> Result<()> {
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let row = transaction.query_one(NEXT_VERSION, &[]).await.map_err(failure::classify)?;
        let version: i64 = row.try_get(0).map_err(Error::internal)?;
        let row =
            transaction.query_opt(BUILD, &[&custom.number, &version]).await.map_err(failure::classify)?;
        // None: another process was faster, or it is not wanted any more.
        let Some(row) = row else { return Ok(()) };
        let types: Vec<i32> = row.try_get(0).map_err(Error::internal)?;
        want(&transaction, &types, version).await.map_err(failure::classify)?;
        transaction.commit().await.map_err(failure::classify)?;
        drop(client);
        self.learn_if_behind().await
    }

    /// True when the walk is this process's for the time being.
    async fn lease(&self, walk: &Walk) -> Result<bool> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(LEASE).await.map_err(failure::classify)?;
        let (now, until) = (now(), self.lease_until());
        let leased = client.execute(&statement, &[&walk.type_id, &self.clock.process, &until, &now]).await;
        Ok(leased.map_err(failure::classify)? == 1)
    }

    fn lease_until(&self) -> i64 {
        now().saturating_add(i64::try_from(self.options.reindex.lease.as_micros()).unwrap_or(i64::MAX))
    }

    /// Begins a walk, or takes it further, or ends it.
    async fn take(&self, walk: &Walk) -> Result<()> {
        let Some(walking) = walk.walking else { return self.begin(walk).await };
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let versions = self.batch(&transaction, walk).await?;
        let Some(last) = versions.last() else {
            drop(transaction);
            drop(client);
            return self.end(walk, walking).await;
        };
        let place = (last.updated_at, last.handle);
        let all = versions.iter().map(|version| self.again(version)).collect::<Result<Vec<_>>>()?;
        self.keep_texts_in(&transaction, all.iter().flat_map(|one| &one.rows.distinct)).await?;
        again::run(&transaction, &all).await.map_err(|e| match e {
            Failure::Stale => Error::new(Kind::Conflict, "entries were written at the same time"),
            Failure::Database(e) => failure::classify(e),
            Failure::Other(e) => e,
        })?;
        let statement = transaction.prepare_cached(PLACE).await.map_err(failure::classify)?;
        let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let (owner, until) = (self.clock.process, self.lease_until());
        let parameters: [&(dyn ToSql + Sync); 7] =
            [&walk.type_id, &owner, &place.0, &place.1, &count, &until, &walking];
        if transaction.execute(&statement, &parameters).await.map_err(failure::classify)? == 0 {
            // The lease is another's by now: it goes on from where it was.
            return transaction.rollback().await.map_err(failure::classify);
        }
        transaction.commit().await.map_err(failure::classify)
    }

    /// The next versions of a walk: so many, or fewer when they are large.
    async fn batch(&self, transaction: &Transaction<'_>, walk: &Walk) -> Result<Vec<Version>> {
        let batch = self.options.reindex.batch.max(1);
        let limit = i64::try_from(batch).unwrap_or(i64::MAX);
        let statement = transaction.prepare_cached(ROWS).await.map_err(failure::classify)?;
        let (at, handle) = walk.position;
        let parameters: [&(dyn ToSql + Sync); 5] = [&walk.type_id, &walk.until_at, &at, &handle, &limit];
        let portal = transaction.bind(&statement, &parameters).await.map_err(failure::classify)?;
        let (mut versions, mut bytes) = (Vec::new(), 0);
        while versions.len() < batch && bytes < BATCH_BYTES_MAX {
            let rows = transaction.query_portal(&portal, FETCH).await.map_err(failure::classify)?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let version = read::version(&walk.type_name, row)?;
                bytes += version.body.as_ref().map_or(0, |body| body.len());
                versions.push(version);
            }
        }
        Ok(versions)
    }

    fn again(&self, version: &Version) -> Result<again::Again> {
        let body = version.body.as_deref().unwrap_or_default();
        let doc = Doc::parse(body.to_vec(), Limits::NONE).map_err(Error::internal)?;
        Ok(again::Again {
            handle: version.handle,
            version: i32::try_from(version.version).map_err(Error::internal)?,
            rows: self.rows(Set::Written, &version.key, &doc).map_err(|e| e.at(version.key.to_string()))?,
            before: self.before(&version.key, &doc)?,
        })
    }

    /// The index rows that a version may have: those of these settings, and of earlier ones.
    fn before(&self, key: &Key, doc: &Doc) -> Result<Rows> {
        let mut all = self.rows(Set::Replaced, key, doc)?;
        for (settings, keyer) in self.settings.former(self.keyer) {
            let (type_name, root) = (&key.type_name, doc.root());
            let rows = self.registry.extract_by(Set::Replaced, &keyer, type_name, root, settings)?;
            all.ordered.extend(rows.ordered);
            all.strings.extend(rows.strings);
        }
        Ok(all)
    }

    async fn begin(&self, walk: &Walk) -> Result<()> {
        if walk.rows_total.is_none() {
            self.count_rows().await?;
        }
        let client = self.connections.client().await?;
        // What comes after it is indexed by whoever writes it.
        let until = client.query_opt(UNTIL, &[&walk.type_id]).await.map_err(failure::classify)?;
        let until: i64 = match until {
            Some(row) => row.try_get(0).map_err(Error::internal)?,
            None => i64::MIN,
        };
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&walk.type_id, &walk.wanted, &until, &i64::MIN, &now(), &self.clock.process];
        client.execute(BEGIN, &parameters).await.map_err(failure::classify)?;
        Ok(())
    }

    /// Counts the rows of all types that are to be walked over, so that shares can be told of several of them.
    async fn count_rows(&self) -> Result<()> {
        let walks = self.walks().await?;
        let due = walks.iter().filter(|w| w.done < w.wanted && w.walking.is_none() && w.rows_total.is_none());
        let types: Vec<i32> = due.map(|walk| walk.type_id).collect();
        let client = self.connections.client().await?;
        let rows = match client.query(COUNTS, &[&types]).await.map_err(failure::classify) {
            // More than can be counted in time is walked over all the same.
            Err(e) if e.kind == Kind::Timeout => Vec::new(),
            rows => rows?,
        };
        let mut counts = std::collections::HashMap::new();
        for row in &rows {
            counts.insert(row.try_get::<_, i32>(0).map_err(Error::internal)?, row.try_get::<_, i64>(1));
        }
        let number = |id: &i32| counts.remove(id).unwrap_or(Ok(0)).map_err(Error::internal);
        let counts = types.iter().map(number).collect::<Result<Vec<i64>>>()?;
        client.execute(COUNTED, &[&types, &counts]).await.map_err(failure::classify)?;
        Ok(())
    }

    /// All rows were seen: parameters that waited for it take their last step.
    async fn end(&self, walk: &Walk, walking: i64) -> Result<()> {
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        transaction.query_one(HOLD, &[]).await.map_err(failure::classify)?;
        let ended = transaction.execute(END, &[&walk.type_id, &self.clock.process, &now(), &walking]).await;
        if ended.map_err(failure::classify)? == 0 {
            return transaction.rollback().await.map_err(failure::classify);
        }
        let mut done = Vec::new();
        for row in transaction.query(CHANGING, &[]).await.map_err(failure::classify)? {
            let types: Vec<i32> = row.try_get(1).map_err(Error::internal)?;
            let since: i64 = row.try_get(3).map_err(Error::internal)?;
            let all = transaction.query_one(DONE, &[&types, &since]).await.map_err(failure::classify)?;
            let all: i64 = all.try_get(0).map_err(Error::internal)?;
            if usize::try_from(all).ok() == Some(types.len()) {
                done.push(row);
            }
        }
        if !done.is_empty() {
            let row = transaction.query_one(NEXT_VERSION, &[]).await.map_err(failure::classify)?;
            let version: i64 = row.try_get(0).map_err(Error::internal)?;
            for row in done {
                let number: i64 = row.try_get(0).map_err(Error::internal)?;
                let changed = match Stage::of_number(row.try_get(2).map_err(Error::internal)?)? {
                    Stage::Building => transaction.execute(READY, &[&number, &version]).await,
                    _ => transaction.execute(GONE, &[&number]).await,
                };
                changed.map_err(failure::classify)?;
            }
        }
        transaction.commit().await.map_err(failure::classify)?;
        drop(client);
        tracing::info!("the index of {} {} is up to date", walk.rows_done, walk.type_name);
        self.learn_if_behind().await
    }

    /// The reason stands in the row for an operator to see; it holds nothing of a resource but its id.
    async fn note_failure(&self, walk: &Walk, e: &Error) -> Result<()> {
        let client = self.connections.client().await?;
        let about: String = e.expression.iter().map(|place| format!("{place}: ")).collect();
        client
            .execute(FAILED, &[&walk.type_id, &self.clock.process, &format!("{about}{}", e.text)])
            .await
            .map_err(failure::classify)?;
        Ok(())
    }
}
