//! `fhir-conformance`: see `fhir-conformance --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fhir_conformance::cli::run()
}
