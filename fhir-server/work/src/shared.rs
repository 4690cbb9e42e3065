//! What the tasks of the background work share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use fhir_database::Connections;
use fhir_store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::job::JobType;
use crate::options::Options;
use crate::schedule::Schedule;

/// What the tasks share.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) owner: i64,
    pub(crate) options: Options,
    pub(crate) jobs: BTreeMap<String, Arc<dyn JobType>>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) stop: CancellationToken,
    pub(crate) enqueued: Notify,
    /// Consumers that this process works for.
    pub(crate) held: AtomicU32,
}

impl Shared {
    /// Waits, unless the server is being stopped.
    pub(crate) async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
