//! How long the extraction of index rows takes, from a parsed resource and with its parsing.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use fhir_model::json::{Doc, JsonLimits};
use fhir_profiles::Definitions;
use fhir_search::index_hash::IndexHasher;
use fhir_search::{IndexSettings, Registry};

/// Resources as Synthea writes them.
const RESOURCES: &[(&str, &str)] = &[
    ("Observation", include_str!("extract/observation.json")),
    ("Patient", include_str!("extract/patient.json")),
    ("Encounter", include_str!("extract/encounter.json")),
];

fn extract(c: &mut Criterion) {
    let registry = Registry::load(Arc::new(Definitions::load().unwrap())).unwrap();
    let (hasher, settings) = (IndexHasher::new([7; 16]), IndexSettings::default());
    for (type_name, text) in RESOURCES {
        let doc = Doc::parse(*text, JsonLimits::default()).unwrap();
        let rows = registry.extract(&hasher, type_name, doc.root(), &settings).unwrap();
        assert!(rows.keys.len() > 5);
        c.bench_function(&format!("extract {type_name}"), |b| {
            b.iter(|| registry.extract(&hasher, type_name, black_box(doc.root()), &settings).unwrap());
        });
        c.bench_function(&format!("parse and extract {type_name}"), |b| {
            b.iter(|| {
                let doc = Doc::parse(black_box(*text), JsonLimits::default()).unwrap();
                registry.extract(&hasher, type_name, doc.root(), &settings).unwrap()
            });
        });
    }
}

criterion_group!(benches, extract);
criterion_main!(benches);
