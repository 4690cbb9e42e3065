//! What the server counts, and `/metrics` in Prometheus' text format.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::time::Duration;

use fhir_model::{Error, Result};
use hyper::StatusCode;
use prometheus::core::{Collector, Desc, Describer};
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// Upper bounds of the latency histograms, in seconds.
const BOUNDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// All counters of one server.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    module_requests: IntCounterVec,
    module_durations: HistogramVec,
    /// Connections open now.
    pub connections: IntGauge,
    /// Connections ended because their clients sent or took too slowly.
    pub slow_connections: IntCounter,
    rate_limited: IntCounterVec,
    /// Requests that the Redis of the rate limits did not count, as it did not answer.
    pub rate_limit_redis_failures: IntCounter,
    /// Panics of any task since the start. Each is a defect.
    pub panics: IntCounter,
}

impl Metrics {
    /// Counters at zero.
    ///
    /// # Errors
    ///
    /// When two of them have one name: a defect of the program.
    pub fn new() -> Result<Metrics> {
        Metrics::register(Registry::new()).map_err(Error::internal)
    }

    fn register(registry: Registry) -> prometheus::Result<Metrics> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(BOUNDS.to_vec());
            let histograms = HistogramVec::new(options, labels)?;
            registry.register(Box::new(histograms.clone()))?;
            prometheus::Result::Ok(histograms)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            prometheus::Result::Ok(counter)
        };
        let took = "Time from the head of a request to its answer.";
        let module = ["module", "route", "method", "status"];
        let slow = "Connections ended because their clients sent or took too slowly.";
        let limited = "Requests refused by a rate limit: of a mount, or of an account.";
        let uncounted = "Requests that the Redis of the rate limits did not count, as it did not answer.";
        let connections = IntGauge::new("fhir_connections", "Open client connections.")?;
        registry.register(Box::new(connections.clone()))?;
        Ok(Metrics {
            requests: counters("fhir_requests_total", "Requests answered.", &["interaction", "status"])?,
            durations: histograms("fhir_request_duration_seconds", took, &["interaction"])?,
            module_requests: counters("cari_module_requests_total", "Requests answered.", &module)?,
            module_durations: histograms(
                "cari_module_request_duration_seconds",
                took,
                &["module", "route", "method"],
            )?,
            connections,
            slow_connections: counter("fhir_slow_connections_total", slow)?,
            rate_limited: counters("cari_rate_limited_requests_total", limited, &["limit"])?,
            rate_limit_redis_failures: counter("cari_rate_limit_redis_failures_total", uncounted)?,
            panics: counter("fhir_panics_total", "Defects that were caught.")?,
            registry: registry.clone(),
        })
    }

    /// Counts one answer to a FHIR request, by the code of its interaction, or `none`.
    pub fn count(&self, interaction: &'static str, status: StatusCode, took: Duration) {
        self.requests.with_label_values(&[interaction, status.as_str()]).inc();
        self.durations.with_label_values(&[interaction]).observe(took.as_secs_f64());
    }

    /// Counts one answer of a module, by the template of its route: a path itself may name a patient.
    pub fn count_module(&self, module: &str, route: &str, method: &str, status: StatusCode, took: Duration) {
        self.module_requests.with_label_values(&[module, route, method, status.as_str()]).inc();
        self.module_durations.with_label_values(&[module, route, method]).observe(took.as_secs_f64());
    }

    /// Counts a request that a rate limit refused, by the name of the limit.
    pub fn count_rate_limited(&self, limit: &str) {
        self.rate_limited.with_label_values(&[limit]).inc();
    }

    /// Shows a value that somebody else keeps: read at the moment of asking; nothing is shown for `None`. One whose name ends
    /// in `_total` is a counter, others are gauges.
    ///
    /// # Errors
    ///
    /// When the name is taken, or not one of Prometheus'.
    pub fn observe(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) -> Result<()> {
        let options = Opts::new(name, help);
        let desc = options.describe().map_err(Error::internal)?;
        let is_counter = name.ends_with("_total");
        self.registry
            .register(Box::new(Observed { options, desc, is_counter, read }))
            .map_err(Error::internal)
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    ///
    /// When a metric cannot be written: a defect of the program.
    pub fn text(&self) -> Result<String> {
        let mut text = Vec::with_capacity(8 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(Error::internal)?;
        String::from_utf8(text).map_err(Error::internal)
    }
}

/// A value that is read when it is asked for.
struct Observed<F> {
    options: Opts,
    desc: Desc,
    is_counter: bool,
    read: F,
}

impl<F: Fn() -> Option<u64> + Send + Sync> Collector for Observed<F> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    /// Made anew each time, as two may ask at once.
    fn collect(&self) -> Vec<MetricFamily> {
        let Some(value) = (self.read)() else { return Vec::new() };
        let options = self.options.clone();
        if self.is_counter {
            let Ok(counter) = IntCounter::with_opts(options) else { return Vec::new() };
            counter.inc_by(value);
            return counter.collect();
        }
        let Ok(gauge) = IntGauge::with_opts(options) else { return Vec::new() };
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_interaction_status_and_time() {
        let metrics = Metrics::new().unwrap();
        let status = |number| StatusCode::from_u16(number).unwrap();
        metrics.count("read", status(200), Duration::from_micros(80));
        metrics.count("read", status(200), Duration::from_micros(300));
        metrics.count("read", status(404), Duration::from_secs(60));
        for number in 100..=599 {
            metrics.count("patch", status(number), Duration::ZERO);
        }
        metrics.count_module("dlq", "/admin/dlq/{id}", "DELETE", status(200), Duration::from_millis(2));
        metrics.observe("fhir_database_connections_max", "All.", || Some(16)).unwrap();
        metrics.observe("fhir_never", "Nothing yet.", || None).unwrap();
        metrics.observe("fhir_backup_failures_total", "Failures.", || Some(3)).unwrap();
        assert!(metrics.observe("fhir_never", "The same again.", || None).is_err());
        // What others keep is read anew each time.
        metrics.text().unwrap();
        let text = metrics.text().unwrap();
        for line in [
            "fhir_requests_total{interaction=\"read\",status=\"200\"} 2",
            "fhir_requests_total{interaction=\"read\",status=\"404\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"100\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"421\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"599\"} 1",
            "fhir_request_duration_seconds_bucket{interaction=\"read\",le=\"0.0001\"} 1",
            "fhir_request_duration_seconds_bucket{interaction=\"read\",le=\"0.0005\"} 2",
            "fhir_request_duration_seconds_bucket{interaction=\"read\",le=\"30\"} 2",
            "fhir_request_duration_seconds_bucket{interaction=\"read\",le=\"+Inf\"} 3",
            "fhir_request_duration_seconds_count{interaction=\"read\"} 3",
            "cari_module_requests_total{method=\"DELETE\",module=\"dlq\",route=\"/admin/dlq/{id}\",status=\"200\"} 1",
            "cari_module_request_duration_seconds_count{method=\"DELETE\",module=\"dlq\",route=\"/admin/dlq/{id}\"} 1",
            "fhir_panics_total 0",
            "fhir_connections 0",
            "fhir_database_connections_max 16",
            "# TYPE fhir_backup_failures_total counter",
            "fhir_backup_failures_total 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("interaction=\"vread\""), "what was never asked takes no space");
        assert!(!text.contains("fhir_never"), "{text}");
    }
}
