//! The time, which tests can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock. Clones share one offset, so that a test moves the clock of a whole server.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Microseconds that are added to the time of the operating system.
    offset: Arc<AtomicI64>,
}

impl Clock {
    /// Microseconds since 1970.
    pub fn now(&self) -> i64 {
        system().saturating_add(self.offset.load(Ordering::Relaxed))
    }

    /// Moves the clock by microseconds, forwards or (negative) backwards: for tests.
    pub fn shift(&self, micros: i64) {
        self.offset.fetch_add(micros, Ordering::Relaxed);
    }

    /// Sets the clock to a time in microseconds since 1970, from which it goes on: for tests.
    pub fn set(&self, micros: i64) {
        self.offset.store(micros.saturating_sub(system()), Ordering::Relaxed);
    }
}

/// What the operating system says, in microseconds since 1970.
fn system() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_one_clock() {
        let clock = Clock::default();
        let other = clock.clone();
        clock.set(5);
        assert!((5..60_000_000).contains(&other.now()), "it goes on from where it was set");
        other.shift(-1_000_000_000);
        assert!(clock.now() < 0);
    }
}
