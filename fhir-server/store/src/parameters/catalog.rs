//! What this process knows of the search parameters, and by which version of them its writes are indexed.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::commit_clock::CommitClock;

/// The search parameters as this process knows them, and their version.
#[derive(Debug, Default)]
pub(crate) struct ParameterCatalog {
    /// Held while the catalog is reloaded.
    pub(super) reload: tokio::sync::Mutex<()>,
    version: Mutex<CatalogVersions>,
    /// True once the index was made by this process's format and settings.
    pub(crate) index_reconciled: AtomicBool,
    /// True when the worker may have something to do.
    pub(crate) work_pending: AtomicBool,
    /// True when the last refresh failed: this process may not write until one succeeds.
    pub(super) refresh_failed: AtomicBool,
    /// Wakes the worker.
    pub(crate) wake: Arc<tokio::sync::Notify>,
}

/// The versions of the catalog that writes are indexed by.
#[derive(Debug, Default)]
struct CatalogVersions {
    /// All open writes are indexed by it.
    current: i64,
    /// The next version, and the last commit timestamp of writes that may still be indexed by the current one.
    pending: Option<(i64, i64)>,
}

impl ParameterCatalog {
    /// The version that all open and coming writes of this process are indexed by.
    pub(crate) fn version(&self, clock: &CommitClock) -> i64 {
        let mut known = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, last)) = known.pending
            && clock.is_closed(last)
        {
            *known = CatalogVersions { current: version, pending: None };
        }
        known.current
    }

    /// Notes a new version: writes that are open up to the commit timestamp `last` may still be indexed by the one before.
    pub(super) fn set_pending(&self, version: i64, last: i64) {
        let mut known = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        known.pending = Some((version, last));
    }
}
