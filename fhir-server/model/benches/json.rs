//! What parsing and writing costs: our tree beside `serde_json`'s, on all resources of the R4 examples package.
//!
//! `cargo bench -p fhir-model --bench json`, after `cargo xtask definitions` has fetched the package; the figures stand in
//! `fhir-server/decisions/0003-own-json-tree.md`. One iteration is all files, so the throughput is what counts.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

#[path = "../tests/examples/mod.rs"]
mod examples;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fhir_model::json::{Doc, JsonLimits};

/// Longer files are definition Bundles, which no client sends.
const FILE_BYTES_MAX: usize = 2 * 1024 * 1024;

fn texts() -> Vec<String> {
    let files = examples::examples().into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap());
    files.filter(|text| text.len() < FILE_BYTES_MAX).collect()
}

fn json(c: &mut Criterion) {
    let texts = texts();
    if texts.is_empty() {
        return;
    }
    let bytes = texts.iter().map(|t| t.len() as u64).sum();
    println!("{} files, {bytes} bytes", texts.len());
    let mut group = c.benchmark_group("json");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function("parse/serde_json IgnoredAny (checks only)", |b| {
        b.iter(|| {
            texts.iter().for_each(|t| drop(black_box(serde_json::from_str::<serde::de::IgnoredAny>(t))))
        });
    });
    group.bench_function("parse/serde_json Value", |b| {
        b.iter(|| texts.iter().for_each(|t| drop(black_box(serde_json::from_str::<serde_json::Value>(t)))));
    });
    // The text is given away, as a request's body is; the copy that makes it possible here is counted too.
    group.bench_function("parse/Doc", |b| {
        b.iter(|| {
            texts.iter().for_each(|t| drop(black_box(Doc::parse(t.as_bytes(), JsonLimits::default()))))
        });
    });
    let docs: Vec<_> =
        texts.iter().map(|t| Doc::parse(t.as_bytes(), JsonLimits::default()).unwrap()).collect();
    group.bench_function("write/Doc", |b| {
        b.iter(|| docs.iter().for_each(|doc| drop(black_box(doc.root().to_json()))));
    });
    drop(docs);
    let values: Vec<_> =
        texts.iter().map(|t| serde_json::from_str::<serde_json::Value>(t).unwrap()).collect();
    group.bench_function("write/serde_json Value", |b| {
        b.iter(|| values.iter().for_each(|value| drop(black_box(value.to_string()))));
    });
    group.finish();
}

criterion_group!(benches, json);
criterion_main!(benches);
