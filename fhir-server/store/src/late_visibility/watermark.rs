//! The low-watermark of the feed on a database of several machines: no version below it becomes visible late.
//!
//! The least commit timestamp that may still come (`writers.rs`) is a candidate. Every earlier one has been committed or never
//! will be, so that what is not visible of them is prepared. It is published once all that was prepared then is gone;
//! meanwhile it stays as it is, whatever comes: under any load each candidate is reached.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fhir_model::Result;

use crate::Store;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(80);
/// After so long without a step a warning is given, and again after as long.
const WARN_AFTER: Duration = Duration::from_secs(30);

/// A low-watermark that is published when what it waits for is gone.
#[derive(Debug)]
struct Candidate {
    low_watermark: i64,
    waits_for: BTreeSet<String>,
}

impl Candidate {
    /// `low_watermark`: of all processes, read before `prepared` was. Returns the low-watermark below which all is visible, when
    /// it is known to be another.
    fn step(&mut self, low_watermark: i64, prepared: BTreeSet<String>) -> Option<i64> {
        self.waits_for.retain(|transaction| prepared.contains(transaction));
        if !self.waits_for.is_empty() {
            return None;
        }
        let reached = self.low_watermark;
        *self = Candidate { low_watermark, waits_for: prepared };
        Some(if self.waits_for.is_empty() { low_watermark } else { reached })
    }
}

/// Publishes the low-watermark for as long as the store is there. A task of its own: a machine that does not answer holds up the
/// feed, and nothing else.
pub(crate) fn follow(store: &Arc<Store>) {
    let (stop, tasks) = (store.stop.clone(), store.tasks.clone());
    let store: Weak<Store> = Arc::downgrade(store);
    tasks.spawn(async move {
        let mut candidate = Candidate { low_watermark: i64::MIN, waits_for: BTreeSet::new() };
        let mut moved = Instant::now();
        loop {
            let Some(store) = store.upgrade() else { return };
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = store.look(&mut candidate) => looked,
            };
            match looked {
                Ok(true) => moved = Instant::now(),
                _ if moved.elapsed() < WARN_AFTER => {}
                late => {
                    moved = Instant::now();
                    let open = candidate.waits_for.len();
                    let cause = late.err().map(|e| format!(": {e}")).unwrap_or_default();
                    tracing::warn!(
                        "the change feed has stood for {} s, as {open} prepared transactions are open{cause}",
                        WARN_AFTER.as_secs()
                    );
                }
            }
            drop(store);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    });
}

impl Store {
    /// One look. Returns false when the candidate has to wait.
    async fn look(&self, candidate: &mut Candidate) -> Result<bool> {
        // In this order: what is prepared later has a later commit timestamp than the candidate, or is never committed.
        let low_watermark = self.least_low_watermark().await?;
        let is_new = low_watermark > *self.low_watermark.borrow();
        if !is_new && candidate.waits_for.is_empty() {
            return Ok(true);
        }
        let client = self.connections.client().await?;
        let reached = candidate.step(low_watermark, self.prepared_transactions(&client).await?);
        if let Some(reached) = reached {
            self.raise_low_watermark(reached);
        }
        Ok(reached.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &str) -> BTreeSet<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_candidate_waits_for_what_was_prepared_and_for_nothing_else() {
        let mut candidate = Candidate { low_watermark: i64::MIN, waits_for: BTreeSet::new() };
        // low-watermark of all, prepared, reached
        for (low_watermark, prepared, reached) in [
            (10, "", Some(10)),
            (20, "a b", Some(10)),
            (30, "b c", None),
            (40, "b d e", None),
            // The next candidate is there at once.
            (50, "e f", Some(20)),
            (60, "f g", None),
            (70, "h", Some(50)),
            (80, "", Some(80)),
        ] {
            assert_eq!(candidate.step(low_watermark, set(prepared)), reached, "{low_watermark} {prepared}");
        }
    }
}
