//! Jobs: what a type of job does, and what one is made of.

use std::time::Duration;

use async_trait::async_trait;
use fhir_database::Transaction;
use fhir_model::Result;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

/// A type of job. An attempt is [`perform`](JobType::perform), then [`record`](JobType::record) in the transaction that also
/// ends the job.
#[async_trait]
pub trait JobType: Send + Sync {
    /// Its name, with the module's before it: `export.run`.
    fn name(&self) -> &str;

    /// Attempts before the job goes to the dead letters.
    fn attempts_max(&self) -> u32 {
        10
    }

    /// Waits between attempts.
    fn backoff(&self) -> Backoff {
        Backoff::default()
    }

    /// Effects outside of the database. They may come again when the process dies before the job has ended: give
    /// [`JobRun::key`] to the other side, so that it knows what it has had. What is returned goes to
    /// [`record`](JobType::record).
    ///
    /// # Errors
    ///
    /// When it did not succeed: it is tried again later. The error's text is kept for operators to read, so that it must not
    /// hold data of patients.
    async fn perform(&self, run: &JobRun) -> Result<Value> {
        let _ = run;
        Ok(Value::Null)
    }

    /// Effects in the database: exactly once, together with the end of the job.
    ///
    /// # Errors
    ///
    /// As [`perform`](JobType::perform), which is called again, too.
    async fn record(&self, run: &JobRun, performed: Value, transaction: &Transaction<'_>) -> Result<()> {
        let _ = (run, performed, transaction);
        Ok(())
    }
}

/// One attempt at a job.
#[derive(Debug, Clone)]
pub struct JobRun {
    pub(crate) id: i64,
    pub(crate) type_name: String,
    pub(crate) job_key: String,
    /// What was given when it was enqueued.
    pub payload: Value,
    /// The number of the attempt, from 1 on.
    pub attempt: u32,
    /// Says that the server is being stopped: what takes long should end with an error, and is tried again elsewhere.
    pub stop: CancellationToken,
}

impl JobRun {
    /// A key of the job that is the same in each attempt, for the other side of effects outside of the database.
    pub fn key(&self) -> String {
        format!("{}/{}", self.type_name, self.job_key)
    }
}

/// A job that is to be enqueued.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub(crate) type_name: String,
    pub(crate) key: Option<String>,
    pub(crate) payload: Value,
    pub(crate) delay: Duration,
}

impl NewJob {
    /// A job of a type, to be begun at once.
    pub fn new(type_name: impl Into<String>, payload: Value) -> NewJob {
        NewJob { type_name: type_name.into(), key: None, payload, delay: Duration::ZERO }
    }

    /// It is enqueued once only: not when there is, or was within the last week, a job of the type with the same key.
    pub fn once(self, key: impl Into<String>) -> NewJob {
        NewJob { key: Some(key.into()), ..self }
    }

    /// It is not begun before a while has passed.
    pub fn after(self, delay: Duration) -> NewJob {
        NewJob { delay, ..self }
    }
}
