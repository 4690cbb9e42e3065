//! Our own faults, as the log hears of them: what a client is told has no word of their causes.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fhir_model::{Error, Kind};

/// What is said as often as somebody asks in vain is said once in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// Where faults are told.
#[derive(Debug, Default)]
pub struct Faults {
    unavailable: Seldom,
}

impl Faults {
    /// Logs an error that is ours where it becomes an answer. `interaction`: of what.
    pub fn tell(&self, error: &Error, interaction: &str, request_id: Option<&str>) {
        let status = error.kind.status();
        if status < 500 {
            return;
        }
        let cause = Chain(error);
        match error.kind {
            Kind::Internal => tracing::error!(request_id, interaction, "{status}: {cause}"),
            // While the database is away, or all places are taken, this is every request, and every entry.
            Kind::Unavailable => {
                if let Some(passed_over) = self.unavailable.turn(Instant::now()) {
                    tracing::warn!(request_id, interaction, passed_over, "{status}: {cause}");
                }
            }
            _ => tracing::warn!(request_id, interaction, "{status}: {cause}"),
        }
    }
}

/// An error with its causes.
struct Chain<'e>(&'e Error);

impl fmt::Display for Chain<'_> {
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

/// Keeps a line that every request would add from filling the disk.
#[derive(Debug, Default)]
struct Seldom(Mutex<Passed>);

#[derive(Debug, Default)]
struct Passed {
    told_at: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// How many were passed over since the last that was told; none when this one is passed over as well.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.told_at.is_some_and(|at| now.duration_since(at) < PAUSE) {
            passed.since += 1;
            return None;
        }
        passed.told_at = Some(now);
        Some(std::mem::take(&mut passed.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_told_once_in_a_while_with_its_number() {
        let (seldom, began) = (Seldom::default(), Instant::now());
        let at = |millis| began + Duration::from_millis(millis);
        let turns: Vec<Option<u64>> = [0, 1, 500, 999, 1000, 1500, 2500, 2600]
            .into_iter()
            .map(|millis| seldom.turn(at(millis)))
            .collect();
        assert_eq!(turns, [Some(0), None, None, None, Some(3), None, Some(1), None]);
    }
}
