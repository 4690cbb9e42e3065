//! Whole records of synthetic patients, as transactions: every entry is created, and every reference leads somewhere.

use std::path::PathBuf;

use fhir_interactions::Body;
use fhir_model::json::Doc;
use serde_json::Value;

use crate::app::{App, request};

fn bundles() -> Vec<PathBuf> {
    let shared = std::env::var("CARI_SHARED_DATA").map_or_else(
        |_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let Ok(folder) = std::fs::read_dir(shared.join("synthea-r4")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = folder.flatten().map(|f| f.path()).collect();
    // Some names are quoted, so they end with something else.
    files.retain(|f| f.to_string_lossy().contains(".json"));
    files.sort();
    files
}

#[tokio::test]
async fn records_are_loaded_whole() {
    let files = bundles();
    if files.is_empty() {
        std::io::Write::write_all(&mut std::io::stdout(), b"skipped: no shared data\n").unwrap();
        return;
    }
    let app = App::new().await;
    let mut entries = 0;
    for file in &files {
        let body = Doc::parse(std::fs::read(file).unwrap(), app.cx.limits.json).unwrap();
        let answer = app.run(request("POST ", Some(Body::Resource(body)))).await;
        assert_eq!(answer.status, 200, "{}: {}", file.display(), answer.body);
        for entry in answer.body["entry"].as_array().unwrap() {
            assert_eq!(entry["response"]["status"], "201 Created", "{}", file.display());
            entries += 1;
        }
    }
    let patients = app.found("Patient?_count=1000").await;
    let sent = files
        .iter()
        .filter(|f| std::fs::read_to_string(f).unwrap().contains("\"resourceType\": \"Patient\""));
    assert_eq!(patients.split(' ').count(), sent.count());
    let mut seen = 0;
    for patient in patients.split(' ') {
        let found = app.ask(&format!("GET Encounter?subject=Patient/{patient}&_count=1000")).await.body;
        for encounter in found["entry"].as_array().into_iter().flatten() {
            let encounter = &encounter["resource"];
            assert_eq!(encounter["subject"]["reference"], format!("Patient/{patient}"));
            seen += 1;
            dangling(encounter);
        }
    }
    assert!(seen > 0 && entries > seen);
}

/// No reference of the Bundle's own is left.
fn dangling(resource: &Value) {
    let text = resource.to_string();
    assert!(!text.contains("\"reference\":\"urn:"), "{text}");
}
