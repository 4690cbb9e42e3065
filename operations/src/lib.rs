//! FHIR operations: one folder each, and the list.
//!
//! <https://hl7.org/fhir/R4/operations.html>

mod everything;
mod reindex;

use fhir_interactions::Operation;

/// Every operation of the server.
///
/// To add one: its folder, with the code and its `definition.json`, and a line here.
pub fn all() -> Vec<Box<dyn Operation>> {
    vec![Box::new(everything::Everything), Box::new(reindex::Reindex), Box::new(reindex::ReindexStatus)]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_is_consistent() {
        // Refuses definitions that cannot be read and two operations of one code at the same level.
        assert!(fhir_interactions::Operations::new(super::all()).is_ok());
    }
}
