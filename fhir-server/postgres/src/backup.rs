//! Backups of the embedded PostgreSQL: base backups, an archive of WAL beside them, and restoring to a point in time.
//!
//! Everything is read by this process from the cluster's own files, so that it works with any build of PostgreSQL: the
//! archives that are downloaded hold neither `pg_basebackup` nor `pg_receivewal`.
//!
//! ```text
//! TARGET/cari-backup.json                          the marker: without it nothing is written, as the disk is not there
//! TARGET/<archive>/base/<time>/manifest.json       written last: what has none is no backup
//! TARGET/<archive>/base/<time>/base.tar.zst.age.*  tar, compressed, encrypted; in parts that every file system takes
//! TARGET/<archive>/wal/<day>/<start>-<end>-<time>-<hash>.zst.age
//! ```
//!
//! An archive belongs to one data directory and so to one timeline: what was restored begins an archive of its own.
//!
//! Invariants: nothing is written to the target unencrypted, and the key that opens it is not needed to write; a backup
//! that is cut off is never listed; WAL that waits for the target is bounded, and given up before it fills the disk.

mod base;
mod key;
mod restore;
mod retention;
mod seal;
mod state;
mod target;
mod verify;
mod wal;
mod worker;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use key::{Key, Recipients};
pub use restore::{Restore, Restored};
pub use target::{Archive, Base, Target};
pub use verify::{BaseBackup, list, read_everything, verify};
pub use worker::{Status, Worker};

use crate::connection::Connection;
use crate::error::{Error, Result};

/// How backups are made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The directory that was prepared by [`Target::prepare`].
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

/// A running cluster, as a backup sees it.
#[derive(Debug, Clone)]
pub struct Site {
    /// The home: the directory above the cluster.
    pub(crate) home: PathBuf,
    pub(crate) cluster: PathBuf,
    pub(crate) connection: Connection,
}

impl Site {
    /// That of the server which runs in a data directory; `None` when none does.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn from_running(data_dir: &std::path::Path) -> Result<Option<Site>> {
        crate::home::Home::from_running(data_dir)
    }

    /// How to connect as the owner of the database.
    pub fn url(&self) -> String {
        self.connection.url()
    }

    /// Makes a base backup now, and removes what is older than is to be kept; the name of its archive comes with it.
    ///
    /// # Errors
    ///
    /// When the target is not there, another backup is under way, or anything fails on the way.
    pub async fn back_up(&self, plan: &Plan) -> Result<(String, Base)> {
        worker::base_now(self, plan).await
    }

    /// Lets the WAL go that waits for a backup: for a server that makes none any more.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn keep_no_wal(&self) -> Result<()> {
        wal::let_go(&self.connect().await?).await
    }

    /// A superuser's connection; its driver ends when the client is dropped.
    async fn connect(&self) -> Result<tokio_postgres::Client> {
        let (client, driver) = self.connection.superuser().config().connect(tokio_postgres::NoTls).await?;
        tokio::spawn(driver);
        Ok(client)
    }
}

fn failed(why: impl Into<String>) -> Error {
    Error::Backup(why.into())
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// The bytes that an unprivileged user can still write where `path` is.
pub(crate) fn bytes_free(path: &std::path::Path) -> Result<u64> {
    use crate::error::IoContext;
    let found = nix::sys::statvfs::statvfs(path).map_err(std::io::Error::from);
    let found = found.doing("ask for the free space of", path)?;
    Ok(found.blocks_available() * found.fragment_size())
}
