//! Dead letters: jobs and changes that failed too often. Somebody looks at them, and has them tried again or discards them.
//!
//! A letter names a job or a version and says why it failed; it holds no payload. It is gone when it was discarded, or
//! when what it is about has succeeded.

use fhir_database::{Connections, failure};
use fhir_model::{Error, Result};
use tokio_postgres::GenericClient;
use tokio_postgres::types::ToSql;

const BURY: &str = "insert into dead_letter (id, kind, name, key, attempts, reason, failed_at) \
     values ($1::int8, $2::int2, $3::text, $4::text, $5::int4, $6::text, \
     (extract(epoch from clock_timestamp()) * 1000000)::int8) on conflict (kind, name, key) do update \
     set attempts = excluded.attempts, reason = excluded.reason, failed_at = excluded.failed_at, retried_at = null";

const FORGET: &str =
    "delete from dead_letter l where l.kind = $1::int2 and l.name = $2::text and l.key = $3::text";

const LIST: &str = "select l.id, l.kind, l.name, l.key, l.attempts, l.reason, l.failed_at, l.retried_at is not null \
     from dead_letter l order by l.failed_at, l.id limit $1::int8 offset $2::int8";

const TOTAL: &str = "select count(*) from dead_letter l";

const DEPTH: &str = "select count(*) filter (where l.retried_at is null), min(l.failed_at) filter (where l.retried_at is null) \
     from dead_letter l";

/// What is being tried again already stays as it is.
const RETRY: &str = "update dead_letter l set retried_at = (extract(epoch from clock_timestamp()) * 1000000)::int8 \
     where l.id = $1::int8 and l.retried_at is null returning l.kind, l.name, l.key";

const IS_THERE: &str = "select l.id from dead_letter l where l.id = $1::int8";

/// The job is there since it was put to the dead letters; that of a change is made now.
const RUN_AGAIN: &str = "insert into job (id, type, key, payload, run_at, attempts, owner) \
     values ($1::int8, $2::text, $3::text, 'null', (extract(epoch from clock_timestamp()) * 1000000)::int8, 0, 0) \
     on conflict (type, key) do update set run_at = excluded.run_at, attempts = 0, owner = 0, done_at = null";

const DISCARD: &str = "delete from dead_letter l where l.id = $1::int8 returning l.kind, l.name, l.key";

const DISCARD_JOB: &str = "update job j set done_at = (extract(epoch from clock_timestamp()) * 1000000)::int8, owner = 0 \
     where j.type = $1::text and j.key = $2::text and j.done_at is null";

/// What a letter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterKind {
    /// A job.
    Job,
    /// A change that a consumer could not take.
    Change,
}

impl DeadLetterKind {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            DeadLetterKind::Job => "job",
            DeadLetterKind::Change => "change",
        }
    }

    fn number(self) -> i16 {
        match self {
            DeadLetterKind::Job => 1,
            DeadLetterKind::Change => 2,
        }
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number.
    pub id: i64,
    /// What it is about.
    pub kind: DeadLetterKind,
    /// The type of the job, or the consumer.
    pub name: String,
    /// The key of the job, or the version, as `Patient/1/_history/2`.
    pub key: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: String,
    /// When, in microseconds since 1970.
    pub failed_at: i64,
    /// It is being tried again.
    pub is_retried: bool,
}

/// How many dead letters there are that nobody has dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Their number.
    pub letters: u64,
    /// When the oldest of them failed, in microseconds since 1970.
    pub oldest_at: Option<i64>,
}

/// The dead letters of a database.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetters<'c>(pub &'c Connections);

impl DeadLetters<'_> {
    /// Letters, the oldest first: at most `limit`, after passing over some. Returns the number of all, too.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn list(&self, offset: u64, limit: u64) -> Result<(Vec<DeadLetter>, u64)> {
        let client = self.0.client().await?;
        let [offset, limit] = [offset, limit].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let rows = client.query(LIST, &[&limit, &offset]).await.map_err(failure::classify)?;
        let total = client.query_one(TOTAL, &[]).await.map_err(failure::classify)?;
        let total = u64::try_from(total.try_get::<_, i64>(0).map_err(Error::internal)?).unwrap_or(0);
        let letter = |row: &tokio_postgres::Row| {
            Ok(DeadLetter {
                id: row.try_get(0)?,
                kind: if row.try_get::<_, i16>(1)? == 1 {
                    DeadLetterKind::Job
                } else {
                    DeadLetterKind::Change
                },
                name: row.try_get(2)?,
                key: row.try_get(3)?,
                attempts: u32::try_from(row.try_get::<_, i32>(4)?).unwrap_or(0),
                reason: row.try_get(5)?,
                failed_at: row.try_get(6)?,
                is_retried: row.try_get(7)?,
            })
        };
        let letters = rows.iter().map(letter).collect::<std::result::Result<_, tokio_postgres::Error>>();
        Ok((letters.map_err(Error::internal)?, total))
    }

    /// How many there are.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn depth(&self) -> Result<Depth> {
        let client = self.0.client().await?;
        let row = client.query_one(DEPTH, &[]).await.map_err(failure::classify)?;
        let letters: i64 = row.try_get(0).map_err(Error::internal)?;
        Ok(Depth {
            letters: u64::try_from(letters).unwrap_or(0),
            oldest_at: row.try_get(1).map_err(Error::internal)?,
        })
    }

    /// Has what a letter is about tried again, with all its attempts. Returns `false` when there is no such letter; asked
    /// again while it is being tried, nothing more happens.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn retry(&self, id: i64) -> Result<bool> {
        let mut client = self.0.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let Some(row) = transaction.query_opt(RETRY, &[&id]).await.map_err(failure::classify)? else {
            let there = transaction.query_opt(IS_THERE, &[&id]).await.map_err(failure::classify)?;
            return Ok(there.is_some());
        };
        let (job, key) = job_of(&row)?;
        let parameters: [&(dyn ToSql + Sync); 3] = [&fhir_database::random_id(), &job, &key];
        transaction.execute(RUN_AGAIN, &parameters).await.map_err(failure::classify)?;
        transaction.commit().await.map_err(failure::classify)?;
        Ok(true)
    }

    /// Forgets a letter and what it is about. Returns `false` when there is no such letter.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn discard(&self, id: i64) -> Result<bool> {
        let mut client = self.0.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let Some(row) = transaction.query_opt(DISCARD, &[&id]).await.map_err(failure::classify)? else {
            return Ok(false);
        };
        let (job, key) = job_of(&row)?;
        transaction.execute(DISCARD_JOB, &[&job, &key]).await.map_err(failure::classify)?;
        transaction.commit().await.map_err(failure::classify)?;
        Ok(true)
    }
}

/// The type and key of the job that tries again what a row of kind, name and key is about.
fn job_of(row: &tokio_postgres::Row) -> Result<(String, String)> {
    let kind: i16 = row.try_get(0).map_err(Error::internal)?;
    let name: String = row.try_get(1).map_err(Error::internal)?;
    let name = if kind == DeadLetterKind::Change.number() { format!("{CHANGE}{name}") } else { name };
    Ok((name, row.try_get(2).map_err(Error::internal)?))
}

/// What the types of jobs begin with that try a change again.
pub(crate) const CHANGE: &str = "change/";

/// The letter that a job of a type has when it fails too often: its own, or that of the change it tries again.
pub(crate) fn of_job(type_name: &str) -> (DeadLetterKind, &str) {
    match type_name.strip_prefix(CHANGE) {
        Some(consumer) => (DeadLetterKind::Change, consumer),
        None => (DeadLetterKind::Job, type_name),
    }
}

/// Puts something to the dead letters, where it may be already.
pub(crate) async fn bury(
    client: &(impl GenericClient + Sync),
    kind: DeadLetterKind,
    name: &str,
    key: &str,
    attempts: u32,
    reason: &str,
) -> Result<()> {
    let id = fhir_database::random_id();
    let attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
    let parameters: [&(dyn ToSql + Sync); 6] = [&id, &kind.number(), &name, &key, &attempts, &reason];
    client.execute(BURY, &parameters).await.map_err(failure::classify)?;
    Ok(())
}

/// Takes something out of the dead letters, where it need not be.
pub(crate) async fn forget(
    client: &(impl GenericClient + Sync),
    kind: DeadLetterKind,
    name: &str,
    key: &str,
) -> Result<()> {
    client.execute(FORGET, &[&kind.number(), &name, &key]).await.map_err(failure::classify)?;
    Ok(())
}

/// What an error says to operators: its own sentence and where it is, and nothing of what caused it.
pub(crate) fn reason(error: &Error) -> String {
    let about: String = error.expression.iter().map(|place| format!("{place}: ")).collect();
    format!("{about}{}", error.text)
}
