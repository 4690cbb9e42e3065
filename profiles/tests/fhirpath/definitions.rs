//! What FHIR's definitions say in FHIRPath must be understood.

use fhir_model::fhirpath::parse;
use fhir_profiles::Definitions;

#[test]
fn every_invariant_parses() {
    let definitions = Definitions::load().unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for type_name in definitions.type_names() {
        for invariant in definitions.invariants(type_name) {
            let Some(expression) = &invariant.expression else { continue };
            count += 1;
            if let Err(e) = parse(expression) {
                wrong.push(format!("{type_name} {}: {e}: {expression}", invariant.key));
            }
        }
    }
    assert!(count > 500, "only {count} invariants were found");
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
