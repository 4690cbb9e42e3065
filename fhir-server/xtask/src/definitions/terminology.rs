//! CodeSystems and ValueSets: <https://hl7.org/fhir/R4/codesystem.html>, <https://hl7.org/fhir/R4/valueset.html>
//!
//! R4 froze a copy of what has since lived on under terminology.hl7.org. For those URLs the terminology package speaks
//! (`http://terminology.hl7.org/...`); for all others the specification's own package does.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Resources by canonical URL.
pub(crate) type ByUrl = BTreeMap<String, Value>;

const CODE_SYSTEM: [&str; 15] = [
    "resourceType",
    "url",
    "version",
    "name",
    "title",
    "status",
    "description",
    "copyright",
    "caseSensitive",
    "valueSet",
    "hierarchyMeaning",
    "content",
    "supplements",
    "property",
    "concept",
];
const CONCEPT: [&str; 6] = ["code", "display", "definition", "designation", "property", "concept"];
const VALUE_SET: [&str; 10] = [
    "resourceType",
    "url",
    "version",
    "name",
    "title",
    "status",
    "description",
    "copyright",
    "compose",
    "expansion",
];
const CONTAINS: [&str; 6] = ["system", "abstract", "inactive", "code", "display", "contains"];

/// All code systems.
pub(crate) fn code_systems(spec: &[Value], tho: &[Value]) -> ByUrl {
    latest("CodeSystem", spec, tho).into_iter().map(|(url, system)| (url, trimmed_system(system))).collect()
}

/// All value sets, with the expansion where the specification publishes one of just this definition.
pub(crate) fn value_sets(spec: &[Value], expansions: &[Value], tho: &[Value]) -> ByUrl {
    let mut all: ByUrl =
        latest("ValueSet", spec, tho).into_iter().map(|(url, set)| (url, trimmed_set(set))).collect();
    let current = by_url("ValueSet", tho);
    for (url, expanded) in by_url("ValueSet", expansions) {
        if !current.contains_key(&url) {
            all.insert(url, trimmed_set(expanded));
        }
    }
    all
}

/// The only code system of a value set. Returns `None` when there are several, or when they cannot be enumerated.
pub(crate) fn single_system(url: &str, value_sets: &ByUrl) -> Option<String> {
    let mut systems = Vec::new();
    collect_systems(url, value_sets, &mut Vec::new(), &mut systems)?;
    match systems.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

fn collect_systems(url: &str, all: &ByUrl, seen: &mut Vec<String>, systems: &mut Vec<String>) -> Option<()> {
    if seen.iter().any(|s| s == url) {
        return Some(());
    }
    seen.push(url.to_owned());
    for include in all.get(url)?.pointer("/compose/include")?.as_array()? {
        if let Some(system) = include["system"].as_str() {
            if !systems.iter().any(|s| s == system) {
                systems.push(system.to_owned());
            }
            continue;
        }
        for import in include["valueSet"].as_array()? {
            collect_systems(without_version(import.as_str()?), all, seen, systems)?;
        }
    }
    Some(())
}

/// A canonical without its `|version`.
pub(crate) fn without_version(canonical: &str) -> &str {
    canonical.split_once('|').map_or(canonical, |(url, _)| url)
}

fn latest<'a>(kind: &str, spec: &'a [Value], tho: &'a [Value]) -> BTreeMap<String, &'a Value> {
    let mut all = by_url(kind, tho);
    for (url, resource) in by_url(kind, spec) {
        if !url.starts_with("http://terminology.hl7.org/") {
            all.insert(url, resource);
        } else {
            all.entry(url).or_insert(resource);
        }
    }
    all
}

fn by_url<'a>(kind: &str, resources: &'a [Value]) -> BTreeMap<String, &'a Value> {
    let of_kind = resources.iter().filter(|r| r["resourceType"] == kind);
    of_kind.filter_map(|r| Some((r["url"].as_str()?.to_owned(), r))).collect()
}

fn trimmed_system(system: &Value) -> Value {
    let mut out = picked(system, &CODE_SYSTEM);
    if let Some(concepts) = out.get_mut("concept") {
        *concepts = trimmed_tree(concepts, &CONCEPT, "concept");
    }
    Value::Object(out)
}

fn trimmed_set(set: &Value) -> Value {
    let mut out = picked(set, &VALUE_SET);
    if let Some(compose) = out.get_mut("compose") {
        without_extensions(compose);
    }
    if let Some(expansion) = out.get_mut("expansion") {
        let contains = trimmed_tree(&expansion["contains"], &CONTAINS, "contains");
        *expansion = Value::Object(Map::from_iter([("contains".to_owned(), contains)]));
    }
    Value::Object(out)
}

/// A list whose members hold such a list again (`concept`, `contains`), each reduced to the named keys.
fn trimmed_tree(list: &Value, keys: &[&str], children: &str) -> Value {
    let members = list.as_array().into_iter().flatten().map(|member| {
        let mut out = picked(member, keys);
        for (key, value) in &mut out {
            if key == children {
                *value = trimmed_tree(value, keys, children);
            } else {
                without_extensions(value);
            }
        }
        Value::Object(out)
    });
    Value::Array(members.collect())
}

fn picked(from: &Value, keys: &[&str]) -> Map<String, Value> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), from.get(*key)?.clone()))).collect()
}

fn without_extensions(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| key != "extension" && key != "id" && !key.starts_with('_'));
            map.values_mut().for_each(without_extensions);
        }
        Value::Array(list) => list.iter_mut().for_each(without_extensions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_system_is_found_through_imports_and_several_are_none() {
        let sets = ByUrl::from([
            ("one".to_owned(), json!({ "compose": { "include": [{ "system": "a" }, { "system": "a" }] } })),
            ("two".to_owned(), json!({ "compose": { "include": [{ "system": "a" }, { "system": "b" }] } })),
            ("import".to_owned(), json!({ "compose": { "include": [{ "valueSet": ["one|4.0.1"] }] } })),
            ("away".to_owned(), json!({ "compose": { "include": [{ "valueSet": ["elsewhere"] }] } })),
        ]);
        for (url, system) in [("one", Some("a")), ("two", None), ("import", Some("a")), ("away", None)] {
            assert_eq!(single_system(url, &sets).as_deref(), system, "{url}");
        }
    }
}
