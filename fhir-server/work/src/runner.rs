//! Runs jobs: claims those that are due, a few at a time, and sees each to its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use futures_util::FutureExt;
use tokio::task::JoinSet;

use crate::crash::step;
use crate::job::{JobRun, JobType};
use crate::shared::Shared;
use crate::{dead_letter, queue};

/// Runs jobs until the server stops; those that are under way then are waited for, for a while.
pub(crate) async fn run(work: Arc<Shared>) {
    let types: Vec<String> = work.jobs.keys().cloned().collect();
    if types.is_empty() {
        return;
    }
    let jobs_max = work.options.jobs_max.max(1);
    let mut running = JoinSet::new();
    while !work.stop.is_cancelled() {
        while running.try_join_next().is_some() {}
        let free = jobs_max.saturating_sub(running.len());
        let claimed = if free == 0 { Ok(Vec::new()) } else { claim(&work, &types, free).await };
        let claimed = claimed.unwrap_or_else(|error| {
            tracing::warn!("jobs cannot be claimed for now: {error}");
            Vec::new()
        });
        // Where there were as many as were asked for, there may be more.
        let has_more = free > 0 && claimed.len() == free;
        for job in claimed {
            let work = work.clone();
            running.spawn(async move { attempt(&work, &job).await });
        }
        if has_more && running.len() < jobs_max {
            continue;
        }
        tokio::select! {
            () = work.stop.cancelled() => {}
            _ = running.join_next(), if !running.is_empty() => {}
            () = work.enqueued.notified() => {}
            () = tokio::time::sleep(work.options.poll) => {}
        }
    }
    let ended = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(work.options.stop_grace, ended).await.is_err() {
        running.shutdown().await;
    }
}

async fn claim(work: &Shared, types: &[String], free: usize) -> Result<Vec<JobRun>> {
    let client = work.connections.client().await?;
    let (owner, lease) = (work.owner, work.options.lease);
    queue::claim(&**client, owner, types, free, lease, &work.stop).await
}

/// One attempt at a job, whatever comes of it.
async fn attempt(work: &Shared, job: &JobRun) {
    let Some(job_type) = work.jobs.get(&job.type_name) else { return };
    step("job:claimed");
    let done = if job.attempt > job_type.attempts_max() {
        // Nobody could say that an attempt failed: each time the process ended with it.
        Err(Error::internal("the process that ran it ended, each time"))
    } else {
        renewed(work, job, perform_and_record(work, job, &**job_type)).await
    };
    let Err(error) = done else { return };
    if error.kind == Kind::Conflict && error.text == LOST {
        tracing::warn!("the job {} took longer than its lease, and another process has it", job.type_name);
        return;
    }
    if let Err(e) = note(work, job, &**job_type, &error).await {
        tracing::warn!("the failure of a job could not be noted, so that its lease has to end: {e}");
    }
}

/// What is said within this crate when a job is another process's by now.
const LOST: &str = "the job is another process's";

async fn perform_and_record(work: &Shared, job: &JobRun, job_type: &dyn JobType) -> Result<()> {
    let attempt = async {
        let performed = job_type.perform(job).await?;
        step("job:performed");
        let mut client = work.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        // First, as it locks the row: nobody claims the job from here on.
        if !queue::end(&*transaction, work.owner, job).await? {
            return Err(Error::new(Kind::Conflict, LOST));
        }
        let (kind, name) = dead_letter::of_job(&job.type_name);
        dead_letter::forget(&*transaction, kind, name, &job.job_key).await?;
        job_type.record(job, performed, &transaction).await?;
        step("job:recorded");
        transaction.commit().await.map_err(failure::classify)?;
        step("job:committed");
        Ok(())
    };
    let caught = AssertUnwindSafe(attempt).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(Error::internal("a job panicked")))
}

/// Does work and renews the claim meanwhile. Where it is lost, the work is dropped.
async fn renewed(work: &Shared, job: &JobRun, attempt: impl Future<Output = Result<()>>) -> Result<()> {
    let renewing = async {
        loop {
            tokio::time::sleep(work.options.lease / 3).await;
            let renewed = async {
                let shared = work.connections.pipelined().await?;
                queue::renew(&shared.client, work.owner, job, work.options.lease).await
            };
            // An error is no loss yet: as long as the lease lasts, it is tried again.
            if let Ok(false) = renewed.await {
                return Error::new(Kind::Conflict, LOST);
            }
        }
    };
    tokio::select! {
        biased;
        done = attempt => done,
        lost = renewing => Err(lost),
    }
}

/// Puts a job back for its next attempt, or to the dead letters.
async fn note(work: &Shared, job: &JobRun, job_type: &dyn JobType, error: &Error) -> Result<()> {
    let mut client = work.connections.client().await?;
    if work.stop.is_cancelled() {
        queue::release(&**client, work.owner, job).await?;
        return Ok(());
    }
    let reason = dead_letter::reason(error);
    if job.attempt < job_type.attempts_max() {
        let wait = job_type.backoff().wait(job.attempt);
        tracing::info!("an attempt at the job {} failed and is made again: {reason}", job.type_name);
        queue::fail(&**client, work.owner, job, wait, &reason).await?;
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(failure::classify)?;
    // It is kept, to be tried again when somebody asks for it.
    if queue::end(&*transaction, work.owner, job).await? {
        let (kind, name) = dead_letter::of_job(&job.type_name);
        let attempts = job.attempt.min(job_type.attempts_max());
        dead_letter::bury(&*transaction, kind, name, &job.job_key, attempts, &reason).await?;
        transaction.commit().await.map_err(failure::classify)?;
        tracing::error!("the job {} failed too often and is in the dead letters: {reason}", job.type_name);
    }
    Ok(())
}
