//! Counters of this process, in bounded memory.
//!
//! There is room for 57,344 addresses and accounts of the last minute, about 19 MB. A counter is dropped when nothing counts in
//! it any more, and never before: nobody is pushed out by others. Who comes when there is no room shares one of [`SHARED`]
//! counters with others that came then, by a hash that nobody can foresee: memory does not grow, and an attacker with many
//! addresses gets the figure [`SHARED`] times beyond the bound, and no more. Who did nothing and comes then may be refused
//! for what others did.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::key::CounterKey;
use super::window::{Count, Window};

/// Parts, so that requests rarely wait for each other.
const SHARDS: usize = 16;
/// Counters of a part: as many as fill a table of 4096 before it grows.
const SHARD_COUNTERS_MAX: usize = 3584;
/// Counters for those beyond.
const SHARED: usize = 1024;

/// Counters of this process.
#[derive(Debug)]
pub(super) struct Counters {
    shards: Vec<Mutex<Shard>>,
    shared: Vec<Mutex<Window>>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    windows: HashMap<CounterKey, Window>,
    /// The second when those that are over were last dropped.
    swept_at: u64,
}

impl Counters {
    pub(super) fn new() -> Counters {
        Counters {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            shared: std::iter::repeat_with(|| Mutex::new(Window::EMPTY)).take(SHARED).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Asks for a request at `now`; `None` never happens.
    pub(super) fn admit(&self, key: CounterKey, per_minute: u32, now: Duration) -> Option<Count> {
        let hash = self.hasher.hash_one(key);
        let mut shard = locked(self.shards.get(hash as usize % SHARDS)?);
        if let Some(window) = shard.windows.get_mut(&key) {
            return Some(window.admit(per_minute, now));
        }
        let mut shared = locked(self.shared.get((hash >> 32) as usize % SHARED)?);
        if !shard.has_room(now) {
            return Some(shared.admit(per_minute, now));
        }
        // What it did while there was no room goes on counting, or having room would be a second figure.
        let mut window = if shared.is_over(now) { Window::EMPTY } else { shared.clone() };
        let count = window.admit(per_minute, now);
        shard.windows.insert(key, window);
        Some(count)
    }

    /// Addresses and accounts that have a counter.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).windows.len()).sum()
    }
}

impl Shard {
    /// Whether there is room for one more, after those that are over were dropped: at most once a second.
    fn has_room(&mut self, now: Duration) -> bool {
        if self.windows.len() >= SHARD_COUNTERS_MAX && now.as_secs() > self.swept_at {
            self.swept_at = now.as_secs();
            self.windows.retain(|_, window| !window.is_over(now));
        }
        self.windows.len() < SHARD_COUNTERS_MAX
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::rate_limits::mount::LimitedMount;

    const COUNTERS_MAX: usize = SHARDS * SHARD_COUNTERS_MAX;

    fn key(address: impl Into<IpAddr>) -> CounterKey {
        CounterKey::address(LimitedMount::Auth, address.into())
    }

    /// The address of an attacker that has a network of its own for each.
    fn network(number: u64) -> CounterKey {
        key(Ipv6Addr::from((0x2001_0db8_0000_0000 + u128::from(number)) << 64))
    }

    #[test]
    fn many_addresses_neither_take_memory_nor_push_others_out() {
        let counters = Counters::new();
        let at = Duration::from_secs;
        let clinic = key(Ipv4Addr::new(192, 0, 2, 7));
        let admitted = |key, figure: u32, now| {
            let asked = 0..figure * 2;
            asked.filter(|_| counters.admit(key, figure, now).unwrap().is_admitted).count()
        };
        assert_eq!(COUNTERS_MAX, 57_344, "as it is documented");
        assert_eq!(admitted(clinic, 3, at(100)), 3);
        // Far more than there is room for, and each of them once.
        let flood = COUNTERS_MAX as u64 * 2;
        let through = (0..flood).filter(|n| counters.admit(network(*n), 3, at(101)).unwrap().is_admitted);
        let through = through.count();
        assert_eq!(counters.len(), COUNTERS_MAX);
        assert!(through <= COUNTERS_MAX + 3 * SHARED, "{through}");
        let tables = counters.shards.iter().map(|shard| locked(shard).windows.capacity());
        assert_eq!(tables.max(), Some(SHARD_COUNTERS_MAX), "they never grow beyond their size");
        // Whoever had a counter has it still.
        assert_eq!(admitted(clinic, 3, at(120)), 0);
        // One that shared has no second figure when there is room again.
        let late = network(flood);
        let shared = admitted(late, 100, at(130));
        assert!((1..=97).contains(&shared), "{shared}");
        assert_eq!(counters.len(), COUNTERS_MAX);
        assert_eq!(admitted(late, 100, at(162)), 100 - shared);
        assert!(counters.len() < COUNTERS_MAX, "those of the flood in its part are dropped");
        // A minute later it is as if nothing had been.
        assert_eq!(admitted(network(flood + 1), 3, at(250)), 3);
        assert_eq!(admitted(clinic, 3, at(250)), 3);
    }

    #[test]
    fn threads_share_a_counter() {
        let counters = Counters::new();
        let asked = || {
            (0..500).filter(|_| counters.admit(network(1), 700, Duration::ZERO).unwrap().is_admitted).count()
        };
        let all: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(asked)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(all, 700);
    }
}
