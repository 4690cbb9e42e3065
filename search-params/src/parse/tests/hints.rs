//! What finds nothing by a slip of the hand is found, refused, or said: never a silent empty answer.

use std::sync::Arc;

use super::said_by;
use crate::Registry;

#[test]
fn slips_are_found_refused_or_said() {
    let registry = Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap();
    // type, parameters, a part of the warning (`w ..`) or of the error (`400 ..`)
    let rows = [
        ("Patient", "gender=Male", "w `Male` is none of its codes; they are male, female, other, unknown"),
        ("Observation", "status=Final", "w `Final` is none of its codes"),
        ("Patient", "gender=http://hl7.org/fhir/gender|male", "w its codes are those of"),
        ("Patient", "active=True", "400 `active` is true or false, not `True`"),
        ("Patient", "active:not=no", "400 `active` is true or false, not `no`"),
        ("Patient", "deceased=yes", "400 `deceased` is true or false, not `yes`"),
        ("Patient", "active:missing=True", "400 `:missing` is true or false"),
        ("Patient", "_id=Patient/1", "w `_id`: `Patient/1` is no id"),
        ("Observation", "subject=patient/1", "w did you mean `Patient/..`?"),
        ("Observation", "subject=Pateint/1", "w `Pateint` is not a resource type; did you mean `Patient`?"),
        ("Observation", "subject=Medication/1", "w it never refers to a Medication"),
        ("Observation", "patient=Practitioner/1", "w it never refers to a Practitioner"),
        ("Observation", "subject:patient=1", "400 does not take the modifier `:patient` here, but :missing"),
        ("Observation", "subject:Medication=1", "400 never refers to a Medication, but to"),
        ("Observation", "code=http://loinc.org", "w any code of a system is written `http://loinc.org|`"),
        ("Observation", "code=https://loinc.org|1-8", "w known as `http://loinc.org`"),
        ("Observation", "code=http://loinc.org/|1-8", "w known as `http://loinc.org`"),
        ("Observation", "code=http://www.snomed.info/sct|1", "w known as `http://snomed.info/sct`"),
        ("Observation", "code=http://loinc.org%7C1-8", "w encoded twice"),
        ("Observation", "code=a|b|c", "400 a bar within a value is written \\|"),
        ("Observation", "code=|", "400 system|code"),
        ("Patient", "name=Smi*", "w `*` stands for itself"),
        ("Patient", "identifier=12*", "w `*` stands for itself"),
        ("Observation", "value-quantity=5|http://unitsofmeasure.org|mgg", "w `mgg` is not a UCUM unit"),
        (
            "Observation",
            "value-quantity=5|https://unitsofmeasure.org|mg",
            "w known as `http://unitsofmeasure.org`",
        ),
        ("Observation", "value-quantity=5|mg", "400 5.4||mg"),
        ("Observation", "value-quantity=>5", "400 prefix (eq, ne, gt"),
        ("Patient", "birthdate=2020-1-1", "400 `2020-1-1` is not a date such as 2026"),
        ("Patient", "birthdate=>=2020", "400 prefix (eq, ne, gt"),
        ("Patient", "birthdate=31.01.2020", "400 2026-01-31"),
        ("Patient", "_lastUpdated=2020-01-01T10:00 03", "400 +03:00"),
        ("Patient", "_sort=birthDate", "400 did you mean `birthdate`?"),
        ("Patient", "_sort:desc=birthdate", "400 `_sort=-birthdate`"),
        (
            "Patient",
            "birthDate=2020",
            "w `birthDate` is not a search parameter of Patient; did you mean `birthdate`?",
        ),
        ("Patient", "_lastupdated=2020", "w did you mean `_lastUpdated`?"),
        ("Patient", "familly=x", "w did you mean `family`?"),
        ("Patient", "name=", "w `name` has no value"),
        ("Patient", "name=a,,b", "400 a comma within a value is written \\,"),
        ("Patient", "_count=5&_count=6", "w is there more than once"),
        ("Patient", "name:exacct=x", "400 but :missing, :exact, :contains"),
        ("Patient", "identifier= 254700", "w write + as %2B"),
        ("Patient", "identifier=http://x| 254700", "w `http://x|+254700` is meant"),
        ("Patient", "_list=List/1", "400 `1` of `List/1`"),
        ("Location", "near=1", "400 such as -1.29|36.82|11.2|km"),
        ("Observation", "code-value-quantity=1-8", "400 code$value"),
        ("Patient", "_filter=name xx \"a\"", "400 eq, ne, co, sw and pr"),
        ("Patient", "_has:Observation:patient:kode=1", "400 did you mean `code`?"),
    ];
    for (type_name, text, wanted) in rows {
        let said = said_by(&registry, &[type_name], text, false);
        let told = match wanted.strip_prefix("w ") {
            Some(part) => said.iter().any(|line| line.contains(part)) && !said[0].starts_with("400"),
            None => said[0].starts_with("400") && said[0].contains(wanted.strip_prefix("400 ").unwrap()),
        };
        assert!(told, "{type_name}?{text}: {said:?}");
    }
    let silent = [
        ("Patient", "gender=male"),
        ("Patient", "gender=male, female"),
        ("Patient", "gender:not=http://hl7.org/fhir/administrative-gender|male"),
        ("Patient", "active=true"),
        ("Patient", "_id=a, b"),
        ("Patient", "phone= 254700"),
        ("Patient", "phone=phone| 254700"),
        ("Patient", "name=Smith, Jones"),
        ("Observation", "subject=Patient/1, Group/2"),
        ("Observation", "subject=http://example.org/fhir/Patient/1"),
        ("Observation", "subject=urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        ("Observation", "code=http://loinc.org|1-8, 2-9"),
        ("Observation", "value-quantity=37|http://unitsofmeasure.org|Cel"),
        ("Observation", "date= ge2020, le2019"),
        ("Patient", "identifier=https://registry.example.org/|12"),
        ("QuestionnaireResponse", "questionnaire=http://example.org/q|1"),
        ("Patient", "birthdate=2020-01-01T10:00:00 03:00"),
    ];
    for (type_name, text) in silent {
        for strict in [false, true] {
            let said = said_by(&registry, &[type_name], text, strict);
            let pairs = text.split('&').count();
            assert_eq!(said.len(), 1 + pairs, "{type_name}?{text}: {said:?}");
            assert!(!said[0].starts_with("400"), "{type_name}?{text}: {said:?}");
        }
    }
    // A phone's number is looked for with and without the plus that a blank may have been.
    let strict = said_by(&registry, &["Patient"], "identifier= 254700", true);
    assert!(strict[0].starts_with("400") && strict[0].contains("%2B"), "{strict:?}");
}

/// What can be meant so is said when nothing is found alone.
#[test]
fn guesses_are_no_warnings() {
    let registry = Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap();
    let rows = [
        ("Condition", "code=http://hl7.org/fhir/sid/icd-10|G63.2*", 0, 1),
        ("Patient", "identifier=http://example.org/people/1", 0, 1),
        ("MessageHeader", "event=http://example.org/fhir/admit", 0, 1),
        ("Observation", "patient.identifier=12*&_filter=code eq \"http://loinc.org\"", 0, 2),
        ("Patient", "gender=Male", 1, 0),
        ("Observation", "subject=Medication/1", 1, 0),
    ];
    for (type_name, text, warnings, guesses) in rows {
        let query = super::chain::parse(&registry, &format!("{type_name}?{text}")).unwrap();
        assert_eq!((query.warnings.len(), query.guesses.len()), (warnings, guesses), "{text}: {query:?}");
    }
}

#[test]
fn a_search_of_all_types_says_what_it_lacks() {
    let registry = Registry::load(Arc::new(fhir_profiles::Definitions::load().unwrap())).unwrap();
    let all: Vec<&str> = registry.definitions().resource_types().collect();
    let said = said_by(&registry, &all, "code=1", false).pop().unwrap();
    assert!(said.contains("of all types that are searched") && said.contains("such as `_type="), "{said}");
    let said = said_by(&registry, &all, "nonsense=1", false).pop().unwrap();
    assert!(said.contains("of any type that is searched"), "{said}");
    let said = said_by(&registry, &all, "_lastUpdate=2020", false).pop().unwrap();
    assert!(said.contains("did you mean `_lastUpdated`?"), "{said}");
    let said = said_by(&registry, &["Patient", "Observation"], "_sort=gender", false).pop().unwrap();
    assert!(said.contains("as of Observation it is none") && said.contains("_type=Patient"), "{said}");
}
