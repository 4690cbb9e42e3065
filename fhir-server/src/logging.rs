//! The log, and what becomes of panics.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fhir_config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

use crate::metrics::Metrics;

/// Starts the log on standard error; `RUST_LOG` wins over the setting.
pub fn start(log: &Log) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&log.level));
    // Drivers log parameters, which are patients' data and secrets: nobody's wish switches that on.
    let filter = ["tokio_postgres=warn", "sqlx=warn"]
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let colours = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = match log.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}

/// Counts panics and logs where they happened. What they say may hold data of a request, so it goes to the log alone.
pub fn count_panics(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panics.fetch_add(1, Ordering::Relaxed);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("something that is no text");
        tracing::error!("panic at {place}: {text}");
    }));
}
