use super::*;
use crate::types::Element;

/// Patient and Observation, and nothing about them.
struct Two;

impl Types for Two {
    fn element(&self, _: &str, _: &str) -> Option<&Element> {
        None
    }
    fn elements(&self, _: &str) -> &[Element] {
        &[]
    }
    fn base(&self, _: &str) -> Option<&str> {
        None
    }
    fn is_resource(&self, type_name: &str) -> bool {
        matches!(type_name, "Patient" | "Observation")
    }
    fn is_primitive(&self, _: &str) -> bool {
        false
    }
}

fn key() -> Key {
    Key::new("Patient", "1")
}

#[test]
fn every_interaction_has_its_path() {
    use Interaction as I;
    let rows = [
        ("GET metadata", I::Capabilities),
        ("POST ", I::Bundle),
        ("POST /", I::Bundle),
        ("GET ", I::SearchSystem),
        ("POST _search", I::SearchSystem),
        ("GET _history", I::HistorySystem),
        ("GET Patient/1", I::Read(key())),
        ("HEAD Patient/1", I::Read(key())),
        ("GET /Patient/1/", I::Read(key())),
        ("GET Patient/%31", I::Read(key())),
        ("PUT Patient/1", I::Update(key())),
        ("PATCH Patient/1", I::Patch(key())),
        ("DELETE Patient/1", I::Delete(key())),
        ("GET Patient/1/_history/3", I::Vread(key(), 3)),
        ("GET Patient/1/_history", I::HistoryInstance(key())),
        ("GET Patient/_history", I::HistoryType("Patient".into())),
        ("POST Patient", I::Create("Patient".into())),
        ("PUT Patient", I::ConditionalUpdate("Patient".into())),
        ("PATCH Patient", I::ConditionalPatch("Patient".into())),
        ("DELETE Patient", I::ConditionalDelete("Patient".into())),
        ("GET Patient", I::SearchType("Patient".into())),
        ("POST Patient/_search", I::SearchType("Patient".into())),
        ("GET Patient/1/Observation", I::SearchCompartment(key(), "Observation".into())),
        ("GET Patient/1/*", I::SearchCompartment(key(), "*".into())),
        ("POST Patient/1/Observation/_search", I::SearchCompartment(key(), "Observation".into())),
        ("GET $export", I::Operation(Level::System, "export".into())),
        ("POST Patient/$match", I::Operation(Level::Type("Patient".into()), "match".into())),
        ("GET Patient/1/%24everything", I::Operation(Level::Instance(key()), "everything".into())),
    ];
    for (line, wanted) in rows {
        let (method, path) = line.split_once(' ').unwrap();
        let found = Interaction::parse(Method::parse(method).unwrap(), path, &Two);
        assert_eq!(found.unwrap(), wanted, "{line}");
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    let rows = [
        ("GET Unknown/1", 404),
        ("GET patient", 404),
        ("GET Patient//1", 404),
        ("GET Patient/a_b", 404),
        ("PUT Patient/a_b", 400),
        ("PUT Patient/0123456789012345678901234567890123456789012345678901234567890123456789", 400),
        ("GET Patient/1/_history/0", 404),
        ("GET Patient/1/_history/01", 404),
        ("GET Patient/1/_history/x", 404),
        ("GET Patient/1/_history/2/3", 404),
        ("GET Patient/1/Unknown", 404),
        ("GET Patient/1/Observation/2", 404),
        ("GET Patient/$", 404),
        ("GET metadata/x", 404),
        ("GET %FF", 400),
        ("POST Patient/1", 405),
        ("DELETE metadata", 405),
        ("PUT ", 405),
        ("GET Patient/_search", 405),
        ("DELETE Patient/1/_history", 405),
        ("DELETE Patient/1/_history/1", 405),
        ("PUT Patient/$match", 405),
    ];
    for (line, status) in rows {
        let (method, path) = line.split_once(' ').unwrap();
        let error = Interaction::parse(Method::parse(method).unwrap(), path, &Two).unwrap_err();
        assert_eq!(error.kind.status(), status, "{line}: {error}");
    }
}

#[test]
fn a_path_says_what_it_allows() {
    assert_eq!(Interaction::allowed("Patient/_search", &Two), [Method::Post]);
    assert_eq!(Interaction::allowed("Patient/1/_history", &Two), [Method::Get, Method::Head]);
    assert!(Interaction::allowed("Nothing", &Two).is_empty());
}
