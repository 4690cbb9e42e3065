//! Whether a condition is selective. That it is not is remembered for a while: what is common stays so, and a search
//! that relies on an outdated answer is slower, not wrong.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fhir_model::Result;
use fhir_search::sql::Plan;
use tokio_postgres::Row;

use crate::Store;

/// For how long a condition is remembered as not selective.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// Conditions that are remembered; then all are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// Conditions that were found not to be selective, and when.
#[derive(Debug, Default)]
pub(crate) struct UnselectiveConditions(Mutex<HashMap<u64, Instant>>);

impl UnselectiveConditions {
    fn contains(&self, condition: u64) -> bool {
        let found = self.0.lock().ok().and_then(|known| known.get(&condition).copied());
        found.is_some_and(|at| at.elapsed() < REMEMBERED_FOR)
    }

    fn insert(&self, condition: u64) {
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            known.insert(condition, Instant::now());
        }
    }
}

impl Store {
    /// The rows of a plan. Returns `None` when there are more than `limit`; one more than that is asked for.
    pub(super) async fn rows_if_few(&self, plan: &Plan, limit: usize) -> Result<Option<Vec<Row>>> {
        let mut hasher = DefaultHasher::new();
        plan.steps.iter().for_each(|step| (step.sql.text(), step.sql.binds()).hash(&mut hasher));
        let condition = hasher.finish();
        if self.unselective.contains(condition) {
            return Ok(None);
        }
        let rows = self.run_plan(plan, limit + 1).await?;
        if rows.len() > limit {
            self.unselective.insert(condition);
            return Ok(None);
        }
        Ok(Some(rows))
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
