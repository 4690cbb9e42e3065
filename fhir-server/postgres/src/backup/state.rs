//! What a data directory remembers of its backups: `backup.json` in the home. Losing it costs a base backup.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use crate::error::{Error, IoContext, Result};

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The cluster: its number and timeline. Another one, restored or upgraded here, begins anew.
    pub(super) system: String,
    pub(super) timeline: u32,
    /// By the id of the target: disks may take turns.
    pub(super) targets: BTreeMap<String, Position>,
}

/// How far the backups on one target are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The archive of this data directory.
    pub(super) archive: String,
    /// WAL is archived without a gap from here
    pub(super) since: u64,
    /// up to here.
    pub(super) archived: u64,
    /// The end of the piece of WAL that may just have been written.
    pub(super) pending: u64,
    /// When the last base backup was completed, in seconds since 1970; 0: never.
    pub(super) base_at: i64,
    /// Where in the WAL it begins.
    pub(super) base_start: u64,
    /// Up to when everything that was committed is in the archive; 0: never.
    pub(super) wal_at: i64,
}

impl State {
    pub(super) fn read(home: &Path) -> Result<State> {
        let path = home.join(FILE);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|why| Error::backup(format!("{} is damaged ({why}): remove it", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(error).doing("read", &path),
        }
    }

    /// The latest of what is known of all targets: (base backup, WAL), in seconds since 1970.
    pub(super) fn latest(&self) -> (i64, i64) {
        let base = self.targets.values().map(|position| position.base_at).max();
        let wal = self.targets.values().map(|position| position.wal_at).max();
        (base.unwrap_or_default(), wal.unwrap_or_default())
    }
}

pub(super) const FILE: &str = "backup.json";

/// Changes the position on a target, alone among the processes of this data directory.
pub(super) fn change<T>(home: &Path, target: &str, change: impl FnOnce(&mut Position) -> T) -> Result<T> {
    with(home, |state| change(state.targets.entry(target.to_owned()).or_default()))
}

/// Forgets everything unless it is of this cluster.
pub(super) fn write_cluster(home: &Path, system: &str, timeline: u32) -> Result<()> {
    with(home, |state| {
        if state.system != system || state.timeline != timeline {
            *state = State { system: system.to_owned(), timeline, targets: BTreeMap::new() };
        }
    })
}

fn with<T>(home: &Path, change: impl FnOnce(&mut State) -> T) -> Result<T> {
    let path = home.join("backup.json.lock");
    let lock = lock_file(&path)?;
    lock.lock().doing("lock", &path)?;
    let mut state = State::read(home)?;
    let before = state.clone();
    let value = change(&mut state);
    if state != before {
        let text = serde_json::to_vec_pretty(&state).map_err(|why| Error::backup(why.to_string()))?;
        files::replace(&home.join(FILE), &text)?;
    }
    Ok(value)
}

/// The lock of whoever makes a base backup, which the kernel frees however that process ends.
pub(super) fn alone(home: &Path) -> Result<File> {
    let path = home.join("backup.lock");
    let file = lock_file(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::backup("another backup of this data directory is under way"))
        }
        Err(fs::TryLockError::Error(error)) => Err(error).doing("lock", &path),
    }
}

fn lock_file(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path).doing("open", path)
}

/// A name that nobody else has: an archive's, a target's.
pub(super) fn fresh_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
