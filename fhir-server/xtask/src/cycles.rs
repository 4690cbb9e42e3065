//! Circles of modules: modules of one crate that need each other, and so can only be read, tested and changed together.
//!
//! A module needs another when its code names something that the other one defines. A name that a module only passes on
//! (`pub use`) counts for where it is defined. Code for tests does not count.

mod components;
mod names;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::repository;

/// The circles that are left, one a line.
pub const ALLOWED: &str = "fhir-server/xtask/cycles.txt";

/// The modules of one circle, with the name of their crate before them.
pub type Circle = String;

/// All circles of all crates of the workspace, as lines of [`ALLOWED`].
///
/// # Errors
///
/// When a source file cannot be read, or is not Rust.
pub fn find() -> Result<BTreeSet<Circle>> {
    let mut all = BTreeSet::new();
    for (name, root) in crates(&repository())? {
        all.extend(of_crate(&name, &root)?);
    }
    Ok(all)
}

/// The circles of the crate whose first file is `root`.
///
/// # Errors
///
/// When a source file cannot be read, or is not Rust.
pub fn of_crate(name: &str, root: &Path) -> Result<Vec<Circle>> {
    let needs = names::needs(&source::modules(root)?);
    let line = |circle: Vec<String>| format!("{name}: {}", circle.join(" "));
    Ok(components::circles(&needs).into_iter().map(line).collect())
}

/// Which module needs which within the circles of a crate: `a -> b`.
///
/// # Errors
///
/// When there is no such crate, or a source file cannot be read or is not Rust.
pub fn edges(crate_name: &str) -> Result<Vec<String>> {
    let crates = crates(&repository())?;
    let root = crates.get(crate_name).with_context(|| format!("there is no crate {crate_name}"))?;
    let needs = names::needs(&source::modules(root)?);
    let mut edges = Vec::new();
    for circle in components::circles(&needs) {
        for (from, to) in needs.iter().filter(|(from, _)| circle.contains(from)) {
            edges.extend(to.iter().filter(|to| circle.contains(to)).map(|to| format!("{from} -> {to}")));
        }
    }
    Ok(edges)
}

/// What is not as [`ALLOWED`] says: circles that are new, and lines whose circle is gone. Empty when all is as allowed.
///
/// # Errors
///
/// When the list cannot be read.
pub fn differences(found: &BTreeSet<Circle>) -> Result<String> {
    let text = std::fs::read_to_string(repository().join(ALLOWED)).context(ALLOWED)?;
    let allowed: BTreeSet<Circle> = text.lines().map(str::to_owned).collect();
    let mut differences = String::new();
    for circle in found.difference(&allowed) {
        let _ = writeln!(differences, "a new circle of modules: {circle}");
    }
    for circle in allowed.difference(found) {
        let _ = writeln!(differences, "no longer a circle, take it off {ALLOWED}: {circle}");
    }
    Ok(differences)
}

/// Name and first source file of each crate of the workspace. One with a program and a library counts by its library.
fn crates(repository: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let manifest = std::fs::read_to_string(repository.join("Cargo.toml"))?;
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (members, _) = members.context("Cargo.toml has no members")?;
    let mut crates = BTreeMap::new();
    for member in members.split(',').map(|member| member.trim().trim_matches('"')).filter(|m| !m.is_empty()) {
        let folder = repository.join(member);
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).context(member.to_owned())?;
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = "));
        let name = name.with_context(|| format!("{member} has no name"))?.trim_matches('"').to_owned();
        let roots = ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file));
        let root = roots
            .into_iter()
            .find(|file| file.exists())
            .with_context(|| format!("{member} has no source"))?;
        crates.insert(name, root);
    }
    Ok(crates)
}
