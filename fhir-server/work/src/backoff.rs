//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double, up to a longest, each shortened by up to a half at random so that many do not come back at once.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(600) }
    }
}

impl Backoff {
    /// The wait after `failures` failures in a row.
    pub fn wait(&self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(30));
        let whole = doubled.min(self.longest);
        let random = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
        whole - whole / 2 * random / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(10) };
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (4_000_000_000, 10)] {
            let most = Duration::from_secs(most);
            for _ in 0..100 {
                let wait = backoff.wait(failures);
                assert!(wait <= most && wait >= most / 2, "{failures}: {wait:?}");
            }
        }
    }
}
