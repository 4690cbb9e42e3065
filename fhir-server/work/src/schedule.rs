//! Schedules: what is to be enqueued, and when.

use serde_json::Value;

use crate::cron::Cron;

/// A job that is to be enqueued at times.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub(crate) name: String,
    pub(crate) cron: Cron,
    pub(crate) job: String,
    pub(crate) payload: Value,
}

impl Schedule {
    /// A schedule, with the module's name before its own, that enqueues a job of a type.
    pub fn new(name: impl Into<String>, cron: Cron, job: impl Into<String>, payload: Value) -> Schedule {
        Schedule { name: name.into(), cron, job: job.into(), payload }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time after an instant; never, as a time that does not come.
    pub(crate) fn next(&self, after: i64) -> i64 {
        self.cron.next(after).unwrap_or(i64::MAX)
    }
}
