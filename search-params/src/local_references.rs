//! The references of a resource to other resources of this server, wherever they stand in it.
//!
//! Search parameters see some of them; whether a resource may be deleted depends on all. What has no key of this server is
//! none of them: contained resources (`#p`), other servers' urls, urns, identifiers, criteria. A reference to a version is
//! none, as versions stay when their resource goes. Nor are those of what is carried within a Bundle or Parameters, which
//! are as their author made them.

use std::collections::BTreeSet;

use fhir_model::Key;
use fhir_model::json::{Kind, Ref};

use crate::bases::Bases;
use crate::index_hash::{Form, IndexHasher};
use crate::reference::ParsedReference;

/// A reference, and where it stands.
#[derive(Debug, Clone)]
pub struct LocalReference<'d> {
    /// The text, `Patient/1`.
    pub value: Ref<'d>,
    /// What it refers to. Its type need not be one of FHIR's.
    pub key: Key,
}

/// All of them, in their order.
pub fn local_references<'d>(resource: Ref<'d>, bases: &Bases) -> Vec<LocalReference<'d>> {
    let mut found = Vec::new();
    walk(resource, bases, &mut found);
    found
}

fn walk<'d>(object: Ref<'d>, bases: &Bases, found: &mut Vec<LocalReference<'d>>) {
    let carries =
        object.get_str("resourceType").is_some_and(|name| matches!(&*name, "Bundle" | "Parameters"));
    for member in object.children() {
        let name = member.key();
        // What a definition compares with is no reference of the definition.
        if name.starts_with("fixed") || name.starts_with("pattern") || (carries && name != "meta") {
            continue;
        }
        for value in member.items() {
            match value.kind() {
                Kind::Object => walk(value, bases, found),
                Kind::String if name == "reference" => found.extend(local(value, bases)),
                _ => {}
            }
        }
    }
}

fn local<'d>(value: Ref<'d>, bases: &Bases) -> Option<LocalReference<'d>> {
    let text = value.str()?;
    // A fragment leads into the resource.
    let text = text.split_once('#').map_or(&*text, |(resource, _)| resource);
    match ParsedReference::parse(text, bases)? {
        ParsedReference::Local(key) if !text.contains("/_history/") => Some(LocalReference { value, key }),
        _ => None,
    }
}

/// What a resource has among its keys for each resource that it refers to.
pub fn key_of_target(hasher: &IndexHasher, target: &Key) -> i64 {
    hasher.key(0, "reference", Form::Local, &[&target.type_name, &target.id])
}

/// All of these keys, of a resource.
pub(crate) fn keys<'k>(
    resource: Ref<'_>,
    bases: &Bases,
    hasher: &'k IndexHasher,
) -> impl Iterator<Item = i64> + use<'k> {
    let targets: BTreeSet<Key> = local_references(resource, bases).into_iter().map(|one| one.key).collect();
    targets.into_iter().map(|target| key_of_target(hasher, &target))
}

#[cfg(test)]
mod tests {
    use fhir_model::json::{Doc, JsonLimits};

    use super::*;

    #[test]
    fn references_to_this_server_are_found_wherever_they_stand() {
        let text = r##"{
            "resourceType": "Observation",
            "subject": {"reference": "Patient/1"},
            "encounter": {"reference": "http://us/fhir/Encounter/2"},
            "performer": [{"reference": "http://them/fhir/Practitioner/3"}, {"reference": "urn:uuid:4"},
                          {"identifier": {"value": "5"}}, {"reference": "Practitioner?identifier=6"}],
            "hasMember": [{"reference": "Observation/7/_history/1"}, {"reference": "Observation/7#part"}],
            "contained": [{"resourceType": "Patient", "id": "p", "generalPractitioner": [{"reference": "Practitioner/8"}]}],
            "extension": [{"url": "u", "valueReference": {"reference": "Group/9"}},
                          {"url": "reference", "valueString": "Patient/10"}],
            "device": {"reference": "#p"}
        }"##;
        let doc = Doc::parse(text.to_owned(), JsonLimits::default()).unwrap();
        let found = local_references(doc.root(), &Bases::new(["http://us/fhir"]));
        let found: Vec<String> = found.iter().map(|one| one.key.to_string()).collect();
        assert_eq!(found, ["Patient/1", "Encounter/2", "Observation/7", "Practitioner/8", "Group/9"]);
    }

    #[test]
    fn what_is_carried_or_compared_with_refers_to_nothing() {
        for text in [
            r#"{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Basic", "subject": {"reference": "Patient/1"}}}]}"#,
            r#"{"resourceType": "Parameters", "parameter": [{"name": "x", "valueReference": {"reference": "Patient/1"}}]}"#,
            r#"{"resourceType": "StructureDefinition", "snapshot": {"element": [{"fixedReference": {"reference": "Patient/1"}}]}}"#,
        ] {
            let doc = Doc::parse(text.to_owned(), JsonLimits::default()).unwrap();
            assert!(local_references(doc.root(), &Bases::default()).is_empty(), "{text}");
        }
    }
}
