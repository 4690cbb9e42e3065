//! The commit: all writes or none, tried again where PostgreSQL asks for it.

use std::time::Duration;

use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use fhir_search::tenant::TenantId;

use super::preconditions::Preconditions;
use super::prepared::PreparedWrite;
use super::write_failure::WriteFailure;
use super::{Claim, Commit, Write, many, one};
use crate::commit_clock::CommitTimestamp;
use crate::effect::{Addition, WriteChange};
use crate::scope::{Scope, ScopedStore};
use crate::version::ResourceState;
use crate::{Store, pipelined};

/// When somebody last wrote under the criteria of a claim, and which row.
pub(crate) const CLAIM: &str = "select c.turn, c.handle, c.version from claim c where c.key = $1::int8";

/// Retries of a transaction after a serialization failure.
const RETRIES_MAX: u32 = 5;

impl Store {
    /// The claim of a conditional write under these criteria, such as `Patient?identifier=http://s|1`, in the tenant of the scope.
    /// Whoever may see what, those who write under the same criteria meet. What was written under them by then is
    /// visible to a search that begins when it is there.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away, or what was written under the criteria does not become visible.
    pub async fn claim(&self, scope: &Scope, criteria: &str) -> Result<Claim> {
        let key = self.scoped(scope).hasher.key(0, criteria, fhir_search::index_hash::Form::Present, &[]);
        let connection = self.connections.coordinator().await?;
        let claim = connection.statement(pipelined::CLAIM)?;
        let row = connection.client.query_opt(claim, &[&key]).await;
        let Some(row) = row.map_err(failure::classify)? else { return Ok(Claim { key, seen: None }) };
        let get = |e| Error::internal(e);
        let seen = row.try_get(0).map_err(get)?;
        if self.is_visible_late {
            self.wait_for_claimed(row.try_get(1).map_err(get)?, row.try_get(2).map_err(get)?).await?;
        }
        Ok(Claim { key, seen: Some(seen) })
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
        let preconditions = Preconditions::new(&scoped, &ready)?;
        let effects = self.effects(scope.tenant(), timestamp, &ready)?;
        self.keep_texts(ready.iter().flat_map(|one| &one.rows.distinct)).await?;
        let mut tries = 0;
        loop {
            match self.run_once(&ready, &preconditions, &effects, timestamp).await {
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

    /// True when one statement writes it. That a version is replaced by one, a distributed database does not take.
    fn is_one_statement(&self, one: &PreparedWrite<'_>, preconditions: &Preconditions) -> bool {
        let is_new = !matches!(one.write.before, ResourceState::Current(_));
        !one.needs_sequence()
            && one.definition.is_none()
            && preconditions.are_simple(self)
            && (is_new || !self.is_distributed())
    }

    /// One attempt at a commit.
    async fn run_once(
        &self,
        ready: &[PreparedWrite<'_>],
        preconditions: &Preconditions,
        effects: &[Addition],
        timestamp: &CommitTimestamp,
    ) -> std::result::Result<(), WriteFailure> {
        #[cfg(feature = "testing")]
        if let Some(late_rows) = &self.options.late_rows {
            return super::late::run(self, late_rows, ready, preconditions, effects, timestamp).await;
        }
        match ready {
            [] => Ok(()),
            [one] if self.is_one_statement(one, preconditions) => {
                one::run(self, one, preconditions, effects, timestamp).await
            }
            many => many::run(self, many, preconditions, effects, timestamp).await,
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
}
