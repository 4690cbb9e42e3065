//! Time and ids: stamps that never go back, handles that are ordered by time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use fhir_model::{Error, Kind, Result};
use fhir_search::index_hash::format_server_id;

use crate::Store;

/// A process that has not announced itself for this long may not write any more: others no longer wait for it.
pub(crate) const LEASE_MICROS: i64 = 60_000_000;
/// It stops writing well before that.
const WRITE_UNTIL_MICROS: i64 = LEASE_MICROS / 2;

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The stamps of this process.
#[derive(Debug)]
pub(crate) struct CommitClock {
    /// This process in the table of writers.
    pub(crate) process: i64,
    open: Arc<Mutex<OpenWrites>>,
    /// When the last announcement was stored.
    pub(crate) announced_at: AtomicI64,
}

#[derive(Debug, Default)]
struct OpenWrites {
    last: i64,
    /// Open stamps; two writes may not share one, so a set would do, but removal is by key either way.
    timestamps: BTreeMap<i64, ()>,
    /// No stamps are given any more.
    left: bool,
}

/// The `lastUpdated` of a write, held while it is open.
#[derive(Debug)]
pub struct CommitTimestamp {
    micros: i64,
    open: Arc<Mutex<OpenWrites>>,
}

impl CommitTimestamp {
    /// Microseconds since 1970.
    pub fn micros(&self) -> i64 {
        self.micros
    }
}

impl Drop for CommitTimestamp {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        open.timestamps.remove(&self.micros);
    }
}

impl CommitClock {
    pub(crate) fn new(process: i64) -> CommitClock {
        CommitClock { process, open: Arc::default(), announced_at: AtomicI64::new(0) }
    }

    /// The earliest stamp that this process may still commit.
    pub(crate) fn low_watermark(&self) -> i64 {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        let earliest = open.timestamps.keys().next().copied();
        // Nothing open: from here on every stamp is later than now.
        open.last = open.last.max(now());
        earliest.unwrap_or(open.last)
    }

    /// The latest stamp that was given.
    pub(crate) fn latest(&self) -> i64 {
        self.open.lock().unwrap_or_else(|e| e.into_inner()).last
    }

    /// True when no write is open that has this stamp or an earlier one.
    pub(crate) fn is_closed(&self, micros: i64) -> bool {
        let open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        open.timestamps.keys().next().is_none_or(|earliest| *earliest > micros)
    }

    /// From now on no stamps are given; false when there are open ones.
    pub(crate) fn leave(&self) -> bool {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        open.left = true;
        open.timestamps.is_empty()
    }

    pub(crate) fn has_left(&self) -> bool {
        self.open.lock().unwrap_or_else(|e| e.into_inner()).left
    }

    fn next_timestamp(&self) -> Result<CommitTimestamp> {
        let now = now();
        if now - self.announced_at.load(Ordering::Relaxed) > WRITE_UNTIL_MICROS {
            return Err(Error::new(
                Kind::Unavailable,
                "the database is not available at the moment; try again",
            ));
        }
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if open.left {
            return Err(Error::new(Kind::Unavailable, "this server is being stopped"));
        }
        let micros = now.max(open.last + 1);
        open.last = micros;
        open.timestamps.insert(micros, ());
        Ok(CommitTimestamp { micros, open: self.open.clone() })
    }
}

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
    fn next(&self) -> i64 {
        let millis = (now() / 1000 - EPOCH_MILLIS).clamp(0, (1 << 41) - 1);
        let counter = self.counter.fetch_add(1, Ordering::Relaxed) & ((1 << COUNTER_BITS) - 1);
        millis << COUNTER_BITS | i64::from(counter)
    }
}

impl Store {
    /// A fresh id: 16 hexadecimal digits, ordered by time. That it is free is settled when it is written.
    pub fn new_id(&self) -> String {
        format_server_id(self.handles.next())
    }

    /// The stamp of a write. Fails when this process has lost touch with the database.
    pub fn commit_timestamp(&self) -> Result<CommitTimestamp> {
        self.clock.next_timestamp()
    }

    /// Microseconds since 1970, as the store sees it.
    pub fn now(&self) -> i64 {
        now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_go_back_and_hold_the_horizon() {
        let clock = CommitClock::new(1);
        assert!(clock.next_timestamp().is_err(), "not announced yet");
        clock.announced_at.store(now(), Ordering::Relaxed);
        let a = clock.next_timestamp().unwrap();
        let b = clock.next_timestamp().unwrap();
        assert!(b.micros() > a.micros());
        assert_eq!(clock.low_watermark(), a.micros());
        assert!(!clock.is_closed(a.micros()) && clock.is_closed(a.micros() - 1));
        drop(a);
        assert!(clock.is_closed(b.micros() - 1) && !clock.is_closed(clock.latest()));
        assert_eq!(clock.low_watermark(), b.micros());
        drop(b);
        let free = clock.low_watermark();
        assert!(clock.next_timestamp().unwrap().micros() > free - 1);
    }

    #[test]
    fn ids_are_ordered_by_time_and_differ() {
        let ids = HandleGenerator::default();
        let made: std::collections::HashSet<i64> = (0..2000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 2000);
        assert!(made.iter().all(|h| *h >= 0));
    }
}
