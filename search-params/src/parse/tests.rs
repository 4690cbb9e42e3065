//! What is read, refused and passed over.

use std::sync::Arc;

use super::shape::SORTS_MAX;
use super::*;

#[test]
fn limits_hold_at_the_limit_and_past_it() {
    let registry = Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap();
    let secret = Secret([0; 16]);
    let cx = ParseCx {
        strict: true,
        bases: &Bases::default(),
        now: 0,
        count_default: 10,
        count_max: 50,
        values_max: 3,
        secret: &secret,
        bound_to: "",
    };
    let parse = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Query::parse(&registry, "Patient", &pairs, &cx).map_err(|e| e.kind)
    };
    assert_eq!(parse(&vec![("gender", "male"); PARAMETERS_MAX]).unwrap().filters.len(), PARAMETERS_MAX);
    let too_costly = fhir_model::Kind::TooCostly;
    assert_eq!(parse(&vec![("gender", "male"); PARAMETERS_MAX + 1]).unwrap_err(), too_costly);
    assert!(parse(&[("gender", "male,female,other")]).is_ok());
    assert_eq!(parse(&[("gender", "male,female,other,unknown")]).unwrap_err(), too_costly);
    assert_eq!(parse(&[("_count", "50")]).unwrap().count, 50);
    assert_eq!(parse(&[("_count", "51")]).unwrap().count, 50);
    assert_eq!(parse(&[("_count", "99999999999999999999")]).unwrap_err(), fhir_model::Kind::Value);
    assert!(parse(&[("_sort", &["gender"; SORTS_MAX].join(","))]).is_ok());
    assert!(parse(&[("_sort", &["gender"; SORTS_MAX + 1].join(","))]).is_err());
    let text = |bytes: usize| "x".repeat(bytes);
    assert!(parse(&[("name:contains", &text(crate::fold::CONTAINS_BYTES_MAX))]).is_ok());
    assert!(parse(&[("name:contains", &text(crate::fold::CONTAINS_BYTES_MAX + 1))]).is_err());
}
