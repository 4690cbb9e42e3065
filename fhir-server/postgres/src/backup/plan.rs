//! The settings of backups: target, recipients, intervals, retention.

use std::path::PathBuf;
use std::time::Duration;

use super::key::Recipients;

/// Where, how often, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The directory that was prepared by [`Target::prepare`](super::Target::prepare).
    pub target: PathBuf,
    /// Whose keys open the backups.
    pub recipients: Recipients,
    /// The time from one base backup to the next.
    pub interval: Duration,
    /// Base backups younger than this are kept.
    pub keep: Duration,
    /// As many are kept whatever their age.
    pub keep_min: usize,
    /// How often WAL is archived: the most that is lost with the machine. `None`: only base backups are made.
    pub wal_interval: Option<Duration>,
}
