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
mod clock;
mod files;
mod key;
mod plan;
mod restore;
mod retention;
mod seal;
mod site;
mod state;
mod target;
mod verify;
mod wal;
mod worker;

pub use key::{Key, Recipients};
pub use plan::Plan;
pub use restore::{Restore, Restored};
pub use site::Site;
pub use target::{Archive, Base, Target};
pub use verify::{BaseBackup, list, read_everything, verify};
pub use worker::{Status, Worker};

use crate::error::Result;

impl Site {
    /// That of the server which runs in a data directory; `None` when none does.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn from_running(data_dir: &std::path::Path) -> Result<Option<Site>> {
        crate::home::Home::from_running(data_dir)
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
}
