//! Tasks of the repository: `cargo xtask <task>`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use fhir_xtask::{cycles, definitions, repository};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the repository")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Turns the pinned FHIR packages into the committed data of `profiles/` and `search-params/`.
    Definitions {
        /// Folder with the packages' `.tgz` files; those missing are fetched into it [default: target/fhir-packages]
        #[arg(long, value_name = "DIR")]
        packages: Option<PathBuf>,
        /// Write nothing; print how long the committed data takes to decode (use `--release`).
        #[arg(long)]
        time: bool,
    },
    /// Fetches the pinned FHIR packages, which the tests over R4's examples read.
    Packages,
    /// Prints the circles of modules within each crate. Fails when one is new, or when one that is allowed is gone.
    Cycles {
        /// Allow exactly those that are there.
        #[arg(long)]
        write: bool,
        /// Print which module needs which within the circles of one crate.
        #[arg(long, value_name = "CRATE", conflicts_with = "write")]
        edges: Option<String>,
    },
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Cycles { edges: Some(name), .. } => {
            cycles::edges(&name)?.iter().for_each(|edge| println!("{edge}"));
            Ok(())
        }
        Task::Cycles { write, edges: None } => print_cycles(write),
        Task::Packages => definitions::fetch(&definitions::package_cache()),
        Task::Definitions { time: true, .. } => definitions::time(),
        Task::Definitions { packages, time: false } => {
            let packages = packages.unwrap_or_else(definitions::package_cache);
            for (path, bytes) in definitions::generate(&packages)? {
                std::fs::write(repository().join(path), &bytes)?;
                println!("{path}: {} bytes", bytes.len());
            }
            Ok(())
        }
    }
}

fn print_cycles(write: bool) -> Result<()> {
    let found = cycles::find()?;
    found.iter().for_each(|circle| println!("{circle}"));
    if write {
        let text: String = found.iter().map(|circle| format!("{circle}\n")).collect();
        std::fs::write(repository().join(cycles::ALLOWED), text)?;
        return Ok(());
    }
    match cycles::differences(&found)? {
        differences if differences.is_empty() => Ok(()),
        differences => bail!("{}", differences.trim_end()),
    }
}
