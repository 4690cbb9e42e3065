//! The features of the server: the one list.

use fhir_app::Modules;
use fhir_model::Result;

/// All modules. To add one: its folder below `operations/` or `adapters/`, and a line here.
///
/// # Errors
///
/// When they do not fit together: a defect of the program, found by its tests.
pub fn list() -> Result<Modules> {
    Modules::new(vec![
        Box::new(fhir_operations::Everything),
        Box::new(fhir_operations::Reindex),
        Box::new(fhir_adapters::Accounts),
        Box::new(fhir_adapters::Clinic),
        Box::new(fhir_adapters::DeadLetterQueue),
    ])
}
