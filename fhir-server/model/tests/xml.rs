//! Every resource of the R4 examples package goes JSON, XML, JSON without a difference, narrative included.

#![expect(clippy::unwrap_used, reason = "a test")]

mod examples;

use fhir_model::json::{Doc, JsonLimits};
use fhir_model::xml;
use fhir_profiles::Definitions;
use serde_json::Value;

#[test]
fn all_examples_survive() {
    let types = Definitions::load().unwrap();
    let examples = examples::examples();
    if examples.is_empty() {
        return;
    }
    assert!(examples.len() > 5000, "only {} resources", examples.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let check =
        |part: &[(String, Vec<u8>)]| part.iter().filter_map(|e| failure(e, &types)).collect::<Vec<_>>();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let check = &check;
        let parts = examples.chunks(examples.len().div_ceil(threads));
        let parts = parts.map(|part| scope.spawn(move || check(part)));
        parts.collect::<Vec<_>>().into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

fn failure((name, bytes): &(String, Vec<u8>), types: &Definitions) -> Option<String> {
    let doc = Doc::parse(bytes.as_slice(), JsonLimits::default()).unwrap();
    let back = |xml: fhir_model::Result<String>| xml::to_json(xml?.as_bytes(), types, JsonLimits::default());
    let json = match back(xml::from_json(doc.root(), types)) {
        Ok(json) => json,
        Err(error) => return Some(format!("{name}: {error}")),
    };
    if back(xml::indented(doc.root(), types)).ok().as_ref() != Some(&json) {
        return Some(format!("{name}: differs when it is indented"));
    }
    // Numbers are compared by their text, objects without regard to the order of keys.
    let same = serde_json::from_str::<Value>(&json).unwrap() == doc.root().to_value();
    (!same || !json.starts_with(r#"{"resourceType":"#)).then(|| format!("{name}: differs"))
}
