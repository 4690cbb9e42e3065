//! Tasks of the repository: `cargo xtask <task>`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use fhir_xtask::{definitions, repository};

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
}

fn main() -> Result<()> {
    match Cli::parse().task {
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
