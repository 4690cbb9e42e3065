//! Conditions that were found not to be selective, remembered for a while: what is common stays so, and a search
//! that relies on an outdated answer is slower, not wrong.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// For how long a condition is remembered as not selective.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// Conditions that are remembered; then all are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// Conditions that were found not to be selective, and when.
#[derive(Debug, Default)]
pub(crate) struct UnselectiveConditions(Mutex<HashMap<u64, Instant>>);

impl UnselectiveConditions {
    pub(super) fn contains(&self, condition: u64) -> bool {
        let found = self.0.lock().ok().and_then(|known| known.get(&condition).copied());
        found.is_some_and(|at| at.elapsed() < REMEMBERED_FOR)
    }

    pub(super) fn insert(&self, condition: u64) {
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            known.insert(condition, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_is_remembered_up_to_a_bound() {
        let common = UnselectiveConditions::default();
        assert!(!common.contains(1));
        for condition in 0..REMEMBERED_MAX as u64 {
            common.insert(condition);
        }
        assert!(common.contains(1));
        common.insert(u64::MAX);
        assert!(!common.contains(1) && common.contains(u64::MAX));
    }
}
