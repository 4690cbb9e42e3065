//! What resolving a query comes to.

use std::collections::HashMap;

use fhir_search::condition::Condition;

/// A query's condition with nothing left to resolve, and what came to light on the way.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) condition: Condition,
    /// Conditions that are not selective and that no column decides: they are evaluated on each match.
    pub(super) post_filters: Vec<Condition>,
    /// By handle, how well words match: from 0 to 1.
    pub(super) scores: HashMap<i64, f32>,
    /// The number of values that were looked up for it.
    pub(super) looked_up: usize,
    /// Warnings for the client.
    pub(super) warnings: Vec<String>,
}
