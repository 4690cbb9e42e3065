//! `fhir-server`: see `fhir-server --help`.

use std::process::ExitCode;

use clap::Parser;
use fhir_server::{cli::Cli, command};

// Requests allocate and free many small things on several threads; the system's allocator is slower at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fhir-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
