//! Following the change feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fhir_model::{Error, Result};
use fhir_store::{FeedPosition, FullText};
use fhir_work::{Consumer, FeedChange};

use crate::index::Index;

/// Changes taken at once.
const BATCH: usize = 500;
/// Between looks when there is nothing new, and between commits at least.
const PAUSE: Duration = Duration::from_secs(1);
/// Changes that are committed together at most: what is lost when the process dies is indexed again.
const UNCOMMITTED_MAX: usize = 20_000;

/// What keeps an index up with the feed. Each process has an index of its own, which knows its place.
pub fn consumer(index: Arc<Index>) -> Arc<dyn Consumer> {
    Arc::new(Follower { index, uncommitted: AtomicUsize::new(0) })
}

struct Follower {
    index: Arc<Index>,
    uncommitted: AtomicUsize,
}

#[async_trait]
impl Consumer for Follower {
    fn name(&self) -> &str {
        "full-text"
    }

    fn wants_previous(&self) -> bool {
        false
    }

    fn batch_max(&self) -> usize {
        BATCH
    }

    fn own_place(&self) -> Option<FeedPosition> {
        Some(self.index.position())
    }

    fn rest(&self) -> Duration {
        PAUSE
    }

    async fn perform(&self, changes: &[FeedChange]) -> Result<()> {
        let changes: Vec<_> = changes.iter().map(|change| (change.tenant, change.version.clone())).collect();
        self.uncommitted.fetch_add(changes.len(), Ordering::Relaxed);
        run_blocking(&self.index, move |index| index.apply(&changes)).await
    }

    async fn reached(&self, place: FeedPosition, is_all: bool) -> Result<()> {
        let uncommitted = self.uncommitted.load(Ordering::Relaxed);
        if uncommitted > 0 && (is_all || uncommitted >= UNCOMMITTED_MAX) {
            run_blocking(&self.index, move |index| index.commit(place)).await?;
            self.uncommitted.store(0, Ordering::Relaxed);
        }
        if is_all {
            self.index.is_complete();
        }
        Ok(())
    }
}

/// On a thread where work may take its time.
async fn run_blocking(
    index: &Arc<Index>,
    work: impl FnOnce(&Index) -> Result<()> + Send + 'static,
) -> Result<()> {
    let index = index.clone();
    tokio::task::spawn_blocking(move || work(&index)).await.map_err(Error::internal)?
}
