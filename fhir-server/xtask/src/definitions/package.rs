//! The npm packages that FHIR is published in, pinned by version and checksum.
//!
//! <https://registry.fhir.org/learn>, <https://hl7.org/fhir/R4/downloads.html>

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha512};

/// A package, as the npm registry has it.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The registry's own `dist.integrity`: <https://www.w3.org/TR/SRI/>
    pub(crate) integrity: &'static str,
    /// The licence that its package.json must state.
    pub(crate) licence: &'static str,
}

/// R4 itself: definitions, terminology, and examples of all resources.
pub(crate) const EXAMPLES: Package = Package {
    name: "hl7.fhir.r4.examples",
    version: "4.0.1",
    integrity: "sha512-DXBdIZOeQaSKIgCU7w6HOC7sw/6BzylmipLkBW4f//pT+Bc94x+8LImwTdvaNThPJoOzpBzvxAzNqjeu3X/zLw==",
    licence: "CC0-1.0",
};

/// R4's value sets, expanded.
pub(crate) const EXPANSIONS: Package = Package {
    name: "hl7.fhir.r4.expansions",
    version: "4.0.1",
    integrity: "sha512-E0LjAGKIEla9XdM98cOzE8fv+syczVSzzqjE/29rhK1jK52kSByzSM+dQuQM0j4BiBIpMwZydQnKHV11rV5IlQ==",
    licence: "CC0-1.0",
};

/// HL7 Terminology (THO), as R4 resources: the current state of what lives under terminology.hl7.org.
pub(crate) const TERMINOLOGY: Package = Package {
    name: "hl7.terminology.r4",
    version: "7.0.1",
    integrity: "sha512-UamZUcARk/TEaJb7X0hDyANmC7bCv0Jof0u0uGIOB2O9VQX0uV45Vf4EyONHM6Sejv6q7sXEAzKAQsgw1Cld3A==",
    licence: "CC0-1.0",
};

/// All of them.
pub(crate) const ALL: [&Package; 3] = [&EXAMPLES, &EXPANSIONS, &TERMINOLOGY];

/// The kinds of resource that definitions are made of; the packages' other files are examples.
const KINDS: [&str; 5] =
    ["StructureDefinition", "SearchParameter", "CompartmentDefinition", "CodeSystem", "ValueSet"];

impl Package {
    /// Fetches the package into the folder unless it is there.
    pub(crate) fn fetch(&self, folder: &Path) -> Result<()> {
        if self.path(folder).is_file() {
            return Ok(());
        }
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let spec = format!("{}@{}", self.name, self.version);
        eprintln!("fetching {spec}");
        let output = Command::new("npm")
            .args(["pack", &spec, "--silent", "--pack-destination"])
            .arg(folder)
            .output()
            .context("starting `npm` to fetch the FHIR packages")?;
        ensure!(
            output.status.success() && self.path(folder).is_file(),
            "`npm pack {spec}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// The definitional resources of the package, in the order of its files' names.
    pub(crate) fn read(&self, folder: &Path) -> Result<Vec<Value>> {
        let path = self.path(folder);
        self.verify(&path)?;
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&path)?));
        let (mut found, mut licensed) = (Vec::new(), false);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let Some(name) = name.strip_prefix("package/") else { continue };
            let definitional = KINDS.iter().any(|kind| name.starts_with(kind)) && name.ends_with(".json");
            if !definitional && name != "package.json" {
                continue;
            }
            let mut text = Vec::new();
            entry.read_to_end(&mut text)?;
            let value: Value =
                serde_json::from_slice(&text).with_context(|| format!("{name} of {}", path.display()))?;
            if definitional {
                found.push((name.to_owned(), value));
            } else {
                let licence = value.get("license").and_then(Value::as_str);
                ensure!(licence == Some(self.licence), "{} states the licence {licence:?}", self.name);
                licensed = true;
            }
        }
        ensure!(licensed, "{} has no package.json", self.name);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-{}.tgz", self.name, self.version))
    }

    fn verify(&self, path: &Path) -> Result<()> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let found = format!("sha512-{}", STANDARD.encode(Sha512::digest(&bytes)));
        if found != self.integrity {
            bail!("{} is not the package pinned here: {found}, expected {}", path.display(), self.integrity);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_another_checksum_is_refused() {
        let folder = std::env::temp_dir().join(format!("fhir-xtask-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(EXAMPLES.path(&folder), b"something else").unwrap();
        let error = EXAMPLES.read(&folder).unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("is not the package pinned here"), "{error}");
    }
}
