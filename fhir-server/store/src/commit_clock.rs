//! Commit timestamps, which never go back.
//!
//! A commit timestamp is later than every stored one, whatever the clock says: what has followed the change feed up to the latest stored
//! change has missed nothing when the next one comes. A process whose clock is far from the database's gives no commit timestamps.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fhir_database::Clock;
use fhir_model::{Error, Kind, Result};

/// A process that has not announced itself for this long gives no commit timestamps. What it has begun by then is refused by the
/// statements themselves where others no longer wait for it (`writers.rs`).
const WRITE_UNTIL: Duration = Duration::from_secs(30);
/// A process writes nothing when its clock is further than this from the database's.
const SKEW_MAX_MICROS: i64 = 5_000_000;

/// The commit timestamps of this process.
#[derive(Debug)]
pub(crate) struct CommitClock {
    clock: Clock,
    open: Arc<Mutex<OpenWrites>>,
}

#[derive(Debug, Default)]
struct OpenWrites {
    /// This process in the table of writers.
    process: i64,
    last: i64,
    /// Open commit timestamps, which no two writes share.
    timestamps: BTreeSet<i64>,
    /// No commit timestamps are given any more.
    left: bool,
    announced: Option<Announced>,
}

/// An announcement to the database, which answered with its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced {
    /// When it was sent.
    pub(crate) at: Instant,
    /// The database's clock then, in microseconds since 1970,
    pub(crate) database: i64,
    /// and by how much that may be wrong.
    pub(crate) error: i64,
}

impl Announced {
    /// Microseconds by which a clock that says `now` is ahead of the database's, or (negative) behind; 0 when it may be
    /// right.
    fn skew(&self, now: i64) -> i64 {
        let elapsed = i64::try_from(self.at.elapsed().as_micros()).unwrap_or(i64::MAX);
        let skew = now.saturating_sub(self.database.saturating_add(elapsed));
        skew.signum() * (skew.saturating_abs() - self.error).max(0)
    }
}

/// The `lastUpdated` of a write, held while it is open.
#[derive(Debug)]
pub struct CommitTimestamp {
    micros: i64,
    writer: i64,
    open: Arc<Mutex<OpenWrites>>,
}

impl CommitTimestamp {
    /// Microseconds since 1970.
    pub fn micros(&self) -> i64 {
        self.micros
    }

    /// The process in the table of writers: without its row, nothing may be written with this commit timestamp.
    pub(crate) fn writer(&self) -> i64 {
        self.writer
    }
}

impl Drop for CommitTimestamp {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        open.timestamps.remove(&self.micros);
    }
}

impl CommitClock {
    pub(crate) fn new(clock: Clock) -> CommitClock {
        CommitClock { clock, open: Arc::default() }
    }

    /// This process in the table of writers.
    pub(crate) fn process(&self) -> i64 {
        self.open().process
    }

    /// Notes that this process has a row among the writers, and that all commit timestamps are to be later than `latest`. It may not
    /// write before it has announced itself.
    pub(crate) fn join(&self, process: i64, latest: Option<i64>) {
        let mut open = self.open();
        open.process = process;
        open.announced = None;
        open.last = open.last.max(latest.unwrap_or(0));
    }

    /// Notes that the row of a process is gone: until it has joined again, nothing may be written.
    pub(crate) fn lost(&self, process: i64) {
        let mut open = self.open();
        if open.process == process {
            open.announced = None;
        }
    }

    fn open(&self) -> MutexGuard<'_, OpenWrites> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The earliest commit timestamp that this process may still commit. While it writes nothing, it stays as it is: nothing has to be
    /// told to others then.
    pub(crate) fn low_watermark(&self) -> i64 {
        let open = self.open();
        open.timestamps.first().copied().unwrap_or(open.last + 1)
    }

    /// The latest commit timestamp that was given.
    pub(crate) fn latest(&self) -> i64 {
        self.open().last
    }

    /// From now on all commit timestamps are later than this.
    pub(crate) fn go_on_from(&self, micros: i64) {
        let mut open = self.open();
        open.last = open.last.max(micros);
    }

    /// True when no write is open that has this commit timestamp or an earlier one.
    pub(crate) fn is_closed(&self, micros: i64) -> bool {
        self.open().timestamps.first().is_none_or(|earliest| *earliest > micros)
    }

    /// Gives no commit timestamps from now on. Returns false when writes are still open.
    pub(crate) fn leave(&self) -> bool {
        let mut open = self.open();
        open.left = true;
        open.timestamps.is_empty()
    }

    pub(crate) fn has_left(&self) -> bool {
        self.open().left
    }

    /// Notes that this process has announced itself: it may write for a while.
    pub(crate) fn announced(&self, announced: Announced) {
        self.open().announced = Some(announced);
    }

    /// Microseconds by which this process's clock is ahead of the database's, or (negative) behind, where that is too much
    /// to write; 0 otherwise.
    fn skew(&self) -> i64 {
        let announced = self.open().announced;
        let skew = announced.map_or(0, |announced| announced.skew(self.clock.now()));
        if skew.abs() > SKEW_MAX_MICROS { skew } else { 0 }
    }

    /// What is wrong with this process's clock, so that it writes nothing; `None` when it agrees with the database's.
    pub(crate) fn failure(&self) -> Option<String> {
        match self.skew() {
            0 => None,
            skew => Some(wrong_clock(skew)),
        }
    }

    /// Refuses to write for a process whose clock is wrong.
    pub(crate) fn check_skew(&self) -> Result<()> {
        match self.failure() {
            None => Ok(()),
            Some(failure) => Err(Error::new(Kind::Unavailable, failure)),
        }
    }

    /// The commit timestamp of a write, later than all before it.
    pub(crate) fn next_timestamp(&self) -> Result<CommitTimestamp> {
        self.check_skew()?;
        let now = self.clock.now();
        let mut open = self.open();
        if open.left {
            return Err(Error::new(Kind::Unavailable, "this server is being stopped"));
        }
        if open.announced.is_none_or(|announced| announced.at.elapsed() > WRITE_UNTIL) {
            return Err(Error::new(
                Kind::Unavailable,
                "the database is not available at the moment; try again",
            ));
        }
        let micros = now.max(open.last + 1);
        open.last = micros;
        open.timestamps.insert(micros);
        Ok(CommitTimestamp { micros, writer: open.process, open: self.open.clone() })
    }
}

fn wrong_clock(skew: i64) -> String {
    let side = if skew > 0 { "ahead of" } else { "behind" };
    let seconds = (skew.unsigned_abs() + 500_000) / 1_000_000;
    format!(
        "this server's clock is {seconds} s {side} the database's: until it is set, nothing can be written"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(clock: &CommitClock, database: i64) {
        clock.announced(Announced { at: Instant::now(), database, error: 0 });
    }

    #[test]
    fn timestamps_never_go_back_and_hold_the_low_watermark() {
        let clock = CommitClock::new(Clock::default());
        assert!(clock.next_timestamp().is_err(), "not announced yet");
        announced(&clock, Clock::default().now());
        let a = clock.next_timestamp().unwrap();
        let b = clock.next_timestamp().unwrap();
        assert!(b.micros() > a.micros());
        assert_eq!(clock.low_watermark(), a.micros());
        assert!(!clock.is_closed(a.micros()) && clock.is_closed(a.micros() - 1));
        drop(a);
        assert!(clock.is_closed(b.micros() - 1) && !clock.is_closed(clock.latest()));
        assert_eq!(clock.low_watermark(), b.micros());
        drop(b);
        let free = clock.low_watermark();
        assert!(free > clock.latest());
        assert!(clock.next_timestamp().unwrap().micros() >= free);
    }

    /// After a power cut with a dead battery server and database agree that it is 1970.
    #[test]
    fn timestamps_go_on_from_what_is_stored_whatever_the_clock_says() {
        let wall = Clock::default();
        let latest = wall.now();
        wall.set(0);
        let clock = CommitClock::new(wall.clone());
        clock.go_on_from(latest);
        announced(&clock, 0);
        assert_eq!(clock.next_timestamp().unwrap().micros(), latest + 1);
        assert_eq!(clock.next_timestamp().unwrap().micros(), latest + 2);
        // Once the clock is set, it counts again.
        wall.set(latest + 60_000_000);
        announced(&clock, wall.now());
        assert!(clock.next_timestamp().unwrap().micros() >= latest + 60_000_000);
    }

    #[test]
    fn a_clock_that_is_wrong_gives_no_timestamps() {
        let wall = Clock::default();
        let clock = CommitClock::new(wall.clone());
        announced(&clock, wall.now());
        for (shift, wanted) in [(90, "90 s ahead of"), (-90, "90 s behind")] {
            wall.shift(shift * 1_000_000);
            let refused = clock.next_timestamp().unwrap_err();
            assert!(refused.text.contains(wanted), "{shift}: {refused}");
            wall.shift(-shift * 1_000_000);
            assert!(clock.next_timestamp().is_ok());
        }
        wall.shift(4_000_000);
        assert!(clock.next_timestamp().is_ok(), "a little does no harm");
        // What the database's answer took may be what they differ by.
        clock.announced(Announced { at: Instant::now(), database: wall.now() - 7_000_000, error: 3_000_000 });
        assert!(clock.next_timestamp().is_ok());
    }
}
