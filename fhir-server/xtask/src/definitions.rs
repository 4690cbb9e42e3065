//! FHIR's published packages in, the compact committed definitions out.
//!
//! The output depends on the packages alone: sorted, without timestamps, so that the same packages give the same bytes.
//! <https://hl7.org/fhir/R4/downloads.html>

mod archive;
mod compartment;
mod package;
mod provenance;
mod search_parameter;
mod structure;
mod terminology;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;

use crate::repository;

/// Generated files: path in the repository, and bytes.
pub type Files = BTreeMap<&'static str, Vec<u8>>;

const RESOURCE_TYPES: &str = "profiles/data/resource-types.txt";

/// Where packages are kept when nobody says otherwise: `target/fhir-packages`, out of git.
pub fn package_cache() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("fhir-packages")
}

/// Makes sure that all packages are in the folder, fetching those that are missing.
///
/// # Errors
///
/// When a package cannot be downloaded, has another checksum, or cannot be written.
pub fn fetch(packages: &Path) -> Result<()> {
    package::ALL.iter().try_for_each(|package| package.fetch(packages))
}

/// Makes all data files from the packages in a folder.
///
/// # Errors
///
/// As [`fetch`], and when a package lacks a file or holds a definition that cannot be read.
pub fn generate(packages: &Path) -> Result<Files> {
    fetch(packages)?;
    let spec = package::EXAMPLES.read(packages)?;
    let expansions = package::EXPANSIONS.read(packages)?;
    let tho = package::TERMINOLOGY.read(packages)?;

    let code_systems = terminology::code_systems(&spec, &tho);
    let value_sets = terminology::value_sets(&spec, &expansions, &tho);
    let types = structure::types(&spec, &value_sets)?;
    let numbers = std::fs::read_to_string(repository().join(RESOURCE_TYPES)).unwrap_or_default();
    let numbers = structure::resource_types(&types, &numbers)?;
    let parameters = search_parameter::parameters(&spec, &types)?;

    let (code_systems, code_system_index) = archive::framed(&code_systems)?;
    let (value_sets, value_set_index) = archive::framed(&value_sets)?;
    Ok(Files::from([
        ("profiles/data/types.ndjson.zst", archive::lines(&types)?),
        (RESOURCE_TYPES, numbers),
        ("profiles/data/code-systems.ndjson.zst", code_systems),
        ("profiles/data/code-systems.index.txt", code_system_index),
        ("profiles/data/value-sets.ndjson.zst", value_sets),
        ("profiles/data/value-sets.index.txt", value_set_index),
        ("profiles/data/PROVENANCE.md", provenance::profiles()),
        ("search-params/data/parameters.ndjson.zst", archive::lines(&parameters.lines)?),
        ("search-params/data/compartments.json", compartment::compartments(&spec)?),
        ("search-params/data/PROVENANCE.md", provenance::search_parameters(&parameters.left_out)),
    ]))
}

/// Prints how long decoding takes, best of several: start-up's part, then all terminology.
///
/// # Errors
///
/// When the committed data cannot be decoded.
pub fn time() -> Result<()> {
    let best = |name: &str, load: &dyn Fn() -> Result<()>| -> Result<()> {
        let mut best = f64::INFINITY;
        for _ in 0..10 {
            let start = Instant::now();
            load()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!("{name}: {:.1} ms", best * 1e3);
        Ok(())
    };
    use fhir_profiles::Definitions;
    use fhir_search::{compartments::Compartments, parameters::Parameters};
    best("types", &|| Ok(Definitions::load().map(drop)?))?;
    best("search parameters", &|| Ok(Parameters::load().map(drop)?))?;
    best("compartments", &|| Ok(Compartments::load().map(drop)?))?;
    best("terminology (on first use; here: all of it)", &|| {
        let definitions = Definitions::load()?;
        for url in definitions.code_system_urls() {
            definitions.code_system(url)?;
        }
        for url in definitions.value_set_urls() {
            definitions.value_set(url)?;
        }
        Ok(())
    })
}
