//! Server errors in the log, with their causes; the client's answer has none of these.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fhir_model::{Error, Kind};

/// A warning that every request would repeat is logged at most once in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// Logs server errors.
#[derive(Debug, Default)]
pub struct ServerErrorLog {
    unavailable: RateLimitedLog,
    retried: RateLimitedLog,
}

impl ServerErrorLog {
    /// Logs a server error (status 500 and above) when it becomes the answer to an interaction.
    pub fn record(&self, error: &Error, interaction: &str, request_id: Option<&str>) {
        let status = error.kind.status();
        if status < 500 {
            return;
        }
        let cause = ErrorChain(error);
        match error.kind {
            Kind::Internal => tracing::error!(request_id, interaction, "{status}: {cause}"),
            // While the database is away, or all permits are taken, this is every request, and every entry.
            Kind::Unavailable => {
                if let Some(passed_over) = self.unavailable.admit(Instant::now()) {
                    tracing::warn!(request_id, interaction, passed_over, "{status}: {cause}");
                }
            }
            _ => tracing::warn!(request_id, interaction, "{status}: {cause}"),
        }
    }
}

impl ServerErrorLog {
    /// Logs that the primary answers what a standby failed at; `None`: what it would have answered is out of date.
    pub(crate) fn record_retry(&self, failure: Option<&Error>) {
        if let (Some(error), Some(passed_over)) = (failure, self.retried.admit(Instant::now())) {
            tracing::warn!(passed_over, "a standby failed, and the primary answers: {}", ErrorChain(error));
        }
    }
}

/// An error with its causes.
struct ErrorChain<'e>(&'e Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut at = std::error::Error::source(self.0);
        while let Some(cause) = at {
            write!(f, ": {cause}")?;
            at = cause.source();
        }
        Ok(())
    }
}

/// A rate limit of a log line that every request would repeat.
#[derive(Debug, Default)]
pub struct RateLimitedLog(Mutex<Suppressed>);

#[derive(Debug, Default)]
struct Suppressed {
    logged_at: Option<Instant>,
    since: u64,
}

impl RateLimitedLog {
    /// The number of lines suppressed since the last one logged. Returns `None` when this one is suppressed too.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.logged_at.is_some_and(|at| now.duration_since(at) < PAUSE) {
            passed.since += 1;
            return None;
        }
        passed.logged_at = Some(now);
        Some(std::mem::take(&mut passed.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_told_once_in_a_while_with_its_number() {
        let (log, began) = (RateLimitedLog::default(), Instant::now());
        let at = |millis| began + Duration::from_millis(millis);
        let admitted: Vec<Option<u64>> = [0, 1, 500, 999, 1000, 1500, 2500, 2600]
            .into_iter()
            .map(|millis| log.admit(at(millis)))
            .collect();
        assert_eq!(admitted, [Some(0), None, None, None, Some(3), None, Some(1), None]);
    }
}
