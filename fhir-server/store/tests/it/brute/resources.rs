//! The resources that questions are asked about: R4's examples, records of synthetic patients, and changed ones of both.

#[path = "../../../../model/tests/examples/mod.rs"]
mod package;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use fhir_model::Key;
use serde_json::Value;

use super::mutate::mutated;
use fhir_store::testing::Random;

/// Larger resources slow the test down and show nothing that others do not.
const BYTES_MAX: usize = 200_000;
/// Most examples of one type: there are 1,400 search parameters among them.
const EXAMPLES_MAX: usize = 150;
/// Records of synthetic patients, and most resources of one type of them.
const RECORDS: usize = 6;
const OF_RECORDS_MAX: usize = 40;
/// Every so many resources one is changed.
const CHANGED_EVERY: usize = 4;
/// Changed resources are the same each time, so that a question has one answer.
const SEED: u64 = 1;

/// Keys and texts, each key once. Returns `None` when the examples are not on this machine.
pub(super) fn choose() -> Option<Vec<(Key, String)>> {
    let mut chosen = Vec::new();
    let mut seen = HashSet::new();
    take(examples(), EXAMPLES_MAX, &mut seen, &mut chosen);
    if chosen.is_empty() {
        return None;
    }
    take(records(), OF_RECORDS_MAX, &mut seen, &mut chosen);
    let mut random = Random::new(SEED);
    let mut changed = Vec::new();
    // A changed definition of a parameter is another parameter.
    let some = chosen.iter().filter(|(key, _)| *key.type_name != *"SearchParameter").step_by(CHANGED_EVERY);
    for (n, (key, text)) in some.enumerate() {
        let key = Key::new(&*key.type_name, format!("changed-{n}"));
        let text = mutated(&mut random, text, &key.id);
        changed.push((key, text));
    }
    take(changed, usize::MAX, &mut seen, &mut chosen);
    Some(chosen)
}

/// Takes what is not there yet, so many of each type at most.
fn take(
    from: Vec<(Key, String)>,
    of_a_type_max: usize,
    seen: &mut HashSet<Key>,
    chosen: &mut Vec<(Key, String)>,
) {
    let mut counts = HashMap::<Box<str>, usize>::new();
    for (key, text) in from.into_iter().filter(|(_, text)| text.len() < BYTES_MAX) {
        let count = counts.entry(key.type_name.clone()).or_default();
        if *count < of_a_type_max && seen.insert(key.clone()) {
            *count += 1;
            chosen.push((key, text));
        }
    }
}

fn examples() -> Vec<(Key, String)> {
    let examples = package::examples().into_iter();
    examples.filter_map(|(_, bytes)| keyed(String::from_utf8(bytes).unwrap())).collect()
}

/// The resources of some records, whose references lead to each other.
fn records() -> Vec<(Key, String)> {
    let shared = std::env::var("CARI_SHARED_DATA").map_or_else(
        |_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let Ok(folder) = std::fs::read_dir(shared.join("synthea-r4")) else {
        std::io::Write::write_all(&mut std::io::stdout(), b"skipped: no shared data\n").unwrap();
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = folder.flatten().map(|file| file.path()).collect();
    files.retain(|file| file.to_string_lossy().contains(".json"));
    // The small ones.
    files.sort_by_key(|file| (file.metadata().map_or(0, |m| m.len()), file.clone()));
    let mut found = Vec::new();
    for file in files.iter().take(RECORDS) {
        let text = std::fs::read_to_string(file).unwrap();
        let bundle: Value = serde_json::from_str(&text).unwrap();
        let entries = bundle["entry"].as_array().into_iter().flatten();
        let names: Vec<(String, String)> = entries
            .clone()
            .filter_map(|entry| {
                let resource = &entry["resource"];
                let name = format!("{}/{}", resource["resourceType"].as_str()?, resource["id"].as_str()?);
                Some((entry["fullUrl"].as_str()?.to_owned(), name))
            })
            .collect();
        for entry in entries {
            let named = |text: String, (url, name): &(String, String)| text.replace(url, name);
            found.extend(keyed(names.iter().fold(entry["resource"].to_string(), named)));
        }
    }
    found
}

fn keyed(text: String) -> Option<(Key, String)> {
    let body: Value = serde_json::from_str(&text).unwrap();
    let key = Key::new(body["resourceType"].as_str()?, body["id"].as_str()?);
    Some((key, text))
}
