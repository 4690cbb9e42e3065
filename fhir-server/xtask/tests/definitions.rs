//! The committed definitions are what the packages give: same packages, same bytes.

use std::io::Write;

use fhir_xtask::{definitions, repository};

#[test]
fn regenerating_gives_the_committed_bytes() {
    let packages = definitions::package_cache();
    if let Err(error) = definitions::fetch(&packages) {
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            panic!("CI must be able to fetch the FHIR packages: {error:#}");
        }
        // Past the capture of test output, so that a run without packages is seen to be one.
        writeln!(std::io::stdout(), "skipped: no FHIR packages ({error:#})").unwrap();
        return;
    }
    let scratch = std::env::temp_dir().join(format!("fhir-definitions-{}", std::process::id()));
    let mut changed = Vec::new();
    for (path, bytes) in definitions::generate(&packages).unwrap() {
        if std::fs::read(repository().join(path)).ok().as_deref() != Some(bytes.as_slice()) {
            // What differs is left there to be looked at.
            let copy = scratch.join(path);
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::write(&copy, bytes).unwrap();
            changed.push(path);
        }
    }
    assert!(
        changed.is_empty(),
        "not what `cargo xtask definitions` makes: {changed:?}; the new files are in {}",
        scratch.display()
    );
}

#[test]
fn the_committed_data_is_small() {
    let mut total = 0;
    for folder in ["profiles/data", "search-params/data"] {
        for file in std::fs::read_dir(repository().join(folder)).unwrap() {
            total += file.unwrap().metadata().unwrap().len();
        }
    }
    assert!(total < 8_000_000, "{total} bytes");
}
