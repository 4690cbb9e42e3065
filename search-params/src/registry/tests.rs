use fhir_model::json::{Doc, JsonLimits};

use super::*;
use crate::bases::Bases;
use crate::index_hash::{Form, IndexHasher};
use crate::parameters::ParameterKind;
use crate::settings::IndexSettings;

fn registry() -> Registry {
    Registry::load(Arc::new(Definitions::load().unwrap())).unwrap()
}

#[test]
fn columns_and_shared_indexes() {
    let registry = registry();
    let rows = [
        // type, parameter, its indexes and their roles
        ("Observation", "code", "code:PrimaryCode"),
        ("Observation", "combo-code", "code:PrimaryCode component-code:Plain"),
        ("Observation", "patient", "subject:Patient"),
        ("Observation", "subject", "subject:Patient"),
        ("Observation", "date", "date:PrimaryDate"),
        ("Patient", "birthdate", "birthdate:PrimaryDate"),
        ("Encounter", "patient", "subject:Patient"),
        ("Encounter", "date", "date:PrimaryDate"),
        ("Immunization", "vaccine-code", "vaccine-code:PrimaryCode"),
        ("Condition", "recorded-date", "recorded-date:PrimaryDate"),
        ("Appointment", "patient", "actor:Plain"),
        ("AuditEvent", "patient", "agent:Plain entity:Plain"),
        ("Patient", "deceased", "deceased:Plain"),
        ("Patient", "_tag", "_tag:Plain"),
    ];
    for (type_name, code, wanted) in rows {
        let this = registry.for_type(type_name).unwrap();
        let param = this.param(code).unwrap();
        let mut found: Vec<_> = param.indexes.iter().map(|i| format!("{}:{:?}", i.name, i.role)).collect();
        found.sort();
        assert_eq!(found.join(" "), wanted, "{type_name}.{code}");
    }
}

#[test]
fn every_parameter_has_an_index_or_a_reason() {
    let registry = registry();
    let mut without = Vec::new();
    for type_name in registry.definitions().resource_types() {
        for param in registry.for_type(type_name).unwrap().params() {
            let whole = param.composite.as_ref().is_some_and(|c| c.whole.is_some());
            if param.indexes.is_empty() && !whole {
                without.push(format!("{type_name}.{}", param.code));
            }
        }
    }
    // Extensions whose definitions are not part of R4 itself have values nonetheless; nothing else is without.
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn composites_are_made_of_their_parts() {
    let registry = registry();
    let rows = [
        // type, parameter, its parts within elements, the indexes of those of the whole resource
        ("Observation", "code-value-quantity", "", "code value-quantity"),
        ("Observation", "code-value-date", "", "code value-date value-date#1"),
        ("Observation", "component-code-value-quantity", "token quantity", ""),
        ("Observation", "combo-code-value-quantity", "token quantity", "code value-quantity"),
        ("Observation", "combo-code-value-concept", "token token", "code value-concept"),
        ("Group", "characteristic-value", "token token", ""),
        ("ValueSet", "context-type-quantity", "token quantity", ""),
        ("DocumentReference", "relationship", "reference token", ""),
        ("MolecularSequence", "chromosome-variant-coordinate", "token number number", ""),
    ];
    for (type_name, code, elements, whole) in rows {
        let this = registry.for_type(type_name).unwrap();
        let param = this.param(code).unwrap();
        let composite = param.composite.as_ref().unwrap();
        let element = param.indexes.first().and_then(|i| i.element.as_ref());
        let kinds: Vec<_> =
            element.iter().flat_map(|e| &e.parts).map(|p| format!("{:?}", p.kind).to_lowercase()).collect();
        let whole_of = composite.whole.iter().flatten().flat_map(|p| &p.indexes);
        let names: Vec<_> = whole_of.map(|i| &*i.name).collect();
        assert_eq!((kinds.join(" "), names.join(" ")), (elements.into(), whole.into()), "{type_name}.{code}");
    }
    let all: Vec<_> =
        registry.definitions().resource_types().map(|t| registry.for_type(t).unwrap()).collect();
    let composites = all.iter().flat_map(|t| t.params()).filter(|p| p.kind == ParameterKind::Composite);
    assert!(composites.clone().count() > 60);
    assert!(composites.clone().all(|p| p.composite.is_some()));
}

#[test]
fn an_observation_leaves_few_rows() {
    let registry = registry();
    let hasher = IndexHasher::new([1; 16]);
    let text = r#"{"resourceType":"Observation","id":"1","status":"final",
        "category":[{"coding":[{"system":"http://c","code":"vital-signs"}]}],
        "code":{"coding":[{"system":"http://loinc.org","code":"8302-2"},{"system":"http://s","code":"x"}]},
        "subject":{"reference":"Patient/p"},"encounter":{"reference":"Encounter/e"},
        "effectiveDateTime":"2015-03-04T10:00:00Z",
        "valueQuantity":{"value":180.5,"unit":"cm","system":"http://unitsofmeasure.org","code":"cm"}}"#;
    let doc = Doc::parse(text, JsonLimits::default()).unwrap();
    let settings = IndexSettings { bases: Bases::new(["http://us/fhir"]), ..IndexSettings::default() };
    let rows = registry.extract(&hasher, "Observation", doc.root(), &settings).unwrap();
    assert_eq!(rows.patient, Some(hasher.handle(registry.number("Patient").unwrap(), "p")));
    let (low, high) = rows.date.unwrap();
    assert_eq!(high - low, 999_999);
    assert!(rows.primary_code.is_some());
    // The second coding in the order of the first, the quantity, and the quantity by each coding.
    assert_eq!(rows.ordered.len(), 4);
    assert!(rows.ordered.iter().any(|o| o.value == low));
    assert!(rows.strings.is_empty());
    assert_eq!(rows.keys.len(), 1 + 3 + 6 + 1, "{:?}", rows.keys);
    let bit = |code: &str| registry.for_type("Observation").unwrap().param(code).unwrap().bit.unwrap();
    for code in ["code", "combo-code", "patient", "subject", "date", "value-quantity", "encounter", "status"]
    {
        assert_ne!(rows.present & (1 << bit(code)), 0, "{code}");
    }
    for code in ["component-code", "performer", "value-concept", "specimen"] {
        assert_eq!(rows.present & (1 << bit(code)), 0, "{code}");
    }
}

#[test]
fn deceased_is_a_truth() {
    let registry = registry();
    let hasher = IndexHasher::new([1; 16]);
    let key = |text: &str| hasher.key(registry.number("Patient").unwrap(), "deceased", Form::Code, &[text]);
    for (body, truth) in [
        ("", "false"),
        (r#","deceasedBoolean":false"#, "false"),
        (r#","deceasedBoolean":true"#, "true"),
        (r#","deceasedDateTime":"2015""#, "true"),
    ] {
        let doc =
            Doc::parse(format!(r#"{{"resourceType":"Patient"{body}}}"#), JsonLimits::default()).unwrap();
        let rows = registry.extract(&hasher, "Patient", doc.root(), &IndexSettings::default()).unwrap();
        assert!(rows.keys.contains(&key(truth)), "{body}");
        assert_eq!(rows.keys.len(), 1, "{body}");
    }
}

/// All token parameters of R4 by the types of their values: case matters to codes and identifiers, and not to texts.
#[test]
fn case_matters_to_codes_and_not_to_texts() {
    let registry = registry();
    let hasher = IndexHasher::new([7; 16]);
    let texts = ["string", "markdown", "ContactPoint"];
    let cased = [
        "code",
        "CodeableConcept",
        "Coding",
        "Identifier",
        "boolean",
        "uri",
        "url",
        "canonical",
        "id",
        "oid",
        "uuid",
        "Extension",
        "dateTime",
    ];
    let (mut of_texts, mut of_codes, mut unknown) = (0, 0, Vec::new());
    for type_name in registry.definitions().resource_types() {
        for param in registry.for_type(type_name).unwrap().params() {
            let types: Vec<&str> = param.indexes.iter().flat_map(|i| i.types.iter().map(|t| &**t)).collect();
            if param.kind != ParameterKind::Token || types.is_empty() {
                continue;
            }
            unknown.extend(
                types
                    .iter()
                    .filter(|t| !texts.contains(t) && !cased.contains(t))
                    .map(|t| format!("{type_name}.{}: {t}", param.code)),
            );
            let condition = |code: &str| {
                let term = crate::token::TokenTerm::parse(code).unwrap();
                format!("{:?}", crate::token::condition(&term, param, &hasher).simplify())
            };
            let is_folded = condition("Ab-C") == condition("aB-c");
            let truth = param.indexes.iter().any(|i| i.truth);
            let all_texts = !truth && types.iter().all(|t| texts.contains(t));
            assert_eq!(is_folded, all_texts, "{type_name}.{} of {types:?}", param.code);
            assert_ne!(condition("Ab-C"), condition("AbC"), "{type_name}.{}", param.code);
            of_texts += usize::from(all_texts);
            of_codes += usize::from(!all_texts);
        }
    }
    assert!(of_texts > 30 && of_codes > 700, "{of_texts} {of_codes}");
    unknown.dedup();
    assert_eq!(unknown, Vec::<String>::new());
}
