//! Enqueues the jobs of schedules when they are due, once for all processes.
//!
//! When a job is due next is a row. The process that moves it on enqueues the job in the same transaction. Times that passed
//! while no server ran are made up for by one job.

use std::sync::Arc;
use std::time::Duration;

use fhir_database::failure;
use fhir_model::{Error, Result};
use tokio_postgres::types::ToSql;

use crate::job::NewJob;
use crate::queue;
use crate::shared::Shared;

/// How often it is looked what is due, at least.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const NOW: &str = "select (extract(epoch from clock_timestamp()) * 1000000)::int8";

const SET: &str = "insert into schedule (name, cron, next_at) values ($1::text, $2::text, $3::int8) \
     on conflict (name) do update set cron = excluded.cron, next_at = excluded.next_at \
     where schedule.cron <> excluded.cron";

const DUE: &str = "select s.next_at, (extract(epoch from clock_timestamp()) * 1000000)::int8 \
     from schedule s where s.name = $1::text";

const MOVE_ON: &str =
    "update schedule s set next_at = $3::int8 where s.name = $1::text and s.next_at = $2::int8";

/// Enqueues what is due until the server stops.
pub(crate) async fn run(work: Arc<Shared>) {
    if work.schedules.is_empty() {
        return;
    }
    let mut is_set = false;
    while !work.stop.is_cancelled() {
        let looked = async {
            if !is_set {
                set(&work).await?;
            }
            enqueue_due(&work).await
        };
        let wait = match looked.await {
            Ok(wait) => {
                is_set = true;
                wait.min(LOOK_EVERY)
            }
            Err(error) => {
                tracing::warn!("schedules cannot be looked at for now: {error}");
                LOOK_EVERY
            }
        };
        work.pause(wait).await;
    }
}

/// Sets when each is due for the first time, and anew where its times are others than before.
async fn set(work: &Shared) -> Result<()> {
    let client = work.connections.client().await?;
    let row = client.query_one(NOW, &[]).await.map_err(failure::classify)?;
    let now: i64 = row.try_get(0).map_err(Error::internal)?;
    for schedule in &work.schedules {
        let (cron, next) = (schedule.cron.text(), schedule.next(now));
        let parameters: [&(dyn ToSql + Sync); 3] = [&schedule.name, &cron, &next];
        client.execute(SET, &parameters).await.map_err(failure::classify)?;
    }
    Ok(())
}

/// Enqueues what is due. Returns how long it is until the next is.
async fn enqueue_due(work: &Shared) -> Result<Duration> {
    let mut wait = LOOK_EVERY;
    for schedule in &work.schedules {
        let mut client = work.connections.client().await?;
        let row = client.query_opt(DUE, &[&schedule.name]).await.map_err(failure::classify)?;
        let Some(row) = row else { continue };
        let (due, now): (i64, i64) =
            (row.try_get(0).map_err(Error::internal)?, row.try_get(1).map_err(Error::internal)?);
        let mut next = due;
        if due <= now {
            next = schedule.next(now);
            let transaction = client.transaction().await.map_err(failure::classify)?;
            let parameters: [&(dyn ToSql + Sync); 3] = [&schedule.name, &due, &next];
            // Another process may have been first.
            if transaction.execute(MOVE_ON, &parameters).await.map_err(failure::classify)? == 1 {
                let job = NewJob::new(&*schedule.job, schedule.payload.clone());
                queue::enqueue(&*transaction, &job.once(format!("{}@{due}", schedule.name))).await?;
                transaction.commit().await.map_err(failure::classify)?;
                work.enqueued.notify_one();
            }
        }
        let until = u64::try_from(next.saturating_sub(now)).unwrap_or(0);
        wait = wait.min(Duration::from_micros(until));
    }
    Ok(wait)
}
