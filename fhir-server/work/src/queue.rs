//! The queue of jobs: rows that are claimed, renewed, ended.
//!
//! A claim is a lease: `run_at` is when it is over, and the next process may claim the job. Leases are judged by the
//! database's clock. Whoever ends a job names its owner and attempt, so that a process whose lease was over ends nothing.

use std::time::Duration;

use fhir_database::failure;
use fhir_model::{Error, Result};
use serde_json::Value;
use tokio_postgres::GenericClient;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use crate::job::{JobRun, NewJob};

/// How long a job that was enqueued once only is kept after its end.
const KEPT_MICROS: i64 = 7 * 24 * 3_600_000_000;

const ENQUEUE: &str = "insert into job (id, type, key, payload, run_at, attempts, owner) \
     values ($1::int8, $2::text, $3::text, $4::text, \
     (extract(epoch from clock_timestamp()) * 1000000)::int8 + $5::int8, 0, 0) on conflict (type, key) do nothing";

/// What others are claiming is passed over, so that many processes claim side by side.
const CLAIM: &str = "with due as materialized (select d.id from job d \
     where d.run_at <= (extract(epoch from clock_timestamp()) * 1000000)::int8 and d.done_at is null \
     and d.type = any($2::text[]) order by d.run_at limit $3::int8 for update skip locked) \
     update job j set owner = $1::int8, attempts = j.attempts + 1, \
     run_at = (extract(epoch from clock_timestamp()) * 1000000)::int8 + $4::int8 \
     from due where j.id = due.id returning j.id, j.type, j.key, j.payload, j.attempts";

const RENEW: &str = "update job j set run_at = (extract(epoch from clock_timestamp()) * 1000000)::int8 + $4::int8 \
     where j.id = $1::int8 and j.owner = $2::int8 and j.attempts = $3::int4 and j.done_at is null";

/// It is kept for its key.
const END: &str = "update job j set done_at = (extract(epoch from clock_timestamp()) * 1000000)::int8, owner = 0, \
     failure = null where j.id = $1::int8 and j.owner = $2::int8 and j.attempts = $3::int4 and j.done_at is null";

const FAIL: &str = "update job j set run_at = (extract(epoch from clock_timestamp()) * 1000000)::int8 + $4::int8, \
     owner = 0, failure = $5::text \
     where j.id = $1::int8 and j.owner = $2::int8 and j.attempts = $3::int4 and j.done_at is null";

/// An attempt that was cut short by the end of the process counts for nothing.
const RELEASE: &str = "update job j set run_at = (extract(epoch from clock_timestamp()) * 1000000)::int8, owner = 0, \
     attempts = j.attempts - 1 where j.id = $1::int8 and j.owner = $2::int8 and j.attempts = $3::int4 \
     and j.done_at is null";

const TIDY: &str = "delete from job j where j.done_at < (extract(epoch from clock_timestamp()) * 1000000)::int8 - $1::int8 \
     and not exists (select from dead_letter l where l.kind = 1 and l.name = j.type and l.key = j.key)";

/// Enqueues a job. Returns `false` when there is one of the type with the same key already. Given a transaction, the job
/// comes with it, or not at all.
///
/// # Errors
///
/// When the database is not available.
pub async fn enqueue(client: &(impl GenericClient + Sync), job: &NewJob) -> Result<bool> {
    let id = fhir_database::random_id();
    let key = job.key.clone().unwrap_or_else(|| format!("{id:016x}"));
    let (payload, delay) = (job.payload.to_string(), micros(job.delay));
    let parameters: [&(dyn ToSql + Sync); 5] = [&id, &job.type_name, &key, &payload, &delay];
    Ok(client.execute(ENQUEUE, &parameters).await.map_err(failure::classify)? == 1)
}

/// Claims jobs of these types that are due, at most `limit`.
pub(crate) async fn claim(
    client: &(impl GenericClient + Sync),
    owner: i64,
    types: &[String],
    limit: usize,
    lease: Duration,
    stop: &CancellationToken,
) -> Result<Vec<JobRun>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows =
        client.query(CLAIM, &[&owner, &types, &limit, &micros(lease)]).await.map_err(failure::classify)?;
    let run = |row: &tokio_postgres::Row| {
        let (payload, attempts): (&str, i32) = (row.try_get(3)?, row.try_get(4)?);
        Ok(JobRun {
            id: row.try_get(0)?,
            type_name: row.try_get(1)?,
            job_key: row.try_get(2)?,
            payload: serde_json::from_str(payload).unwrap_or(Value::Null),
            attempt: u32::try_from(attempts).unwrap_or(u32::MAX),
            stop: stop.child_token(),
        })
    };
    rows.iter().map(run).collect::<std::result::Result<_, tokio_postgres::Error>>().map_err(Error::internal)
}

/// Lets a claim last. Returns `false` when the job is another's by now.
pub(crate) async fn renew(
    client: &(impl GenericClient + Sync),
    owner: i64,
    run: &JobRun,
    lease: Duration,
) -> Result<bool> {
    change(client, RENEW, owner, run, &[&micros(lease)]).await
}

/// Ends a job that is done. Returns `false` when it is another's by now.
pub(crate) async fn end(client: &(impl GenericClient + Sync), owner: i64, run: &JobRun) -> Result<bool> {
    change(client, END, owner, run, &[]).await
}

/// Puts a job back until a wait is over.
pub(crate) async fn fail(
    client: &(impl GenericClient + Sync),
    owner: i64,
    run: &JobRun,
    wait: Duration,
    why: &str,
) -> Result<bool> {
    change(client, FAIL, owner, run, &[&micros(wait), &why]).await
}

/// Puts a job back as it was.
pub(crate) async fn release(client: &(impl GenericClient + Sync), owner: i64, run: &JobRun) -> Result<bool> {
    change(client, RELEASE, owner, run, &[]).await
}

/// Forgets jobs that were done long ago.
pub(crate) async fn tidy(client: &(impl GenericClient + Sync)) -> Result<()> {
    client.execute(TIDY, &[&KEPT_MICROS]).await.map_err(failure::classify)?;
    Ok(())
}

async fn change(
    client: &(impl GenericClient + Sync),
    sql: &str,
    owner: i64,
    run: &JobRun,
    more: &[&(dyn ToSql + Sync)],
) -> Result<bool> {
    let attempts = i32::try_from(run.attempt).unwrap_or(i32::MAX);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&run.id, &owner, &attempts];
    parameters.extend_from_slice(more);
    Ok(client.execute(sql, &parameters).await.map_err(failure::classify)? == 1)
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}
