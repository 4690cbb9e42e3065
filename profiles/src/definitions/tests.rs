//! What R4 says, looked up.

use fhir_model::types::{Strength, Types};

use super::Definitions;
use crate::code_system::Content;
use crate::invariant::Severity;

fn r4() -> Definitions {
    Definitions::load().unwrap()
}

#[test]
fn elements_and_their_types() {
    const ROWS: &[(&str, &str, &str)] = &[
        // type, element, its types; `*` when it repeats
        ("Patient", "id", "id"),
        ("Patient", "birthDate", "date"),
        ("Patient", "name", "HumanName*"),
        ("Patient", "contact", "Patient.contact*"),
        ("Patient", "contained", "Resource*"),
        ("Patient", "deceased", "boolean dateTime"),
        ("Patient.contact", "name", "HumanName"),
        ("Patient.contact", "id", "string"),
        ("Patient.contact", "modifierExtension", "Extension*"),
        ("Questionnaire", "item", "Questionnaire.item*"),
        ("Questionnaire.item", "item", "Questionnaire.item*"),
        ("Observation", "component", "Observation.component*"),
        ("Observation.component", "referenceRange", "Observation.referenceRange*"),
        ("Bundle.entry", "link", "Bundle.link*"),
        ("Bundle.entry", "resource", "Resource"),
        ("Parameters.parameter", "part", "Parameters.parameter*"),
        ("Timing", "repeat", "Timing.repeat"),
        ("HumanName", "given", "string*"),
        ("Extension", "url", "uri"),
        ("Narrative", "div", "xhtml"),
        ("string", "value", "string"),
        ("date", "value", "date"),
        ("Age", "value", "decimal"),
        ("Patient", "value", ""),
        ("Patient", "valueQuantity", ""),
        ("Observation", "valueQuantity", ""),
        ("xhtml", "extension", ""),
        ("Nothing", "id", ""),
    ];
    let r4 = r4();
    for (type_name, name, expected) in ROWS {
        let found = r4.element(type_name, name);
        let types = found.map(|e| e.types.join(" ") + if e.many { "*" } else { "" }).unwrap_or_default();
        assert_eq!(types, *expected, "{type_name}.{name}");
    }
    let value = r4.element("Observation", "value").unwrap();
    assert!(value.choice && value.types.len() == 11);
    assert_eq!(r4.element("Extension", "value").unwrap().types.len(), 50);
}

#[test]
fn json_keys() {
    type Row<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>);
    const ROWS: &[Row] = &[
        // type, key, element and type
        ("Observation", "valueQuantity", Some(("value", "Quantity"))),
        ("Observation", "valueDateTime", Some(("value", "dateTime"))),
        ("Observation", "valueCodeableConcept", Some(("value", "CodeableConcept"))),
        ("Observation", "valueMoney", None),
        ("Observation", "value", None),
        ("Observation", "valuequantity", None),
        ("Extension", "valueBase64Binary", Some(("value", "base64Binary"))),
        ("Patient", "birthDate", Some(("birthDate", "date"))),
        ("Patient", "_birthDate", None),
        ("Patient", "contact", Some(("contact", "Patient.contact"))),
        ("Patient", "resourceType", None),
    ];
    let r4 = r4();
    for (type_name, key, expected) in ROWS {
        let found = r4.json_element(type_name, key).map(|(element, type_name)| (&*element.name, type_name));
        assert_eq!(found, *expected, "{type_name} {key}");
    }
}

/// No two elements of a type share a JSON key, and every key is found again.
#[test]
fn every_json_key_leads_to_its_element() {
    let r4 = r4();
    for type_name in r4.type_names() {
        for element in r4.elements(type_name) {
            for of in &element.types {
                let mut key = element.name.to_string();
                if element.choice {
                    let mut capital = of.to_string();
                    capital[..1].make_ascii_uppercase();
                    key.push_str(&capital);
                }
                let found = r4.json_element(type_name, &key);
                assert_eq!(found, Some((element, &**of)), "{type_name} {key}");
            }
        }
    }
}

/// Every type that an element names is known, and every target is a resource type.
#[test]
fn nothing_leads_outside() {
    let r4 = r4();
    for type_name in r4.type_names() {
        assert!(r4.base(type_name).is_none_or(|base| r4.elements(base).len() >= 2), "{type_name}");
        for element in r4.elements(type_name) {
            for of in &element.types {
                assert!(!r4.elements(of).is_empty(), "{type_name}.{} has the type {of}", element.name);
            }
            for target in &element.targets {
                assert!(r4.is_resource(target), "{type_name}.{} points at {target}", element.name);
            }
        }
    }
}

#[test]
fn kinds_and_ancestors() {
    const ROWS: &[(&str, &str, bool)] = &[
        ("Age", "Quantity", true),
        ("Patient", "DomainResource", true),
        ("Patient", "Resource", true),
        ("Bundle", "Resource", true),
        ("Bundle", "DomainResource", false),
        ("code", "string", true),
        ("positiveInt", "integer", true),
        ("url", "uri", true),
        ("dateTime", "date", false),
        ("Patient.contact", "BackboneElement", true),
        ("Patient.contact", "Element", true),
        ("Timing.repeat", "BackboneElement", false),
        ("Dosage", "BackboneElement", true),
    ];
    let r4 = r4();
    for (type_name, ancestor, expected) in ROWS {
        assert_eq!(r4.is_a(type_name, ancestor), *expected, "{type_name} is a {ancestor}");
    }
    assert_eq!(r4.base("Resource"), None);
    assert_eq!(r4.base("Element"), None);
    for (name, resource, primitive) in [
        ("Patient", true, false),
        ("Resource", false, false),
        ("DomainResource", false, false),
        ("HumanName", false, false),
        ("Patient.contact", false, false),
        ("code", false, true),
        ("xhtml", false, true),
        ("Nothing", false, false),
    ] {
        assert_eq!((r4.is_resource(name), r4.is_primitive(name)), (resource, primitive), "{name}");
    }
    assert_eq!(r4.type_names().filter(|name| r4.is_primitive(name)).count(), 20);
}

/// The numbers are in stored rows: those of R4 must never change.
#[test]
fn resource_types_are_numbered_for_ever() {
    let r4 = r4();
    assert_eq!(r4.resource_types().len(), 146);
    assert!(r4.resource_types().is_sorted());
    for (name, number) in
        [("Account", 1), ("Bundle", 12), ("Observation", 96), ("Patient", 103), ("VisionPrescription", 146)]
    {
        assert_eq!(r4.type_number(name), Some(number), "{name}");
        assert_eq!(r4.type_name(number), Some(name), "{number}");
    }
    for name in ["Resource", "HumanName", "Patient.contact", "Nothing"] {
        assert_eq!(r4.type_number(name), None, "{name}");
    }
    assert_eq!((r4.type_name(0), r4.type_name(147)), (None, None));
}

#[test]
fn cardinality_targets_bindings_flags() {
    let r4 = r4();
    let gender = r4.element("Patient", "gender").unwrap();
    assert_eq!(gender.value_set.as_deref(), Some("http://hl7.org/fhir/ValueSet/administrative-gender"));
    assert_eq!(gender.strength, Some(Strength::Required));
    assert!(gender.summary && !gender.modifier && gender.min == 0);
    assert!(r4.element("Patient", "active").unwrap().modifier);
    assert_eq!(r4.element("Observation", "code").unwrap().min, 1);
    let subject = r4.element("Observation", "subject").unwrap();
    assert_eq!(subject.targets, ["Patient", "Group", "Device", "Location"].map(Box::from));
    assert!(r4.element("Observation", "focus").unwrap().targets.is_empty(), "any resource");
    assert_eq!(r4.element("Patient", "maritalStatus").unwrap().strength, Some(Strength::Extensible));
}

#[test]
fn systems_behind_codes() {
    const ROWS: &[(&str, &str, Option<&str>)] = &[
        ("Patient", "gender", Some("http://hl7.org/fhir/administrative-gender")),
        ("Observation", "status", Some("http://hl7.org/fhir/observation-status")),
        ("Timing.repeat", "periodUnit", Some("http://unitsofmeasure.org")),
        ("Attachment", "contentType", Some("urn:ietf:bcp:13")),
        // Two systems.
        ("Timing.repeat", "when", None),
        // Preferred.
        ("Patient", "language", None),
        // No code; no binding; no element.
        ("Patient", "maritalStatus", None),
        ("Patient", "name", None),
        ("Patient", "nothing", None),
    ];
    let r4 = r4();
    for (type_name, element, system) in ROWS {
        assert_eq!(r4.system_of_code_element(type_name, element), *system, "{type_name}.{element}");
    }
}

#[test]
fn invariants_of_a_type_and_its_ancestors() {
    const ROWS: &[(&str, &str)] = &[
        // type, invariants (`key@element`)
        ("Patient", "dom-2 dom-3 dom-4 dom-5 dom-6"),
        ("Patient.contact", "pat-1 ele-1"),
        ("Observation", "obs-6 obs-7 dom-2 dom-3 dom-4 dom-5 dom-6"),
        ("Observation.referenceRange", "obs-3 sqty-1@low sqty-1@high ele-1"),
        ("Age", "age-1 qty-3 ele-1"),
        ("Narrative", "txt-1@div txt-2@div ele-1"),
        ("Extension", "ext-1 ele-1"),
        ("string", "ele-1"),
        ("Bundle", "bdl-1 bdl-2 bdl-3 bdl-4 bdl-7 bdl-9 bdl-10 bdl-11 bdl-12"),
        ("Nothing", ""),
    ];
    let r4 = r4();
    for (type_name, expected) in ROWS {
        let mut found: Vec<String> = Vec::new();
        for invariant in r4.invariants(type_name) {
            let place = invariant.element.as_ref().map(|e| format!("@{e}")).unwrap_or_default();
            found.push(format!("{}{place}", invariant.key));
        }
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{type_name}");
    }
    let dom_6 = r4.invariants("Patient").find(|i| *i.key == *"dom-6").unwrap();
    assert_eq!(dom_6.severity, Severity::Warning);
    assert_eq!(dom_6.expression.as_deref(), Some("text.`div`.exists()"));
}

#[test]
fn regular_expressions_of_primitives() {
    let r4 = r4();
    assert_eq!(r4.regex("id"), Some(r"[A-Za-z0-9\-\.]{1,64}"));
    assert_eq!(r4.regex("boolean"), Some("true|false"));
    assert_eq!(r4.regex("xhtml"), None);
    assert_eq!(r4.regex("HumanName"), None);
    assert_eq!(r4.type_names().filter(|name| r4.regex(name).is_some()).count(), 19);
}

#[test]
fn code_systems() {
    let r4 = r4();
    let gender = r4.code_system("http://hl7.org/fhir/administrative-gender").unwrap().unwrap();
    assert_eq!(gender.concepts.len(), 4);
    assert_eq!(gender.concept("female").unwrap().display.as_deref(), Some("Female"));
    assert!(gender.concept("Female").is_none());
    assert_eq!(gender.content, Content::Complete);
    let relations = r4.code_system("http://terminology.hl7.org/CodeSystem/v3-RoleCode").unwrap().unwrap();
    assert!(relations.subsumes("FAMMEMB", "MTH"));
    assert!(!relations.subsumes("MTH", "FAMMEMB"));
    assert!(r4.code_system("http://example.org/none").unwrap().is_none());
}

#[test]
fn value_sets() {
    let r4 = r4();
    let gender = r4.value_set("http://hl7.org/fhir/ValueSet/administrative-gender").unwrap().unwrap();
    assert_eq!(
        gender.compose.include[0].system.as_deref(),
        Some("http://hl7.org/fhir/administrative-gender")
    );
    assert_eq!(gender.expansion.as_ref().unwrap().contains.len(), 4);
    let units = r4.value_set("http://hl7.org/fhir/ValueSet/units-of-time").unwrap().unwrap();
    assert_eq!(units.compose.include[0].concept.len(), 7);
    assert!(r4.value_set("http://hl7.org/fhir/administrative-gender").unwrap().is_none());
}

/// The whole archive can be read, and under the URL of the index stands the resource of that URL.
#[test]
fn all_terminology_decodes() {
    let r4 = r4();
    let (mut systems, mut sets) = (0, 0);
    for url in r4.code_system_urls() {
        assert_eq!(&*r4.code_system(url).unwrap().unwrap().url, url);
        systems += 1;
    }
    for url in r4.value_set_urls() {
        assert_eq!(&*r4.value_set(url).unwrap().unwrap().url, url);
        sets += 1;
    }
    assert_eq!((systems, sets), (1213, 3213));
}

/// Every required binding leads to a value set that is here.
#[test]
fn required_value_sets_are_here() {
    let r4 = r4();
    let mut missing = std::collections::BTreeSet::new();
    for type_name in r4.type_names() {
        for element in r4.elements(type_name).iter().filter(|e| e.strength == Some(Strength::Required)) {
            let url = element.value_set.as_deref().unwrap();
            if r4.value_set(url).unwrap().is_none() {
                missing.insert(url);
            }
        }
    }
    // LOINC's answer lists are LOINC's to publish (MolecularSequence, "DNA change type").
    assert_eq!(missing.into_iter().collect::<Vec<_>>(), ["http://loinc.org/vs/LL379-9"]);
}
