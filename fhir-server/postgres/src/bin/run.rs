//! Runs the embedded PostgreSQL alone: `fhir-postgres-run DIRECTORY` prints a URL for psql and stays until Ctrl-C.

use fhir_postgres::{Embedded, Options};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let Some(data_dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: fhir-postgres-run DIRECTORY");
        return std::process::ExitCode::from(2);
    };
    let postgres = match Embedded::start(Options::new(data_dir)).await {
        Ok(postgres) => postgres,
        Err(error) => {
            eprintln!("{error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    println!("{}", postgres.url());
    let _ = tokio::signal::ctrl_c().await;
    postgres.stop().await;
    std::process::ExitCode::SUCCESS
}
