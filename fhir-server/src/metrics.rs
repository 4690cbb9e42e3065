//! What the server counts, and `/metrics` in Prometheus' text format.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! Counters are plain atomics in fixed tables: counting must cost nanoseconds, since every read pays for it.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fhir_postgres::backup::Status;

/// What was asked: `Interaction::code()`, and two of our own for what is none.
const INTERACTIONS: [&str; 16] = [
    "read",
    "search-type",
    "create",
    "update",
    "transaction",
    "vread",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "history-system",
    "search-system",
    "capabilities",
    "operation",
    "adapter",
    "none",
];
const NONE: usize = INTERACTIONS.len() - 1;

/// The statuses of HTTP: <https://www.rfc-editor.org/rfc/rfc9110#section-15>
const STATUSES: RangeInclusive<u16> = 100..=599;

/// Upper bounds of the latency histogram, in microseconds.
const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// All counters of one server.
#[derive(Debug, Default)]
pub struct Metrics {
    interactions: [Counts; INTERACTIONS.len()],
    /// Connections open now.
    pub connections: AtomicU64,
    /// Connections ended because their clients sent or took too slowly.
    pub slow_connections: AtomicU64,
    /// Panics of any task since the start. Each is a defect.
    pub panics: AtomicU64,
}

#[derive(Debug)]
struct Counts {
    /// One for each of [`STATUSES`].
    statuses: Box<[AtomicU64]>,
    buckets: [AtomicU64; BOUNDS_US.len()],
    sum_us: AtomicU64,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            statuses: STATUSES.map(|_| AtomicU64::new(0)).collect(),
            buckets: Default::default(),
            sum_us: AtomicU64::new(0),
        }
    }
}

/// What others know and `/metrics` shows: read at the moment of asking.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    /// Requests inside the gate.
    pub requests: usize,
    /// Requests waiting before it.
    pub waiting: usize,
    /// Database connections in use.
    pub pool_used: usize,
    /// Database connections there may be.
    pub pool_max: usize,
    /// Seconds since the full text index had everything, when it ever had.
    pub full_text_lag: Option<u64>,
    /// How the backups are, when there are to be any.
    pub backups: Option<Backups>,
}

/// How the backups are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backups {
    base_age: u64,
    wal_age: u64,
    failures: u64,
    wal_bytes: u64,
    target: bool,
}

impl Backups {
    /// At this moment. What never succeeded is as old as the epoch, so that an alert on the age sees it.
    pub fn from_status(status: &Status) -> Backups {
        let now = u64::try_from(fhir_store::Clock::default().now() / 1_000_000).unwrap_or(0);
        let age = |at: i64| now.saturating_sub(at.max(0).cast_unsigned());
        Backups {
            base_age: age(status.base_at.load(Relaxed)),
            wal_age: age(status.wal_at.load(Relaxed)),
            failures: status.failures.load(Relaxed),
            wal_bytes: status.wal_bytes.load(Relaxed),
            target: status.target.load(Relaxed),
        }
    }

    fn text(&self, one: &mut impl FnMut(&str, &str, &str, u64)) {
        one(
            "fhir_backup_age_seconds",
            "gauge",
            "Time since the last base backup was complete.",
            self.base_age,
        );
        let help = "Time since everything committed was in the archive of WAL.";
        one("fhir_backup_wal_age_seconds", "gauge", help, self.wal_age);
        let help = "Base backups and archivings of WAL that failed, an absent target included.";
        one("fhir_backup_failures_total", "counter", help, self.failures);
        one("fhir_backup_wal_waiting_bytes", "gauge", "WAL that waits for the target.", self.wal_bytes);
        let help = "1 when the backup target was there at the last attempt.";
        one("fhir_backup_target_present", "gauge", help, u64::from(self.target));
    }
}

impl Metrics {
    /// Counts one answer. `interaction` is its code; anything unknown counts as none.
    pub fn count(&self, interaction: &str, status: u16, took: Duration) {
        let place = INTERACTIONS.iter().position(|known| *known == interaction).unwrap_or(NONE);
        let Some(counts) = self.interactions.get(place) else { return };
        let us = took.as_micros() as u64;
        let place = usize::from(status.saturating_sub(*STATUSES.start()));
        if let Some(cell) = counts.statuses.get(place) {
            cell.fetch_add(1, Relaxed);
        }
        // Slower than the last bound: counted by the total alone, as `+Inf`.
        if let Some(cell) =
            BOUNDS_US.iter().position(|bound| us <= *bound).and_then(|at| counts.buckets.get(at))
        {
            cell.fetch_add(1, Relaxed);
        }
        counts.sum_us.fetch_add(us, Relaxed);
    }

    /// The text of `/metrics`.
    pub fn text(&self, gauges: Gauges) -> String {
        let mut out = String::with_capacity(8 * 1024);
        self.requests(&mut out);
        self.durations(&mut out);
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        one("fhir_requests_in_flight", "gauge", "Requests being worked on.", gauges.requests as u64);
        one("fhir_requests_queued", "gauge", "Requests waiting for their turn.", gauges.waiting as u64);
        one("fhir_connections", "gauge", "Open client connections.", self.connections.load(Relaxed));
        let help = "Connections ended because their clients sent or took too slowly.";
        one("fhir_slow_connections_total", "counter", help, self.slow_connections.load(Relaxed));
        one("fhir_panics_total", "counter", "Defects that were caught.", self.panics.load(Relaxed));
        one("fhir_database_connections", "gauge", "Database connections in use.", gauges.pool_used as u64);
        one(
            "fhir_database_connections_max",
            "gauge",
            "Database connections allowed.",
            gauges.pool_max as u64,
        );
        if let Some(seconds) = gauges.full_text_lag {
            let help = "Seconds since the full text index had every change.";
            one("fhir_full_text_lag_seconds", "gauge", help, seconds);
        }
        if let Some(backups) = gauges.backups {
            backups.text(&mut one);
        }
        if let Some(bytes) = resident_bytes() {
            one("process_resident_memory_bytes", "gauge", "Resident memory of the server process.", bytes);
        }
        out
    }

    fn requests(&self, out: &mut String) {
        out.push_str("# HELP fhir_requests_total Answers by interaction and status.\n");
        out.push_str("# TYPE fhir_requests_total counter\n");
        for (name, counts) in INTERACTIONS.iter().zip(&self.interactions) {
            for (status, cell) in STATUSES.zip(&counts.statuses) {
                let count = cell.load(Relaxed);
                if count > 0 {
                    let _ = writeln!(
                        out,
                        "fhir_requests_total{{interaction=\"{name}\",status=\"{status}\"}} {count}"
                    );
                }
            }
        }
    }

    fn durations(&self, out: &mut String) {
        let name = "fhir_request_duration_seconds";
        let _ = writeln!(out, "# HELP {name} Time from the head of a request to its answer.");
        let _ = writeln!(out, "# TYPE {name} histogram");
        for (interaction, counts) in INTERACTIONS.iter().zip(&self.interactions) {
            let total: u64 = counts.statuses.iter().map(|cell| cell.load(Relaxed)).sum();
            if total == 0 {
                continue;
            }
            let mut below = 0;
            for (bound, cell) in BOUNDS_US.iter().zip(&counts.buckets) {
                below += cell.load(Relaxed);
                let le = *bound as f64 / 1e6;
                let _ = writeln!(out, "{name}_bucket{{interaction=\"{interaction}\",le=\"{le}\"}} {below}");
            }
            // A request counted between the two loads must not make the last bucket smaller than those before it.
            let total = total.max(below);
            let sum = counts.sum_us.load(Relaxed) as f64 / 1e6;
            let _ = writeln!(out, "{name}_bucket{{interaction=\"{interaction}\",le=\"+Inf\"}} {total}");
            let _ = writeln!(out, "{name}_sum{{interaction=\"{interaction}\"}} {sum}");
            let _ = writeln!(out, "{name}_count{{interaction=\"{interaction}\"}} {total}");
        }
    }
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_interaction_status_and_time() {
        let metrics = Metrics::default();
        metrics.count("read", 200, Duration::from_micros(80));
        metrics.count("read", 200, Duration::from_micros(300));
        metrics.count("read", 404, Duration::from_secs(60));
        metrics.count("juggle", 418, Duration::ZERO);
        for status in STATUSES {
            metrics.count("patch", status, Duration::ZERO);
        }
        let text = metrics.text(Gauges { pool_max: 16, ..Gauges::default() });
        for line in [
            "fhir_requests_total{interaction=\"read\",status=\"200\"} 2",
            "fhir_requests_total{interaction=\"read\",status=\"404\"} 1",
            "fhir_requests_total{interaction=\"none\",status=\"418\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"100\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"202\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"408\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"414\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"421\"} 1",
            "fhir_requests_total{interaction=\"patch\",status=\"599\"} 1",
            "fhir_request_duration_seconds_bucket{interaction=\"read\",le=\"0.0001\"} 1",
            "fhir_request_duration_seconds_bucket{interaction=\"read\",le=\"0.0005\"} 2",
            "fhir_request_duration_seconds_bucket{interaction=\"read\",le=\"30\"} 2",
            "fhir_request_duration_seconds_bucket{interaction=\"read\",le=\"+Inf\"} 3",
            "fhir_request_duration_seconds_count{interaction=\"read\"} 3",
            "fhir_panics_total 0",
            "fhir_database_connections_max 16",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("interaction=\"vread\""), "what was never asked takes no space");
    }
}
