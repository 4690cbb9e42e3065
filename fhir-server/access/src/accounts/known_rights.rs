//! What a process knows of rights, and until when it may rely on that.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::rights::Rights;

/// How often rights were changed, and sessions ended.
pub(super) type Epoch = (i64, i64);

#[derive(Default)]
pub(super) struct RightsCache {
    pub(super) known: RwLock<Known>,
    /// Until when what is known need not be looked at again.
    pub(super) fresh_until: RwLock<Option<Instant>>,
    /// Held by the one that looks at the database.
    pub(super) looking: Mutex<()>,
}

/// What holds at one epoch.
#[derive(Default)]
pub(super) struct Known {
    /// Counts what was put here.
    pub(super) version: u64,
    /// `None` when it is not known of which epoch it is.
    pub(super) epoch: Option<Epoch>,
    pub(super) rights: HashMap<Uuid, Arc<Rights>>,
    /// Tokens and sessions that ended before their time.
    pub(super) revoked: HashSet<Uuid>,
}

/// What is kept is put in by one assignment: a panic in the middle leaves nothing half done.
pub(super) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
