//! The conformance suite: pages of Markdown that any FHIR server can be run against, over HTTP alone.
//!
//! It imports nothing of this repository: what it knows of FHIR stands in its pages.

mod client;
mod expect;
mod found;
mod laws;
mod page;
mod path;
mod run;
mod suite;
mod template;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::client::Subject;

/// Runs the pages of the conformance suite against the server at the URL in SUBJECT.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Names every case that passed.
    #[arg(long, short)]
    verbose: bool,
    /// Runs only pages whose name has one of these in it: `r4/search/date`, `http`.
    filters: Vec<String>,
}

#[derive(Subcommand)]
enum Command {}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Ok(subject) = std::env::var("SUBJECT") else {
        eprintln!("SUBJECT=http://127.0.0.1:8080/fhir/R4 cargo run -p fhir-conformance [-- [--verbose] [page ...]]");
        eprintln!("SUBJECT is the base URL of the FHIR server to test; see conformance/README.md.");
        return ExitCode::from(2);
    };
    match pages(&Subject::new(&subject), &arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn pages(subject: &Subject, arguments: &Arguments) -> Result<bool> {
    let tally = suite::run(subject, &suite::folder(), &arguments.filters, arguments.verbose)?;
    if tally.known > 0 {
        println!("known failures, failing as listed: {}", tally.known);
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}
