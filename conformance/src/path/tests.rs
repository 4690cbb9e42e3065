//! The language of paths, by example.

use super::{Path, Test};

const BUNDLE: &str = r#"{
  "resourceType": "Bundle", "total": 2,
  "entry": [
    {"search": {"mode": "match"}, "resource": {"resourceType": "Patient", "id": "a", "active": true,
      "name": [{"family": "Ä (x)", "given": ["P", null, "Q"]}],
      "extension": [{"url": "u:1", "valueDecimal": 1.50}]}},
    {"search": {"mode": "include"}, "resource": {"resourceType": "Organization", "id": "b",
      "partOf": {"reference": "Organization/c"}}}
  ]}"#;

#[test]
fn tests_on_a_bundle() {
    let bundle = serde_json::from_str(BUNDLE).unwrap();
    let rows: &[(&str, bool)] = &[
        ("Bundle.total = 2", true),
        ("Bundle.total = 2.0", false), // numbers are their text
        ("Bundle.total >= 2", true),
        ("Bundle.total < 2", false),
        ("Bundle.total != 3", true),
        ("Patient.total = 2", false), // another type
        ("body.total = 2", true),
        ("Bundle.entry.count() = 2", true),
        (r#"Bundle.entry.resource.id = ["a","b"]"#, true),
        (r#"Bundle.entry.resource.id = ["b","a"]"#, false),
        (r#"Bundle.entry.resource.id ~= ["b","a"]"#, true),
        (r#"Bundle.entry.resource.id ~= ["a"]"#, false),
        (r#"Bundle.entry.resource.id contains "a""#, true),
        (r#"Bundle.entry.resource.id !contains "c""#, true),
        (r#"Bundle.entry.resource.id !contains ["c","a"]"#, false),
        (r#"Bundle.entry.where(search.mode = "match").resource.id = "a""#, true),
        (r#"Bundle.entry.resource.ofType(Organization).id = "b""#, true),
        (r#"Bundle.entry.resource.partOf.resolve() = "c""#, true),
        (r#"Bundle.entry[1].resource.id = "b""#, true),
        (r#"Bundle.entry[2].resource.id = "b""#, false),
        ("Bundle.entry[2].empty()", true),
        ("Bundle.entry.resource.name.given.count() = 2", true), // null is no value
        ("Bundle.entry.resource.active", true),
        ("Bundle.entry.resource.active.not()", false),
        ("Bundle.entry.exists()", true),
        ("Bundle.link.exists()", false),
        ("Bundle.link.exists().not()", true),
        (r#"Bundle.entry.exists(search.mode = "include")"#, true),
        (r#"Bundle.entry.all(search.mode = "match")"#, false),
        (r#"Bundle.entry.resource.extension("u:1").valueDecimal = 1.50"#, true),
        (r#"Bundle.entry.resource.extension("u:1").valueDecimal = 1.5"#, false),
        (r#"Bundle.entry.resource.where(name.family = "Ä (x)").id = "a""#, true),
        ("Bundle.entry.resource.id ~ ^[ab]$", true),
        ("Bundle.entry.resource.id ~ ^a$", false), // every one must match
        ("Bundle.link.url ~ .", false),            // nothing is no match
        ("Bundle.entry.resource.id !~ ^c$", true),
        (r#"Bundle.entry.resource.name.family.startsWith("Ä")"#, true),
        ("Bundle.entry.resource.id.isDistinct()", true),
        ("Bundle.entry.select(search.mode).count() = 2", true),
    ];
    for (text, expected) in rows {
        assert_eq!(Test::parse(text).unwrap().holds(&bundle), *expected, "{text}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    for text in ["", "Bundle.", "Bundle.nothing()", "Bundle.where(a", "Bundle[x]", "Bundle.total = ", "a b"] {
        assert!(Test::parse(text).is_err(), "{text}");
    }
    assert!(Path::parse("Bundle.total = 1").is_err());
}
