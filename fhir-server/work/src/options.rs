//! The options of a process's work: how many jobs, leases, attempts.

use std::time::Duration;

/// How the work of a process is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Jobs that this process runs at the same time.
    pub jobs_max: usize,
    /// How long nobody else runs a job whose process was killed.
    pub lease: Duration,
    /// How long nobody else works for a consumer whose process was killed.
    pub consumer_lease: Duration,
    /// How often it is looked for jobs that other processes enqueued.
    pub poll: Duration,
    /// How long jobs under way are waited for when the server stops.
    pub stop_grace: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            jobs_max: 4,
            lease: Duration::from_secs(30),
            consumer_lease: Duration::from_secs(5),
            poll: Duration::from_millis(500),
            stop_grace: Duration::from_secs(10),
        }
    }
}
