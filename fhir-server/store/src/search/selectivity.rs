//! Whether a condition is selective: asked of the database, where it is not known to be common.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use fhir_model::Result;
use fhir_search::sql::Plan;
use tokio_postgres::Row;

use crate::scope::ScopedStore;

impl ScopedStore<'_> {
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
