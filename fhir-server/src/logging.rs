//! The log, and what becomes of panics.

use std::io::IsTerminal;
use std::sync::Arc;

use fhir_config::{Log, LogFormat};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, registry};

use fhir_http::Metrics;

/// Drivers log parameters, which are patients' data and secrets: nobody's wish switches that on.
const DRIVERS: [&str; 2] = ["tokio_postgres", "sqlx"];

/// Starts the log on standard error; `RUST_LOG` wins over the setting.
pub fn start(log: &Log) {
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&log.level));
    let lines = layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = match log.format {
        LogFormat::Text => subscriber(wanted, lines.with_target(false)).try_init(),
        LogFormat::Json => subscriber(wanted, lines.json()).try_init(),
    };
}

/// The log lines at the wanted level, without those of the database drivers that could hold data.
fn subscriber<L>(wanted: EnvFilter, lines: L) -> impl Subscriber + Send + Sync
where
    L: Layer<Layered<EnvFilter, Registry>> + Send + Sync,
{
    registry().with(wanted).with(lines.with_filter(filter_fn(may_be_logged)))
}

fn may_be_logged(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::WARN || !DRIVERS.iter().any(|driver| line.target().starts_with(driver))
}

/// Counts panics and logs where they happened. What they say may hold data of a request, so it goes to the log alone.
pub fn count_panics(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |panic| {
        metrics.panics.inc();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("something that is no text");
        tracing::error!("panic at {place}: {text}");
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn drivers_are_quiet_whatever_is_wanted() {
        for wanted in [
            "trace",
            "debug",
            "tokio_postgres=trace,sqlx=debug",
            "tokio_postgres::query=debug,sqlx::query=trace",
        ] {
            let told = Told::default();
            let lines = layer().with_ansi(false).with_writer({
                let told = told.clone();
                move || told.clone()
            });
            tracing::subscriber::with_default(subscriber(EnvFilter::new(wanted), lines), || {
                tracing::debug!(target: "tokio_postgres::query", "parameters: secret");
                tracing::info!(target: "tokio_postgres", "secret");
                tracing::trace!(target: "sqlx::query", "secret");
                tracing::info!(target: "sqlx_postgres::connection", "secret");
                tracing::warn!(target: "sqlx::query", "slow");
                tracing::debug!(target: "fhir_store", "ours");
            });
            let told = String::from_utf8(told.0.lock().unwrap().clone()).unwrap();
            assert!(!told.contains("secret"), "{wanted}: {told}");
            assert!(told.contains("slow"), "{wanted}: {told}");
            assert_eq!(told.contains("ours"), !wanted.contains('='), "{wanted}: {told}");
        }
    }
}
