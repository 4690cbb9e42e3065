//! What FHIR can express beyond its interactions: one folder each, a [`Module`] that the program lists.
//!
//! <https://hl7.org/fhir/R4/operations.html>

mod everything;
mod reindex;

use fhir_app::{Module, Operation};

/// `$everything`
#[derive(Debug, Clone, Copy)]
pub struct Everything;

impl Module for Everything {
    fn name(&self) -> &'static str {
        "everything"
    }

    fn operations(&self) -> Vec<Box<dyn Operation>> {
        vec![Box::new(everything::Everything)]
    }
}

/// `$reindex` and `$reindex-status`
#[derive(Debug, Clone, Copy)]
pub struct Reindex;

impl Module for Reindex {
    fn name(&self) -> &'static str {
        "reindex"
    }

    fn operations(&self) -> Vec<Box<dyn Operation>> {
        vec![Box::new(reindex::Reindex), Box::new(reindex::ReindexStatus)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_consistent() {
        let types = fhir_profiles::Definitions::load().unwrap();
        let all = [Everything.operations(), Reindex.operations()].into_iter().flatten().collect();
        // Refuses definitions that contradict themselves and two operations of one code at the same level.
        assert!(fhir_interactions::Operations::new(all, &types).is_ok());
    }
}
