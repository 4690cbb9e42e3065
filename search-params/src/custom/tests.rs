use std::sync::Arc;

use fhir_model::json::{Doc, JsonLimits};
use fhir_profiles::Definitions;
use serde_json::{Value, json};

use super::read::CODE_BYTES_MAX;
use super::*;
use crate::index_hash::{Form, IndexHasher};
use crate::parse::tests::said_by;
use crate::registry::{Registry, Set};
use crate::settings::IndexSettings;

fn registry() -> Registry {
    Registry::load(Arc::new(Definitions::load().unwrap())).unwrap()
}

/// An active parameter of Patient.
fn parameter(changes: Value) -> String {
    let mut parameter = json!({
        "resourceType": "SearchParameter", "url": "http://e/p", "name": "p", "status": "active", "description": "d",
        "code": "nick", "base": ["Patient"], "type": "string", "expression": "Patient.name.given",
    });
    for (name, value) in changes.as_object().unwrap() {
        parameter[name] = value.clone();
    }
    parameter.to_string()
}

/// It is refused at this place of the resource, with this part of a sentence.
fn refused(registry: &Registry, changes: &Value, place: &str, sentence: &str) {
    let error = read(&parameter(changes.clone()), registry).unwrap_err();
    let at = if place == "SearchParameter" { place.to_owned() } else { format!("SearchParameter.{place}") };
    assert_eq!(error.kind.status(), 422, "{changes}: {error}");
    assert_eq!(error.expression, [at], "{changes}: {error}");
    assert!(error.text.contains(sentence), "{changes}: {error}");
}

#[test]
fn what_is_not_understood_is_refused() {
    let registry = registry();
    let deep = format!("Patient.extension{}.value", ".value.extension".repeat(4));
    let long = "x".repeat(CODE_BYTES_MAX + 1);
    let rows = [
        // changes, where, a part of the sentence
        (json!({ "expression": "Patient.name.given +" }), "expression", "at byte"),
        (json!({ "expression": "Patient.name..given" }), "expression", "at byte 13"),
        (json!({ "expression": "Patient.name.count()" }), "expression", "at byte 13"),
        (json!({ "expression": "Patient.name.given.first()" }), "expression", "at byte 19"),
        (json!({ "expression": "Patient.nickname" }), "expression", "leads nowhere in Patient"),
        (json!({ "expression": "Observation.code" }), "expression", "leads nowhere in Patient"),
        (json!({ "base": ["Patient", "Group"] }), "expression", "leads nowhere in Group"),
        (json!({ "type": "date" }), "expression", "cannot look at string"),
        (
            json!({ "type": "quantity", "expression": "Patient.birthDate" }),
            "expression",
            "cannot look at date",
        ),
        (json!({ "expression": null }), "expression", "has an expression"),
        (json!({ "expression": deep }), "expression", "more than 2000 places"),
        (json!({ "expression": "Patient.name.where(`a b` = 'c').given" }), "expression", "tests for"),
        (json!({ "expression": "Patient.name.where(use = '\\u0000').given" }), "expression", "tests for"),
        (json!({ "type": "special" }), "type", "special"),
        (json!({ "base": ["Nonsense"] }), "base", "`Nonsense`"),
        (json!({ "base": [] }), "base", "which types"),
        (json!({ "code": "family" }), "code", "individual-family"),
        (json!({ "code": "_nick" }), "code", "`_`"),
        (json!({ "code": "_id" }), "code", "already"),
        (json!({ "code": "nick.name" }), "code", "`nick.name`"),
        (json!({ "code": "nick:exact" }), "code", "`nick:exact`"),
        (json!({ "code": "" }), "code", "64"),
        (json!({ "code": long }), "code", "64"),
        (json!({ "code": null }), "SearchParameter", "complete"),
        (json!({ "type": "nonsense" }), "SearchParameter", "complete"),
        (json!({ "url": "http://hl7.org/fhir/SearchParameter/individual-family" }), "url", "R4"),
    ];
    for (changes, place, sentence) in rows {
        refused(&registry, &changes, place, sentence);
    }
}

/// A composite of Patient.contact, with components of a definition of R4's (the last part of its url) and an expression.
fn composite(changes: Value, parts: &[(&str, &str)]) -> Value {
    let part = |(url, expression): &(&str, &str)| {
        let url = format!("http://hl7.org/fhir/SearchParameter/{url}");
        json!({ "definition": url, "expression": expression })
    };
    let mut composite = json!({
        "type": "composite", "expression": "Patient.contact",
        "component": parts.iter().map(part).collect::<Vec<_>>(),
    });
    composite.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    composite
}

#[test]
fn parts_that_are_not_understood_are_refused() {
    let registry = registry();
    let gender = ("individual-gender", "gender");
    let name = ("Patient-name", "name");
    let rows = [
        // changes, parts, where, a part of the sentence
        (json!({}), vec![gender], "component", "two to 4"),
        (json!({}), vec![gender; 5], "component", "not 5"),
        (json!({ "component": null }), vec![], "SearchParameter", "complete"),
        (json!({}), vec![gender, ("Patient-nonsense", "name")], "component[1].definition", "in force"),
        (json!({}), vec![("Location-near", "address"), gender], "component[0].definition", "special"),
        (
            json!({}),
            vec![gender, ("Observation-code-value-quantity", "name")],
            "component[1].definition",
            "a composite parameter",
        ),
        (json!({}), vec![gender, ("Patient-name", "name.count()")], "component[1].expression", "at byte 5"),
        (json!({}), vec![gender, ("Patient-name", "name..given")], "component[1].expression", "at byte"),
        (json!({}), vec![gender, ("Patient-name", "birthDate")], "component[1].expression", "leads nowhere"),
        (json!({}), vec![gender, ("Patient-name", "Patient.name")], "component[1].expression", "begins at"),
        (json!({}), vec![("individual-gender", "period"), name], "component[0].expression", "look at Period"),
        (
            json!({}),
            vec![("individual-gender", "gender.exists() and gender != false"), name],
            "component[0].expression",
            "whether",
        ),
        (json!({}), vec![("individual-birthdate", "period"), name], "component", "date and string"),
        (json!({ "expression": "Patient.deceased" }), vec![gender, name], "expression", "one type"),
        (json!({ "expression": "Patient.nonsense" }), vec![gender, name], "expression", "leads nowhere"),
        (json!({ "expression": null }), vec![gender, name], "expression", "has an expression"),
    ];
    for (changes, parts, place, sentence) in rows {
        let changes = composite(changes, &parts);
        refused(&registry, &changes, place, sentence);
    }
}

#[test]
fn composites_find_their_parts_or_get_them() {
    let base = registry();
    let gender = ("individual-gender", "gender");
    let born = ("individual-birthdate", "birthDate");
    let rows = [
        // changes, parts, names of the composite's indexes, of those of its parts in the whole resource
        (json!({}), vec![gender, ("Patient-name", "name")], "nick@1", ""),
        (json!({ "expression": "Patient" }), vec![gender, born], "", "gender birthdate"),
        // Several orders, one of them of a path that R4 has no parameter for.
        (
            json!({ "expression": "Patient" }),
            vec![born, ("Patient-name", "name.text"), ("individual-birthdate", "%resource.meta.lastUpdated")],
            "",
            "birthdate nick@1$1 nick@1$2",
        ),
    ];
    for (changes, parts, own, whole) in rows {
        let registry = base.fork();
        add(&registry, 1, &[(&composite(changes, &parts), Stage::Ready)]);
        let param = registry.for_type("Patient").unwrap().param("nick").unwrap().clone();
        let names = |indexes: &[Arc<crate::registry::Index>]| -> Vec<String> {
            indexes.iter().map(|i| i.name.to_string()).collect()
        };
        let of_whole = param.composite.as_ref().unwrap().whole.iter().flatten();
        let of_whole = of_whole.map(|part| names(&part.indexes).join("+")).collect::<Vec<_>>();
        assert_eq!((names(&param.indexes).join(" ").as_str(), of_whole.join(" ").as_str()), (own, whole));
    }
    // A path that leads nowhere leaves the others.
    let registry = base.fork();
    let some = composite(json!({ "expression": "Patient" }), &[gender, ("Patient-name", "name | alias")]);
    add(&registry, 1, &[(&some, Stage::Ready)]);
    let param = registry.for_type("Patient").unwrap().param("nick").unwrap().clone();
    assert_eq!(param.composite.as_ref().unwrap().whole.as_ref().unwrap()[1].indexes.len(), 1);
    // Each part has its own values, however unusual it is to compare them so.
    let registry = base.fork();
    let order = [("individual-gender", "system"), ("Patient-name", "value")];
    add(&registry, 1, &[(&composite(json!({ "expression": "Patient.identifier" }), &order), Stage::Ready)]);
    let param = registry.for_type("Patient").unwrap().param("nick").unwrap().clone();
    let types = param.composite.as_ref().unwrap().parts.iter().map(|part| &*part.indexes[0].types[0]);
    assert_eq!(types.collect::<Vec<_>>(), ["uri", "string"]);
    // One that goes, and something else of the same code: each has its own values.
    let registry = base.fork();
    let leaving = composite(json!({}), &[gender, ("Patient-name", "name")]);
    let text = json!({ "expression": "Patient.name.text" });
    add(&registry, 2, &[(&leaving, Stage::Retiring), (&text, Stage::Building)]);
    let doc = r#"{"resourceType": "Patient", "name": [{"text": "Ann"}]}"#;
    let doc = Doc::parse(doc, JsonLimits::default()).unwrap();
    let hasher = IndexHasher::new([1; 16]);
    let rows = registry
        .extract_by(Set::Replaced, &hasher, "Patient", doc.root(), &IndexSettings::default())
        .unwrap();
    let number = registry.number("Patient").unwrap();
    let present = |name: &str| rows.keys.contains(&hasher.key(number, name, Form::Present, &[]));
    assert_eq!((present("nick@1"), present("nick@2")), (false, true));
}

#[test]
fn what_a_composite_can_mean_has_an_end() {
    let registry = registry().fork();
    let any = ("Provenance-target", "other");
    add(&registry, 1, &[(&composite(json!({ "expression": "Patient.link" }), &[any; 3]), Stage::Ready)]);
    let ask = |value: &str| said_by(&registry, &["Patient"], &format!("nick={value}"), true).remove(0);
    assert_eq!(ask("Patient/1$Patient/1$1"), "Patient 1");
    let refused = ask("1$1$1");
    assert!(refused.contains("name the types"), "{refused}");
}

#[test]
fn what_indexes_like_it_may_take_its_place() {
    let registry = registry();
    let gender = ("individual-gender", "gender");
    let defined =
        |parts: &[(&str, &str)]| read(&parameter(composite(json!({}), parts)), &registry).unwrap().unwrap();
    let one = defined(&[gender, ("Patient-name", "name")]);
    let rows = [
        // the second part, alike
        (("Patient-name", "name"), true),
        (("individual-given", "name"), true),
        (("Patient-name", "name.text"), false),
        (("Patient-identifier", "name.text"), false),
    ];
    for (part, alike) in rows {
        assert_eq!(one.indexes_like(&defined(&[gender, part])), alike, "{part:?}");
    }
}

#[test]
fn what_is_understood() {
    let registry = registry();
    let rows = [
        (json!({}), "Patient"),
        (json!({ "code": "x".repeat(CODE_BYTES_MAX) }), "Patient"),
        (
            json!({ "base": ["Patient", "Person"], "expression": "Patient.name.given | Person.name.given" }),
            "Patient Person",
        ),
        (json!({ "type": "token", "expression": "Patient.extension('http://e').value" }), "Patient"),
        (
            json!({ "type": "date", "expression": "Patient.extension.where(url = 'http://e').value" }),
            "Patient",
        ),
        (json!({ "code": "family", "base": ["Group"], "expression": "Group.name" }), "Group"),
        // Not in force, whatever it says.
        (json!({ "status": "draft", "expression": "(" }), ""),
        (json!({ "status": "retired", "code": "family" }), ""),
    ];
    for (changes, types) in rows {
        let found = read(&parameter(changes.clone()), &registry).unwrap();
        assert_eq!(found.map(|d| d.types.join(" ")).unwrap_or_default(), types, "{changes}");
    }
    let all = read(
        &parameter(json!({ "base": ["Resource"], "type": "token", "expression": "Resource.id" })),
        &registry,
    );
    assert_eq!(all.unwrap().unwrap().types.len(), registry.definitions().resource_types().count());
}

#[test]
fn what_r4_says_changes_nothing() {
    let registry = registry();
    let family = registry.parameters().get("Patient", "family").unwrap();
    let mut again = serde_json::to_value(&**family).unwrap();
    again["status"] = json!("active");
    assert_eq!(read(&again.to_string(), &registry).unwrap(), None);
}

/// Adds parameters at a stage, under the numbers 1, 2 ...
fn add(registry: &Registry, version: i64, list: &[(&Value, Stage)]) {
    let custom = |(at, (changes, stage)): (usize, &(&Value, Stage))| {
        let defined = read(&parameter((*changes).clone()), registry).unwrap().unwrap();
        let number = i64::try_from(at).unwrap() + 1;
        let definition = Arc::new(defined.parameter);
        Arc::new(Custom {
            number,
            definition,
            types: defined.types,
            stage: *stage,
            since: 1,
            progress: Arc::default(),
        })
    };
    registry.set_catalog(version, list.iter().enumerate().map(custom).collect(), None).unwrap();
}

#[test]
fn stages_decide_what_is_extracted_and_searched() {
    let base = registry();
    let registry = base.fork();
    let doc = r#"{"resourceType": "Patient", "id": "1", "name": [{"given": ["Ann"]}], "gender": "male"}"#;
    let doc = Doc::parse(doc, JsonLimits::default()).unwrap();
    let hasher = IndexHasher::new([1; 16]);
    let number = registry.number("Patient").unwrap();
    let present = hasher.key(number, "nick@1", Form::Present, &[]);
    let has = |set| {
        let rows =
            registry.extract_by(set, &hasher, "Patient", doc.root(), &IndexSettings::default()).unwrap();
        rows.keys.contains(&present)
    };
    let plain = registry.extract(&hasher, "Patient", doc.root(), &IndexSettings::default()).unwrap();
    for (stage, searched, written, replaced) in [
        (Stage::Known, true, false, true),
        (Stage::Building, true, true, true),
        (Stage::Ready, true, true, true),
        (Stage::Retiring, false, false, true),
    ] {
        add(&registry, 7, &[(&json!({}), stage)]);
        assert_eq!(registry.for_type("Patient").unwrap().param("nick").is_some(), searched, "{stage:?}");
        assert_eq!((has(Set::Written), has(Set::Replaced)), (written, replaced), "{stage:?}");
        assert_eq!(registry.is_building("Patient"), stage == Stage::Building);
        let param = registry.for_type("Patient").unwrap().param("nick").cloned();
        let building = matches!(stage, Stage::Known | Stage::Building);
        assert_eq!(param.is_some_and(|p| p.building.is_some()), building, "{stage:?}");
    }
    assert_eq!(registry.version(), 7);
    assert!(base.for_type("Patient").unwrap().param("nick").is_none(), "another database has its own");
    registry.set_catalog(8, Vec::new(), None).unwrap();
    let after = registry
        .extract_by(Set::Replaced, &hasher, "Patient", doc.root(), &IndexSettings::default())
        .unwrap();
    assert_eq!(after, plain);
}

#[test]
fn what_is_added_changes_nothing_for_the_rest() {
    let base = registry();
    let registry = base.fork();
    // A code that gets a column where R4 has it, one that stands before others, one that looks where R4's look.
    let date = json!({ "code": "date", "type": "date", "expression": "Patient.birthDate" });
    let first = json!({ "code": "a", "type": "token", "expression": "Patient.maritalStatus" });
    let same = json!({ "code": "sex", "type": "token", "expression": "Patient.gender" });
    let stages = [(&date, Stage::Ready), (&first, Stage::Ready), (&same, Stage::Ready)];
    add(&registry, 1, &stages);
    let (old, new) = (base.for_type("Patient").unwrap(), registry.for_type("Patient").unwrap());
    for param in old.params() {
        let now = new.param(&param.code).unwrap();
        let what = |p: &crate::param::Param| {
            let indexes = p.indexes.iter().map(|i| (i.name.clone(), i.role)).collect::<Vec<_>>();
            (p.bit, p.name.clone(), indexes)
        };
        assert_eq!(what(param), what(now), "{}", param.code);
    }
    let names =
        |code: &str| new.param(code).unwrap().indexes.iter().map(|i| i.name.to_string()).collect::<Vec<_>>();
    assert_eq!((names("sex"), names("a")), (vec!["gender".to_owned()], vec!["a@2".to_owned()]));
    // One that goes and one that takes its place under the same code.
    let other = json!({ "expression": "Patient.name.family" });
    add(&registry, 2, &[(&json!({}), Stage::Retiring), (&other, Stage::Known)]);
    assert_eq!(&*registry.for_type("Patient").unwrap().param("nick").unwrap().name, "nick@2");
}

#[test]
fn progress_is_below_a_hundred() {
    let progress = Progress::default();
    for (done, all, percent) in
        [(0, 0, 0), (0, 10, 0), (1, 3, 33), (10, 10, 99), (20, 10, 99), (i64::MAX, 7, 99)]
    {
        progress.set(done, all);
        assert_eq!(progress.percent(), percent, "{done} of {all}");
    }
}
