//! The resources of the package `hl7.fhir.r4.examples`, for tests and benchmarks that want many real ones.

use std::io::Read;
use std::path::PathBuf;

const PACKAGE: &str = "hl7.fhir.r4.examples-4.0.1.tgz";

/// All resources as (file name, JSON), or nothing when the package is not here. In continuous integration that is a
/// failure.
///
/// It is looked for below `CARI_FHIR_PACKAGES`, or where `cargo xtask definitions` keeps what it fetches.
pub(crate) fn examples() -> Vec<(String, Vec<u8>)> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")), PathBuf::from);
    let kept = target.join("fhir-packages");
    let folder = std::env::var_os("CARI_FHIR_PACKAGES").map_or(kept, PathBuf::from);
    let Ok(file) = std::fs::File::open(folder.join(PACKAGE)) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no {PACKAGE} in {}", folder.display());
        println!("skipped: no FHIR packages");
        return Vec::new();
    };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::io::BufReader::new(file)));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let name = name.strip_prefix("package/").unwrap_or(&name).to_owned();
        if name.ends_with(".json") && !name.contains('/') && !matches!(&*name, "package.json" | ".index.json")
        {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.push((name, bytes));
        }
    }
    found
}
