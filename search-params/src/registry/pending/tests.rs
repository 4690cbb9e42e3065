use std::sync::Arc;

use fhir_model::Kind;
use fhir_profiles::Definitions;

use super::*;
use crate::parse::tests::said_by;
use crate::registry::index_change::IsChanged;

fn registry() -> Registry {
    Registry::load(Arc::new(Definitions::load().unwrap())).unwrap()
}

fn change(changed: IsChanged) -> IndexChange {
    IndexChange::Parameters { changed, former: None }
}

fn of_patient(type_name: &str, param: &Param, code: &str) -> bool {
    type_name == "Patient" && *param.code == *code
}

#[test]
fn what_relies_on_changed_entries() {
    let registry = registry();
    let rows: [(IsChanged, &str, &str); 7] = [
        // `name` is made of all parts of a name, and phonetic of the same entries.
        (|t, p| of_patient(t, p, "name"), "Patient", "name phonetic"),
        // Others of the same element have entries of their own; `phone` and `email` share those of `telecom`.
        (|t, p| of_patient(t, p, "phone"), "Patient", "phone"),
        // Unions of an index, the composites of whole resources, of its elements, and those that share their parts.
        (
            |t, p| t == "Observation" && *p.code == *"code",
            "Observation",
            "code code-value-concept code-value-date code-value-quantity code-value-string combo-code combo-code-value-concept \
             combo-code-value-quantity component-code-value-concept component-code-value-quantity",
        ),
        // By its kind: composites are asked for by their parts.
        (|t, p| t == "RiskAssessment" && p.kind == ParameterKind::Number, "RiskAssessment", "probability"),
        (
            |_, p| p.kind == ParameterKind::Quantity,
            "Observation",
            "code-value-quantity combo-code-value-quantity combo-value-quantity component-code-value-quantity \
             component-value-quantity value-quantity",
        ),
        // A part of a composite within elements has a name of its own there.
        (
            |t, p| t == "Observation" && *p.code == *"component-code",
            "Observation",
            "combo-code combo-code-value-concept combo-code-value-quantity component-code component-code-value-concept \
             component-code-value-quantity",
        ),
        // Quantities are asked for by the entries of this composite as soon as a code stands beside them.
        (
            |t, p| t == "Observation" && *p.code == *"code-value-quantity",
            "Observation",
            "code code-value-concept code-value-date code-value-quantity code-value-string combo-code combo-code-value-concept \
             combo-code-value-quantity combo-value-quantity component-code-value-concept component-code-value-quantity value-quantity",
        ),
    ];
    for (changed, type_name, wanted) in rows {
        let codes = registry.for_type(type_name).unwrap().codes_relying_on(&[change(changed)]);
        assert_eq!(codes.iter().map(|code| &**code).collect::<Vec<_>>().join(" "), wanted, "{type_name}");
    }
}

#[test]
fn what_every_answer_relies_on_concerns_all() {
    let registry = registry();
    let rows: [(IsChanged, bool); 6] = [
        (|_, p| p.kind == ParameterKind::Reference, true),
        (|t, p| t == "Observation" && *p.code == *"subject", true),
        // The primary date of Observation, one that is none.
        (|t, p| t == "Observation" && *p.code == *"date", true),
        (|t, p| t == "Observation" && *p.code == *"value-date", false),
        (|_, p| p.kind == ParameterKind::String, false),
        (|_, p| p.kind == ParameterKind::Token, false),
    ];
    for (at, (changed, all)) in rows.into_iter().enumerate() {
        let concerned = registry.concerned(&[change(changed)]).unwrap();
        assert_eq!(concerned == Concerned::All, all, "{at}: {concerned:?}");
    }
    let beside = [change(|t, p| of_patient(t, p, "name")), IndexChange::Everything];
    assert_eq!(registry.concerned(&beside).unwrap(), Concerned::All);
}

/// Resources leave keys of what stands within them: all that may refer to a type are indexed anew with it.
#[test]
fn what_may_contain_a_changed_type_is_concerned() {
    let registry = registry();
    let named = |type_name: &str| match registry.concerned(&[change(|t, p| of_patient(t, p, "name"))]) {
        Ok(Concerned::Types(types)) => types.contains(type_name),
        other => panic!("{other:?}"),
    };
    for (type_name, is) in [
        ("Patient", true),
        ("Observation", true),
        ("Group", true),
        ("Endpoint", false),
        ("Medication", false),
    ] {
        assert_eq!(named(type_name), is, "{type_name}");
    }
}

/// Whatever decides which resources are found, and in which order; as long as those of the type, or of one that may contain
/// such a resource, are not done.
#[test]
fn searches_by_changed_parameters_are_refused() {
    let registry = registry();
    let changes = vec![change(|t, p| of_patient(t, p, "name") || of_patient(t, p, "gender"))];
    let pending = |types: &[&str]| {
        let of = |name: &&str| (Box::from(*name), Arc::new(Progress::default()));
        let types = types.iter().map(of).collect();
        registry
            .set_catalog(1, Vec::new(), Some(PendingChange { changes: changes.clone(), types, since: 1 }))
            .unwrap();
    };
    // the search, refused with Patients, with Observations, with neither to be done
    let rows = [
        ("Patient", "name=x", true, false),
        ("Patient", "name:missing=true", true, false),
        ("Patient", "phonetic=x", true, false),
        ("Patient", "gender:not=male", true, false),
        ("Patient", "_filter=gender eq male and not (_id eq a)", true, false),
        ("Patient", "family=x", false, false),
        ("Patient", "_sort=-gender", true, false),
        ("Patient", "_sort=family", false, false),
        ("Observation", "status=final", false, false),
        ("Observation", "subject:Patient.name=x", true, true),
        ("Observation", "patient.gender=male", true, true),
        ("Observation", "patient.family=x", false, false),
        ("Observation", "_filter=patient.name co x", true, true),
        ("Observation", "_sort=subject:Patient.gender", true, true),
        ("Observation", "has-member:Observation.subject:Patient.name=x", true, true),
        ("Organization", "_has:Patient:organization:gender=male", true, false),
        (
            "Organization",
            "_has:Patient:organization:_has:Observation:patient:subject:Patient.name=x",
            true,
            true,
        ),
        ("Group", "member:Patient.name=x", true, false),
        ("Practitioner", "name=x", false, false),
    ];
    for (type_name, search, by_patient, by_observation) in rows {
        for (types, refused) in
            [(["Patient"].as_slice(), by_patient), (&["Observation"], by_observation), (&[], false)]
        {
            pending(types);
            for strict in [false, true] {
                let said = said_by(&registry, &[type_name], search, strict).join(" ");
                assert_eq!(said.starts_with("503 "), refused, "{type_name}?{search} {types:?}: {said}");
                assert!(!refused || said.contains("` is being indexed: 0 % of the resources"), "{said}");
            }
        }
    }
    pending(&["Patient"]);
    assert!(registry.is_building("Patient") && !registry.is_building("Observation"));
    assert_eq!(registry.check_indexed("Patient", "gender").unwrap_err().kind, Kind::Unavailable);
    registry.check_indexed("Patient", "family").unwrap();
    let refused: Vec<String> =
        registry.refused_params().iter().map(|(name, param, _)| format!("{name}.{}", param.code)).collect();
    assert_eq!(refused, ["Patient.gender", "Patient.name", "Patient.phonetic"]);
    registry.set_catalog(1, Vec::new(), None).unwrap();
    assert!(!registry.is_building("Patient") && registry.refused_params().is_empty());
}
