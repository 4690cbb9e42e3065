//! Starts a PostgreSQL that is fetched from the network, as a machine without one would: `fetch DIRECTORY`.

use fhir_postgres::{DOWNLOAD_BASE_URL, Download, Embedded, Options, Search};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let Some(data_dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: fetch DIRECTORY");
        return std::process::ExitCode::from(2);
    };
    let mut options = Options::new(data_dir);
    options.search = Search::nowhere();
    options.download = Download::for_this_machine(DOWNLOAD_BASE_URL);
    match Embedded::start(options).await {
        Ok(postgres) => {
            println!("{}", postgres.url());
            let _ = tokio::signal::ctrl_c().await;
            postgres.stop().await;
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
