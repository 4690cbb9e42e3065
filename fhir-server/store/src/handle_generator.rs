//! Handles of resources whose id the server gives: ordered by time.

use std::sync::atomic::{AtomicU32, Ordering};

/// Handles: 41 bits of milliseconds since 2020, 22 bits of a counter that begins anywhere.
///
/// One process never makes a handle twice; two meet once in a few million, and then the insert says so.
#[derive(Debug)]
pub(crate) struct HandleGenerator {
    counter: AtomicU32,
}

/// 2020-01-01T00:00:00Z in milliseconds since 1970.
const EPOCH_MILLIS: i64 = 1_577_836_800_000;
const COUNTER_BITS: u32 = 22;

impl Default for HandleGenerator {
    fn default() -> HandleGenerator {
        HandleGenerator { counter: AtomicU32::new(uuid::Uuid::new_v4().as_u128() as u32) }
    }
}

impl HandleGenerator {
    /// The next handle, for a time in microseconds since 1970.
    pub(crate) fn next(&self, now: i64) -> i64 {
        let millis = (now / 1000 - EPOCH_MILLIS).clamp(0, (1 << 41) - 1);
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) & ((1 << COUNTER_BITS) - 1);
        millis << COUNTER_BITS | i64::from(counter)
    }
}

#[cfg(test)]
mod tests {
    use fhir_database::Clock;

    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_differ() {
        let (ids, clock) = (HandleGenerator::default(), Clock::default());
        let made: std::collections::HashSet<i64> = (0..2000).map(|_| ids.next(clock.now())).collect();
        assert_eq!(made.len(), 2000);
        assert!(made.iter().all(|h| *h >= 0));
        assert!(ids.next(clock.now() + 60_000_000) > ids.next(clock.now()));
    }
}
