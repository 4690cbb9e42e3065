//! How long after its commit a change reaches a consumer: a measurement, which needs a quiet machine.
//!
//! `cargo test --release -p fhir-work --test it delay -- --ignored --nocapture`

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use async_trait::async_trait;
use fhir_model::Result;
use fhir_work::{CancellationToken, Consumer, FeedChange, Transaction};

use super::child::{ended, start};
use super::*;

const CHANGES: usize = 500;
/// Between two changes.
const PAUSE: Duration = Duration::from_millis(7);
const P99_MAX: Duration = Duration::from_millis(300);
/// While a process that was killed is waited for.
const KILLED_MAX: Duration = Duration::from_secs(10);

/// When each change came.
#[derive(Default)]
struct Arrivals(Mutex<HashMap<String, Instant>>);

#[async_trait]
impl Consumer for Arrivals {
    fn name(&self) -> &str {
        "test.arrivals"
    }

    fn types(&self) -> &[&'static str] {
        &["Basic"]
    }

    async fn perform(&self, changes: &[FeedChange]) -> Result<()> {
        let mut arrived = self.0.lock().unwrap();
        arrived.extend(changes.iter().map(|change| (change.key(), Instant::now())));
        Ok(())
    }

    async fn record(&self, _: &[FeedChange], _: &Transaction<'_>) -> Result<()> {
        Ok(())
    }
}

impl Arrivals {
    /// Writes so many, and returns after what time each came, in order.
    async fn delays(&self, store: &Store, ids: impl Iterator<Item = String>) -> Vec<Duration> {
        let mut committed = HashMap::new();
        for id in ids {
            put(store, &id, Some("x")).await;
            committed.insert(format!("Basic/{id}/_history/1"), Instant::now());
            tokio::time::sleep(PAUSE).await;
        }
        until("all have come", async || {
            let arrived = self.0.lock().unwrap();
            committed.keys().all(|key| arrived.contains_key(key))
        })
        .await;
        let arrived = self.0.lock().unwrap();
        let mut delays: Vec<Duration> =
            committed.iter().map(|(key, at)| arrived[key].saturating_duration_since(*at)).collect();
        delays.sort_unstable();
        delays
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures time, which says little on a busy machine; conformance/RESULTS.md has the command and its figures"]
async fn changes_come_soon_and_a_killed_process_holds_them_up_for_a_while() {
    let (url, client) = database().await;
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = work(&url).await;
    let arrivals = Arc::new(Arrivals::default());
    let working =
        Work::new(store.clone()).consumer(arrivals.clone()).start(CancellationToken::new()).unwrap();
    let ordinary = arrivals.delays(&store, (0..CHANGES).map(|n| format!("a{n}"))).await;
    let p99 = ordinary[CHANGES * 99 / 100];
    println!("p50 {:?}, p99 {p99:?}, most {:?}", ordinary[CHANGES / 2], ordinary[CHANGES - 1]);

    // A second process, which others have to wait for.
    let mut second = start(&url, &folder.path().join("effects"), None);
    // While it joins it holds up the feed, for a second at most.
    let both = "select count(*) from writer where horizon > 0";
    until("both are there", async || count(&client, both).await == 2).await;
    let both = arrivals.delays(&store, (0..CHANGES).map(|n| format!("b{n}"))).await;
    println!("beside another process: p95 {:?}, most {:?}", both[CHANGES * 95 / 100], both[CHANGES - 1]);
    second.kill().unwrap();
    ended(second).await;
    let held_up = arrivals.delays(&store, (0..CHANGES).map(|n| format!("c{n}"))).await;
    let most = held_up[CHANGES - 1];
    println!("after it was killed: most {most:?}");
    working.stop().await;
    store.leave().await;
    // But for those that came while it joined.
    let (p95_both, joined) = (both[CHANGES * 95 / 100], both[CHANGES - 1]);
    assert!(p99 < P99_MAX && p95_both < P99_MAX, "p99 {p99:?}, beside another process p95 {p95_both:?}");
    assert!(joined < KILLED_MAX, "{joined:?}");
    assert!(most < KILLED_MAX, "{most:?} after a kill");
}
