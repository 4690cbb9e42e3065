//! Work in the background, shared by all processes of one database.
//!
//! - A [job](JobType) is a row: it is done once, tried again after a failure, and put to the dead letters after the last
//!   attempt. [`enqueue`] takes a transaction, so that a write and the job that it causes come together: the outbox.
//! - A [consumer](Consumer) follows the change feed from a place that it advances; a change that it cannot take goes to the
//!   dead letters and holds up nothing.
//! - A [schedule](Schedule) makes jobs at times, once for all processes.
//!
//! **Invariants:** what a job or a consumer does in the transaction that it is given happens exactly once; what it does
//! outside happens at least once, with a key that stays the same; nothing runs on when [`Working::stop`] has returned.

mod backoff;
mod consumer;
mod crash;
mod cron;
mod dead_letter;
mod follow;
mod job;
mod options;
mod queue;
mod runner;
mod schedule;
mod scheduler;
mod shared;
mod work;

pub use backoff::Backoff;
pub use consumer::{Consumer, FeedChange};
pub use cron::Cron;
pub use dead_letter::{DeadLetter, DeadLetterKind, DeadLetters, Depth};
pub use job::{JobRun, JobType, NewJob};
pub use options::Options;
pub use queue::enqueue;
pub use schedule::Schedule;
pub use work::{Work, Working};

pub use fhir_database::Transaction;
pub use tokio_util::sync::CancellationToken;
