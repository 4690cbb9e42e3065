//! Writing: one transaction per call, index rows with it, all or nothing.
//!
//! One write is one statement, in which everything hangs on the row that decides (a data-modifying CTE). Several
//! are one transaction with one statement per table.

pub(crate) mod index_only;
mod many;
mod one;
mod preconditions;
mod rows;

use std::time::Duration;

use fhir_model::json::{Doc, JsonLimits};
use fhir_model::{Error, Key, Kind, Result};
use fhir_search::index_hash::{IndexHasher, parse_server_id};
use fhir_search::registry::Set;
use fhir_search::rows::{DATE_MIN, Rows};
use fhir_search::tenant::TenantId;

pub use self::preconditions::Precondition;
use self::preconditions::Preconditions;
use crate::body::AsJsonb;
use crate::effect::{Addition, WriteChange};
use crate::parameters::Definition;
use crate::scope::{Scope, ScopedStore};
use crate::stamp::CommitTimestamp;
use crate::version::{Method, ResourceState, Version};
use crate::{Store, body, codec, failure};

/// When somebody last wrote under the criteria of a claim.
pub(crate) const CLAIM: &str = "select c.turn from claim c where c.key = $1::int8";

/// Retries of a transaction after a serialization failure.
const RETRIES_MAX: u32 = 5;

/// One change of one resource.
#[derive(Debug)]
pub struct Write {
    /// The resource.
    pub key: Key,
    /// The state that was read: the commit is stale when it is no longer true.
    pub before: ResourceState,
    /// Number of the new version: that of `before` and 1.
    pub version: u32,
    /// The HTTP method that makes the version.
    pub method: Method,
    /// The final body, with id and meta; `None` deletes the resource.
    pub doc: Option<Doc>,
    /// What else must be true when it is committed.
    pub preconditions: Vec<Precondition>,
}

/// The criteria of a conditional write, and when somebody last wrote under them. Taken before the search whose
/// answer the write relies on, checked in the commit: of two writers under the same criteria, the second is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    key: i64,
    seen: Option<i64>,
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is durable.
    Done,
    /// Something changed since it was read: nothing was written; read again and decide again.
    Stale,
}

/// A write with everything computed that the statements need.
pub(crate) struct PreparedWrite<'w> {
    write: &'w Write,
    type_id: i32,
    pub(crate) handle: i64,
    version: i32,
    rows: Rows,
    old_rows: Rows,
    /// The replaced version, packed for history.
    old_packed: Option<Vec<u8>>,
    /// The new body, when JSONB does not hold it exactly (or is not wanted).
    packed: Option<Vec<u8>>,
    /// The new body is kept as JSONB (too).
    has_json: bool,
    /// The replaced version need not have all entries that it should have.
    building: bool,
    /// Of a SearchParameter: what it asks for.
    pub(crate) definition: Option<Definition>,
}

pub(crate) enum WriteFailure {
    Stale,
    /// A row is there already.
    Duplicate(tokio_postgres::Error),
    Database(tokio_postgres::Error),
    Other(Error),
}

impl From<tokio_postgres::Error> for WriteFailure {
    fn from(e: tokio_postgres::Error) -> WriteFailure {
        match failure::is_duplicate(&e) {
            true => WriteFailure::Duplicate(e),
            false => WriteFailure::Database(e),
        }
    }
}

impl Store {
    /// The claim of a conditional write under these criteria, such as `Patient?identifier=http://s|1`.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away.
    pub async fn claim(&self, scope: &Scope, criteria: &str) -> Result<Claim> {
        let key = self.scoped(scope).hasher.key(0, criteria, fhir_search::index_hash::Form::Present, &[]);
        let connection = self.connections.pipelined().await?;
        let claim = connection.statement(crate::CLAIM)?;
        let row = connection.client.query_opt(claim, &[&key]).await.map_err(failure::classify)?;
        Ok(Claim { key, seen: row.map(|r| r.get(0)) })
    }

    /// Writes all or nothing; durable and indexed when it says so. One key at most once.
    ///
    /// # Errors
    ///
    /// `Rule` or `Duplicate` when a SearchParameter among the writes cannot take effect; `Unavailable` when the
    /// database is away, also when it is not known whether the commit took place. Whatever the error: all is written,
    /// or nothing is.
    pub async fn commit(
        &self,
        scope: &Scope,
        timestamp: &CommitTimestamp,
        writes: &[Write],
    ) -> Result<Commit> {
        let scoped = self.scoped(scope);
        let ready = writes.iter().map(|w| scoped.prepare(w)).collect::<Result<Vec<_>>>()?;
        let preconditions = Preconditions::new(&scoped, writes)?;
        let effects = self.effects(scope.tenant(), timestamp, &ready)?;
        self.keep_texts(ready.iter().flat_map(|one| &one.rows.distinct)).await?;
        let mut tries = 0;
        loop {
            let done = match ready.as_slice() {
                [] => return Ok(Commit::Done),
                [one] if !one.needs_sequence() && one.definition.is_none() && preconditions.are_simple() => {
                    one::run(self, one, &preconditions, &effects, timestamp).await
                }
                many => many::run(self, many, &preconditions, &effects, timestamp).await,
            };
            match done {
                Ok(()) => {
                    if ready.iter().any(|one| one.definition.is_some()) {
                        self.refresh_catalog_now().await;
                    }
                    return Ok(Commit::Done);
                }
                // What a module's own table refuses no reading anew can mend.
                Err(WriteFailure::Duplicate(e)) if effects.iter().any(|effect| effect.refused(&e)) => {
                    return Err(Error::internal(e));
                }
                Err(WriteFailure::Stale | WriteFailure::Duplicate(_)) => return self.stale(timestamp).await,
                Err(WriteFailure::Other(e)) => return Err(e),
                Err(WriteFailure::Database(e)) if failure::is_retryable(&e) && tries < RETRIES_MAX => {
                    tries += 1;
                    let jitter = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
                    tokio::time::sleep(Duration::from_millis(jitter % (5 << tries))).await;
                }
                Err(WriteFailure::Database(e)) if failure::is_lost(&e) => {
                    return scoped.resolve_unknown_commit(&ready, timestamp, e).await;
                }
                Err(WriteFailure::Database(e)) => return Err(failure::classify(e)),
            }
        }
    }

    /// What modules record of these writes.
    fn effects(
        &self,
        tenant: TenantId,
        timestamp: &CommitTimestamp,
        ready: &[PreparedWrite<'_>],
    ) -> Result<Vec<Addition>> {
        let effects = &self.options.effects;
        if effects.is_empty() {
            return Ok(Vec::new());
        }
        let updated_at = timestamp.micros();
        let changes = ready.iter().filter(|one| one.changes_something()).map(|one| {
            let Write { key, before, version, method, doc, .. } = one.write;
            let (handle, version, method, doc) = (one.handle, *version, *method, doc.as_ref());
            WriteChange { tenant, handle, updated_at, key, version, method, before, doc }
        });
        effects.additions(&changes.collect::<Vec<_>>())
    }

    /// What the reader of stale state does next: reads again; or, where others took this process for gone, waits.
    async fn stale(&self, timestamp: &CommitTimestamp) -> Result<Commit> {
        if self.is_writer(timestamp.writer()).await? {
            return Ok(Commit::Stale);
        }
        self.commit_clock.lost(timestamp.writer());
        let text = "this server was cut off from the database for too long; try again";
        Err(Error::new(Kind::Unavailable, text))
    }

    /// The index rows of a body, in the tenant of the hasher.
    pub(crate) fn rows(&self, hasher: &IndexHasher, set: Set, key: &Key, doc: &Doc) -> Result<Rows> {
        self.registry.extract_by(set, hasher, &key.type_name, doc.root(), self.settings_of(hasher.tenant()))
    }
}

impl ScopedStore<'_> {
    /// The connection was lost while the answer to a commit was due: whether it took place is read, not guessed.
    async fn resolve_unknown_commit(
        &self,
        ready: &[PreparedWrite<'_>],
        timestamp: &CommitTimestamp,
        lost: tokio_postgres::Error,
    ) -> Result<Commit> {
        let unknown = failure::classify(lost);
        let Some(one) = ready.first() else { return Ok(Commit::Done) };
        // What the caller may write it need not see.
        let scope = Scope::everything_of(self.hasher.tenant());
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let found = match self.scoped(&scope).vread(&one.write.key, one.write.version).await {
                Err(e) if e.kind == Kind::Unavailable => continue,
                found => found?,
            };
            // The commit timestamp is of this write alone, so the version is ours if it carries it.
            return match found {
                ResourceState::Current(v) | ResourceState::Deleted(v)
                    if v.updated_at == timestamp.micros() =>
                {
                    Ok(Commit::Done)
                }
                _ => Err(unknown),
            };
        }
        Err(unknown)
    }

    /// Refuses a write that the rules do not allow.
    ///
    /// # Errors
    ///
    /// `Forbidden` when they do not.
    pub(crate) fn check_write(&self, write: &Write) -> Result<()> {
        if self.sees_all() {
            return Ok(());
        }
        let rows = |set, body: Option<&Doc>| match body {
            Some(doc) => self.rows(&self.hasher, set, &write.key, doc),
            None => Ok(Rows::default()),
        };
        let old = match &write.before {
            ResourceState::Current(Version { body: Some(body), .. }) => {
                Some(Doc::parse(body.to_vec(), JsonLimits::NONE).map_err(Error::internal)?)
            }
            _ => None,
        };
        self.check_rows(write, &rows(Set::Replaced, old.as_ref())?, &rows(Set::Written, write.doc.as_ref())?)
    }

    /// The rule must hold of the version that goes and of the one that comes.
    fn check_rows(&self, write: &Write, old: &Rows, new: &Rows) -> Result<()> {
        if self.sees_all() {
            return Ok(());
        }
        if matches!(write.before, ResourceState::Current(_)) {
            self.check_writable(&write.key, old)?;
        }
        if write.doc.is_some() {
            self.check_writable(&write.key, new)?;
        }
        Ok(())
    }

    fn prepare<'w>(&self, write: &'w Write) -> Result<PreparedWrite<'w>> {
        let number = self.type_number(&write.key.type_name)?;
        let (old_rows, old_packed) = match &write.before {
            ResourceState::Current(Version { body: Some(body), .. }) => {
                let doc = Doc::parse(body.to_vec(), JsonLimits::NONE).map_err(Error::internal)?;
                (self.rows(&self.hasher, Set::Replaced, &write.key, &doc)?, Some(codec::pack(body)?))
            }
            _ => (Rows::default(), None),
        };
        let shape = write.doc.as_ref().map_or(AsJsonb::Exact, body::as_jsonb);
        let packed = match &write.doc {
            Some(doc) if self.options.packed || shape != AsJsonb::Exact => {
                Some(codec::pack(doc.text().as_bytes())?)
            }
            _ => None,
        };
        let rows = match &write.doc {
            Some(doc) => self.rows(&self.hasher, Set::Written, &write.key, doc)?,
            None => Rows::default(),
        };
        self.check_rows(write, &old_rows, &rows)?;
        let has_json = !self.options.packed && shape != AsJsonb::Impossible;
        // A server-given id names its handle, but only when the server gives it: a client that brings such an id
        // gets a handle of its own, as somebody else's resource may have the other.
        let handle = match (&write.before, parse_server_id(&write.key.id)) {
            (ResourceState::Current(v) | ResourceState::Deleted(v), _) => v.handle,
            (ResourceState::Absent, Some(handle)) if write.method == Method::Post => handle,
            _ => self.hasher.foreign_handle(number, &write.key.id),
        };
        let version = i32::try_from(write.version).map_err(Error::internal)?;
        Ok(PreparedWrite {
            write,
            type_id: self.hasher.type_id(number),
            handle,
            version,
            rows,
            old_rows,
            old_packed,
            packed,
            has_json,
            building: self.registry.is_building(&write.key.type_name),
            definition: match self.hasher.tenant() {
                TenantId::DEFAULT | TenantId::SHARED => Definition::from_write(write, &self.registry)?,
                // What one organisation defines changes no index of the others.
                _ => None,
            },
        })
    }
}

impl PreparedWrite<'_> {
    /// False for the deletion of what is not there.
    pub(crate) fn changes_something(&self) -> bool {
        self.write.doc.is_some() || matches!(self.write.before, ResourceState::Current(_))
    }

    /// True for a deletion, and for a creation under an id that was a client's choice: see `many::SEQUENCE`. An id that
    /// the server made just now is nobody else's.
    fn needs_sequence(&self) -> bool {
        match &self.write.before {
            ResourceState::Current(_) => self.write.doc.is_none(),
            ResourceState::Deleted(_) => true,
            ResourceState::Absent => self.handle < 0,
        }
    }

    /// The id column: `None` when the id is the handle in hexadecimal.
    fn id(&self) -> Option<&str> {
        (parse_server_id(&self.write.key.id) != Some(self.handle)).then_some(&*self.write.key.id)
    }

    /// The body as JSONB.
    fn json(&self) -> Option<body::Jsonb<'_>> {
        self.write.doc.as_ref().filter(|_| self.has_json).map(|doc| body::Jsonb(doc.text()))
    }

    fn date(&self) -> i64 {
        self.rows.date.map_or(DATE_MIN, |d| d.0)
    }

    fn date_high(&self) -> Option<i64> {
        date_high(&self.rows)
    }
}

/// The prefix hashes; `None` (NULL in the row) when the resource has no texts.
fn prefix_hashes(rows: &Rows) -> Option<&[i64]> {
    Some(rows.prefix_hashes.as_slice()).filter(|all| !all.is_empty())
}

/// The upper bound of the primary date, unless it is the second that begins at the lower one.
fn date_high(rows: &Rows) -> Option<i64> {
    rows.date.filter(|(low, high)| low.checked_add(999_999) != Some(*high)).map(|d| d.1)
}
