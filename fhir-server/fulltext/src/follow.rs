//! Following the change feed.

use std::sync::Arc;
use std::time::Duration;

use fhir_model::{Error, Result};
use fhir_store::{FullText, Scope, Store};

use crate::index::Index;

/// Changes taken at once.
const BATCH: usize = 500;
/// Between looks when there is nothing new, and between commits at least.
const PAUSE: Duration = Duration::from_secs(1);
/// After a failure.
const LONG_PAUSE: Duration = Duration::from_secs(10);
/// Changes that are committed together at most: what is lost when the process dies is indexed again.
const UNCOMMITTED_MAX: usize = 20_000;

/// Keeps the index up with the store for as long as the store is there. Failures are logged and tried again.
pub async fn follow(store: Arc<Store>, index: Arc<Index>) {
    let weak = Arc::downgrade(&store);
    drop(store);
    while let Some(store) = weak.upgrade() {
        let pause = match catch_up(&store, &index).await {
            Ok(()) => PAUSE,
            Err(error) => {
                tracing::warn!("the full text index cannot follow for now: {error}");
                LONG_PAUSE
            }
        };
        drop(store);
        tokio::time::sleep(pause).await;
    }
}

/// Takes everything that is new.
async fn catch_up(store: &Arc<Store>, index: &Arc<Index>) -> Result<()> {
    let mut place = index.position();
    let mut uncommitted = 0;
    loop {
        let changes = store.changes(&Scope::everything(), place, BATCH).await?;
        let (taken, last) = (changes.len(), changes.last().map(|change| change.position));
        if let Some(last) = last {
            place = last;
            uncommitted += taken;
            run_blocking(index, move |index| index.apply(&changes)).await?;
        }
        let done = taken < BATCH;
        if uncommitted > 0 && (done || uncommitted >= UNCOMMITTED_MAX) {
            uncommitted = 0;
            run_blocking(index, move |index| index.commit(place)).await?;
        }
        if done {
            index.is_complete();
            return Ok(());
        }
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
