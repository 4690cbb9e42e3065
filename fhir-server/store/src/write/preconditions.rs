//! What a write relies on beside the resources it changes: locked and looked at within the commit, so that it still holds
//! when the write takes place.
//!
//! Rows that must be there are locked in the order of their handles, after those that are replaced: two commits may
//! deadlock, of which PostgreSQL ends one, which is tried again. Locks of those that must only be there do not meet those of who changes
//! them, so that many can refer to a resource that is written all the time.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use fhir_database::failure;
use fhir_model::{Error, Key, Result};
use fhir_search::index_hash::{format_server_id, parse_server_id};
use fhir_search::local_references::key_of_target;
use fhir_search::sql::rows_by_handle;
use futures_util::future::try_join_all;

use super::Precondition;
use super::prepared::PreparedWrite;
use super::write_failure::WriteFailure;
use crate::Store;
use crate::scope::{Scope, ScopedStore};

/// A claim, and the row that it is spent on.
#[derive(Debug)]
pub(super) struct SpentClaim {
    pub(super) key: i64,
    pub(super) seen: Option<i64>,
    /// None where nothing is written, or where several writes share the claim: there is one row for each.
    pub(super) handle: Option<i64>,
    /// The version that comes; of a deletion, that of the tombstone.
    pub(super) version: Option<i32>,
}

/// The rows of resources that must be there, or must not.
#[derive(Debug, Default)]
pub(super) struct PreconditionRows {
    pub(super) handles: Vec<i64>,
    pub(super) type_ids: Vec<i32>,
    /// As stored: none where the handle says the id.
    pub(super) ids: Vec<Option<String>>,
    /// The version that must be current, where it matters.
    pub(super) versions: Vec<Option<i32>>,
}

/// All preconditions of a commit.
#[derive(Debug, Default)]
pub(super) struct Preconditions {
    /// Each once, in the order of their keys.
    pub(super) claims: Vec<SpentClaim>,
    /// Rows of which `present` must be found.
    pub(super) rows: PreconditionRows,
    pub(super) present: i64,
    pub(super) absent: PreconditionRows,
    /// One resource would have to be current in two versions.
    is_contradictory: bool,
    /// The keys that who refers to certain resources has.
    pub(super) unreferenced: Vec<i64>,
}

const ABSENT: &str = "select 1 from resource r join unnest($1::int8[], $2::int4[], $3::text[]) as n(handle, type_id, id) \
     on r.handle = n.handle and r.type_id = n.type_id and r.id is not distinct from n.id limit 1";

/// A row that must be there, of its own version where one is given.
const SHARE_ROW: &str = "select r.handle from resource r where r.handle = $1::int8 and r.type_id = $2::int4 \
     and r.id is not distinct from $3::text and ($4::int4 is null or r.version = $4::int4) for share of r";

const SHARE_KEY: &str = "select r.handle from resource r where r.handle = $1::int8 and r.type_id = $2::int4 \
     and r.id is not distinct from $3::text and ($4::int4 is null or r.version = $4::int4) for key share of r";

const REFERRING: &str = "select 1 from resource r where r.keys && $1::int8[] limit 1";

const REFERRERS: &str = "select r.handle, r.type_id, r.id from resource r \
     where r.keys @> array[$1::int8] and r.handle <> all($2::int8[]) limit $3::int8";

impl Preconditions {
    pub(super) fn new(store: &ScopedStore<'_>, ready: &[PreparedWrite<'_>]) -> Result<Preconditions> {
        let mut all = Preconditions::default();
        let mut present: BTreeMap<&Key, Option<u32>> = BTreeMap::new();
        let mut unreferenced = BTreeSet::new();
        let mut claims = BTreeMap::new();
        let each = |one| PreparedWrite::preconditions(one).map(move |precondition| (one, precondition));
        for (one, precondition) in ready.iter().flat_map(each) {
            match precondition {
                Precondition::Claim(claim) => {
                    let row = one.changes_something().then_some((one.handle, one.version));
                    let spent = claims.entry((claim.key, claim.seen)).or_insert(row);
                    *spent = spent.filter(|_| *spent == row);
                }
                Precondition::Unchanged(key, version) => {
                    let known = present.insert(key, Some(*version)).flatten();
                    all.is_contradictory |= known.is_some_and(|known| known != *version);
                }
                Precondition::Present(key) => {
                    present.entry(key).or_default();
                }
                Precondition::Absent(key) => all.absent.push(store, key, None)?,
                Precondition::Unreferenced(key) => {
                    unreferenced.insert(key_of_target(&store.hasher, key));
                }
            }
        }
        all.present = present.len() as i64;
        for (key, version) in present {
            all.rows.push(store, key, version)?;
        }
        all.unreferenced.extend(unreferenced);
        all.claims.extend(claims.into_iter().map(|((key, seen), row)| {
            let (handle, version) = row.unzip();
            SpentClaim { key, seen, handle, version }
        }));
        Ok(all)
    }

    /// One statement is enough for them.
    pub(super) fn are_simple(&self, store: &Store) -> bool {
        !self.is_contradictory
            && (self.present == 0 || !store.is_distributed())
            && self.claims.len() <= 1
            && self.absent.handles.is_empty()
            && self.unreferenced.is_empty()
    }

    /// Text and parameters of what finds the rows that must be there, and locks them.
    pub(super) fn lock(&self) -> &'static str {
        // Who replaces a version may do so beside a reader of the key, not beside one of the row.
        match self.rows.versions.iter().any(Option::is_some) {
            true => " order by r.handle for share of r",
            false => " order by r.handle for key share of r",
        }
    }

    /// The rows that must be there, locked one by one, as a distributed database does it: how many there are.
    async fn lock_each(
        &self,
        transaction: &Transaction<'_>,
    ) -> std::result::Result<i64, tokio_postgres::Error> {
        let text = match self.rows.versions.iter().any(Option::is_some) {
            true => SHARE_ROW,
            false => SHARE_KEY,
        };
        let statement = transaction.prepare_cached(text).await?;
        let PreconditionRows { handles, type_ids, ids, versions } = &self.rows;
        let rows = handles.iter().zip(type_ids).zip(ids.iter().zip(versions));
        let mut each: Vec<_> =
            rows.map(|((handle, type_id), (id, version))| (handle, type_id, id, version)).collect();
        each.sort_unstable();
        let each = each.into_iter().map(|(handle, type_id, id, version)| {
            let statement = &statement;
            async move { transaction.execute(statement, &[handle, type_id, id, version]).await }
        });
        let found: Vec<u64> = try_join_all(each).await?;
        Ok(i64::try_from(found.iter().sum::<u64>()).unwrap_or(i64::MAX))
    }

    /// Before anything is written. `Stale` when one does not hold.
    pub(super) async fn hold(
        &self,
        store: &Store,
        transaction: &Transaction<'_>,
    ) -> std::result::Result<(), WriteFailure> {
        if self.is_contradictory {
            return Err(WriteFailure::Stale);
        }
        if self.present > 0 && store.is_distributed() {
            if self.lock_each(transaction).await? != self.present {
                return Err(WriteFailure::Stale);
            }
        } else if self.present > 0 {
            let rows = &self.rows;
            let from = "select r.handle from resource r \
                 join unnest($1::int8[], $2::int4[], $3::text[], $4::int4[]) as n(handle, type_id, id, version) on ";
            let text = [from, ROW, self.lock()].concat();
            let statement = transaction.prepare_cached(&text).await?;
            let found = transaction
                .query(&statement, &[&rows.handles, &rows.type_ids, &rows.ids, &rows.versions])
                .await?;
            if found.len() as i64 != self.present {
                return Err(WriteFailure::Stale);
            }
        }
        if !self.absent.handles.is_empty() {
            // Who had the turn before has committed; what it wrote need not be visible yet.
            store.wait_until_visible(transaction).await.map_err(WriteFailure::Other)?;
            let rows = &self.absent;
            let statement = transaction.prepare_cached(ABSENT).await?;
            let found =
                transaction.query_opt(&statement, &[&rows.handles, &rows.type_ids, &rows.ids]).await?;
            if found.is_some() {
                return Err(WriteFailure::Stale);
            }
        }
        Ok(())
    }

    /// After everything is written, as what is written may refer to nothing any more. What is deleted is locked by now,
    /// so that who refers to it has committed, or will find it gone.
    pub(super) async fn hold_after(
        &self,
        store: &Store,
        transaction: &Transaction<'_>,
    ) -> std::result::Result<(), WriteFailure> {
        if self.unreferenced.is_empty() {
            return Ok(());
        }
        // Who relied on what is deleted has committed, or its lock would be held; its own row may be on another machine.
        store.wait_until_visible(transaction).await.map_err(WriteFailure::Other)?;
        let statement = transaction.prepare_cached(REFERRING).await?;
        match transaction.query_opt(&statement, &[&self.unreferenced]).await? {
            None => Ok(()),
            Some(_) => Err(WriteFailure::Stale),
        }
    }
}

/// A row `r` is one that is meant (`n`).
pub(super) const ROW: &str = "r.handle = n.handle and r.type_id = n.type_id and r.id is not distinct from n.id \
     and (n.version is null or r.version = n.version)";

impl PreconditionRows {
    /// The rows that a resource may be in.
    fn push(&mut self, store: &ScopedStore<'_>, key: &Key, version: Option<u32>) -> Result<()> {
        let number = store.type_number(&key.type_name)?;
        let given = parse_server_id(&key.id).map(|handle| (handle, None));
        let chosen = (store.hasher.foreign_handle(number, &key.id), Some(key.id.to_string()));
        for (handle, id) in given.into_iter().chain([chosen]) {
            self.handles.push(handle);
            self.type_ids.push(store.hasher.type_id(number));
            self.ids.push(id);
            self.versions.push(version.map(|version| i32::try_from(version).unwrap_or(i32::MAX)));
        }
        Ok(())
    }
}

impl Store {
    /// Which of these resources are current, in the order asked: one statement. Those of types that there are not are not.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn are_current(&self, scope: &Scope, keys: &[Key]) -> Result<Vec<bool>> {
        let scoped = self.scoped(scope);
        let mut handles = Vec::with_capacity(keys.len() * 2);
        for key in keys.iter().filter(|key| self.registry.number(&key.type_name).is_some()) {
            handles.extend(scoped.handles(key)?);
        }
        if handles.is_empty() {
            return Ok(vec![false; keys.len()]);
        }
        let rows = scoped.run(&rows_by_handle(handles, &scoped.visible_rows())).await?;
        let found = rows.iter().map(|row| self.key_of(row, 1)).collect::<Result<BTreeSet<Key>>>()?;
        Ok(keys.iter().map(|key| found.contains(key)).collect())
    }

    /// At most `limit` current resources that refer to this one, but those that are in the rows `without`. Empty where
    /// references are not indexed (`IndexSettings::references`).
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn referrers(
        &self,
        scope: &Scope,
        key: &Key,
        without: &[i64],
        limit: usize,
    ) -> Result<Vec<Key>> {
        let target = key_of_target(&self.scoped(scope).hasher, key);
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(REFERRERS).await.map_err(failure::classify)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = client.query(&statement, &[&target, &without, &limit]).await;
        rows.map_err(failure::classify)?.iter().map(|row| self.key_of(row, 1)).collect()
    }

    /// The key of a row: its handle, then in `at` its type and id.
    fn key_of(&self, row: &tokio_postgres::Row, at: usize) -> Result<Key> {
        let handle: i64 = row.try_get(0).map_err(Error::internal)?;
        let type_name = self.type_name(row.try_get(at).map_err(Error::internal)?)?;
        let id: Option<String> = row.try_get(at + 1).map_err(Error::internal)?;
        Ok(Key::new(type_name, id.unwrap_or_else(|| format_server_id(handle))))
    }
}
