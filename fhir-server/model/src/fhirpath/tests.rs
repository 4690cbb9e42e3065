//! Tables: an expression, and what it gives on a small patient with just enough type knowledge.

mod grammar;
mod types;
mod values;

use self::types::FewTypes;
use super::*;
use crate::date::DateTime;
use crate::json::{Doc, JsonLimits, Ref};

const PATIENT: &str = r##"{
  "resourceType": "Patient", "id": "p",
  "contained": [{ "resourceType": "Organization", "id": "o", "name": "Acme" }],
  "active": true,
  "_birthDate": { "extension": [{ "url": "urn:time", "valueDateTime": "1974-12-25T14:35:45-05:00" }] },
  "birthDate": "1974-12-25",
  "name": [
    { "use": "official", "family": "Chalmers", "given": ["Peter", null, "James"],
      "_given": [null, { "id": "second", "extension": [{ "url": "urn:why", "valueCode": "masked" }] }] },
    { "use": "usual", "given": ["Jim"] }
  ],
  "multipleBirthInteger": 3,
  "managingOrganization": { "reference": "#o" },
  "generalPractitioner": [{ "reference": "Practitioner/1" }, { "reference": "http://x/Organization/2/_history/1" }],
  "extension": [{ "url": "urn:weight", "valueQuantity": { "value": 4.0, "code": "g" } }]
}"##;

fn with<T>(text: &str, then: impl FnOnce(Context<'_>) -> T) -> T {
    let doc = Doc::parse(text, JsonLimits::default()).unwrap();
    let now = DateTime::instant("2026-08-01T12:30:00.000Z").unwrap();
    then(Context::new(&FewTypes, doc.root()).now(now))
}

fn run(expression: &str, cx: &Context<'_>) -> String {
    let shown = |item: &Item<'_>| match item.value(&FewTypes) {
        Some(value) => value.to_string(),
        None => item.type_name().to_owned(),
    };
    match parse(expression) {
        Err(e) => format!("syntax {}", e.at),
        Ok(expr) => match evaluate(&expr, cx.root_item(), cx) {
            Ok(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
            Err(e) => format!("error {}", e.at),
        },
    }
}

#[track_caller]
fn check(rows: &[(&str, &str)]) {
    with(PATIENT, |cx| {
        for (expression, expected) in rows {
            assert_eq!(run(expression, &cx), *expected, "{expression}");
        }
    });
}

#[test]
fn paths() {
    check(&[
        ("Patient.name.given", "Peter, string, James, Jim"),
        ("name.given.count()", "4"),
        ("Resource.id", "p"),
        ("Observation.id", ""),
        ("name[0].family", "Chalmers"),
        ("name[7].family", ""),
        ("name[-1].family", ""),
        ("Patient.multipleBirth", "3"),
        ("Patient.multipleBirth is integer", "true"),
        ("Patient.multipleBirthInteger", ""),
        ("nonsense", ""),
        ("resourceType", ""),
        ("name.where(use = 'usual').given", "Jim"),
        ("name.select(given.first() & '!')", "Peter!, Jim!"),
        ("name.given.select($index)", "0, 1, 2, 3"),
        ("name.exists(family.exists())", "true"),
        ("name.all(family.exists())", "false"),
        ("children().count()", "11"),
        ("descendants().ofType(code)", "official, usual, g, masked"),
        ("%resource.id & %context.id & %rootResource.id", "ppp"),
        ("%nothing", "error 0"),
    ]);
}

#[test]
fn primitives_have_two_places() {
    check(&[
        ("birthDate.extension('urn:time').value", "1974-12-25T14:35:45-05:00"),
        ("birthDate.extension.url", "urn:time"),
        ("birthDate.hasValue()", "true"),
        ("birthDate.value", "1974-12-25"),
        ("birthDate.value is System.Date", "true"),
        ("birthDate is date", "true"),
        ("birthDate is System.Date", "false"),
        ("name[0].given[1].hasValue()", "false"),
        ("name[0].given[1].id", "second"),
        ("name[0].given[1].extension('urn:why').value", "masked"),
        ("name[0].given[1].empty()", "false"),
        ("name[0].given[1] = 'x'", "false"),
        ("name[0].given[2]", "James"),
        ("name[0].given[0].getValue()", "Peter"),
        ("name.getValue()", ""),
    ]);
}

#[test]
fn types_of_items() {
    check(&[
        ("$this is Patient", "true"),
        ("$this is FHIR.DomainResource", "true"),
        ("$this is Observation", "false"),
        ("$this is Nonsense", "error 6"),
        ("active is boolean", "true"),
        ("active is Boolean", "false"),
        ("true is Boolean", "true"),
        ("name.first().use.as(code)", "official"),
        ("name.first().use.as(string)", ""),
        ("name.first().use is string", "true"),
        ("(name.given as string).count()", "error 12"),
        ("name.given.ofType(string).count()", "4"),
        ("contained.ofType(Organization).name", "Acme"),
        ("name.first().type().name", "HumanName"),
        ("1.type().namespace", "System"),
        ("extension.value.ofType(Quantity) = 4000 'mg'", "true"),
    ]);
    with(PATIENT, |cx| {
        let cx = cx.as_filters();
        assert_eq!(run("(name.given as string).count()", &cx), "4");
        assert_eq!(run("$this as Nonsense", &cx), "");
    });
    with(PATIENT, |cx| {
        let cx = cx.strict();
        assert_eq!(run("Patient.nonsense", &cx), "error 8");
        assert_eq!(run("(multipleBirth as Quantity).nonsense", &cx), "error 28");
    });
}

struct Shelf(Doc);

impl Resolver for Shelf {
    fn resolve(&self, reference: &str) -> Option<Ref<'_>> {
        (reference == "Practitioner/1").then(|| self.0.root())
    }
}

#[test]
fn references() {
    check(&[
        ("managingOrganization.resolve().name", "Acme"),
        ("generalPractitioner.resolve() is Practitioner", "error 30"),
        ("generalPractitioner.where(resolve() is Practitioner).reference", "Practitioner/1"),
        ("generalPractitioner.where(resolve() is Organization).count()", "1"),
        ("generalPractitioner.resolve().id", ""),
        ("'Patient/1'.resolve() is Patient", "true"),
        ("'Patient?identifier=1'.resolve() is Patient", "true"),
        ("'urn:uuid:1'.resolve()", ""),
        ("generalPractitioner.getReferenceKey()", "Practitioner/1, Organization/2"),
        ("generalPractitioner.getReferenceKey(Practitioner)", "Practitioner/1"),
        ("getResourceKey()", "Patient/p"),
    ]);
    let text = r#"{"resourceType":"Practitioner","id":"1","active":false}"#;
    let shelf = Shelf(Doc::parse(text, JsonLimits::default()).unwrap());
    let patient = Doc::parse(PATIENT, JsonLimits::default()).unwrap();
    let cx = Context::new(&FewTypes, patient.root()).resolver(&shelf);
    assert_eq!(run("generalPractitioner.resolve().id", &cx), "1");
}

#[test]
fn locations() {
    with(PATIENT, |cx| {
        for (expression, expected) in [
            ("$this", "Patient"),
            ("name[1].given", "Patient.name[1].given[0]"),
            ("name[0].given[2]", "Patient.name[0].given[2]"),
            ("multipleBirth", "Patient.multipleBirth"),
            ("birthDate.extension.value", "Patient.birthDate.extension[0].value"),
            ("contained.name", "Patient.contained[0].name"),
        ] {
            let found = evaluate(&parse(expression).unwrap(), cx.root_item(), &cx).unwrap();
            let json = found[0].json().unwrap();
            assert_eq!(location::location(cx.root, json, &FewTypes), expected);
        }
    });
}

#[test]
fn bounds() {
    with(PATIENT, |cx| {
        // Repeating what leads back to itself ends.
        assert_eq!(run("name.repeat($this).count()", &cx), "2");
        assert_eq!(run("repeat(%resource).count()", &cx), "1");
        let cx = cx.steps_max(1000);
        let expr = parse("repeat(descendants()).select(%resource.descendants()).count()").unwrap();
        let refused = evaluate(&expr, cx.root_item(), &cx).unwrap_err();
        assert!(refused.too_costly, "{refused}");
        assert_eq!(crate::Error::from(refused).kind, crate::Kind::TooCostly);
    });
    // An expression that makes ever new values is stopped too.
    check(&[("1.repeat($this + 1).count()", "error 2")]);
}
