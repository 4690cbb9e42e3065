//! The resources of the package `hl7.fhir.r4.examples`, for tests and benchmarks that want many real ones. The tests of
//! search and of the store use this file, too.

use std::io::Read;
use std::path::{Path, PathBuf};

const PACKAGE: &str = "hl7.fhir.r4.examples-4.0.1.tgz";

/// All resources as (file name, JSON), in order; nothing when the package is not here, which is a failure in
/// continuous integration.
///
/// It is looked for below `CARI_FHIR_PACKAGES`, or where `cargo xtask definitions` keeps what it fetches.
pub(crate) fn examples() -> Vec<(String, Vec<u8>)> {
    let Some(file) = folders().iter().find_map(|folder| std::fs::File::open(folder.join(PACKAGE)).ok())
    else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no {PACKAGE} in {:?}", folders());
        std::io::Write::write_all(&mut std::io::stdout(), b"skipped: no FHIR packages\n").unwrap();
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
    found.sort();
    found
}

fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("CARI_FHIR_PACKAGES") {
        return vec![folder.into()];
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("target"));
    target.into_iter().chain(above).map(|target| target.join("fhir-packages")).collect()
}
