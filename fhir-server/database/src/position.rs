//! Positions in the write-ahead log of a database: what was written before one is there for whoever has replayed so far.

use std::fmt;
use std::str::FromStr;

use fhir_model::Error;
use tokio_postgres::Row;

/// A timeline and a log sequence number (LSN) on it: <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES>
///
/// Its text is the timeline, then the LSN as PostgreSQL writes it: `1-0/16B3748`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Grows by one with each promotion of a standby.
    pub timeline: u32,
    /// Bytes of log before it.
    pub lsn: u64,
}

impl Position {
    /// One that no server ever comes to.
    pub const UNREACHED: Position = Position { timeline: u32::MAX, lsn: u64::MAX };

    /// Whether a server that has replayed the log up to `replayed` has all that was written before this position. One on an
    /// earlier timeline has not: another server was promoted, and what that wrote since it does not know. What a promotion lost
    /// is nowhere.
    pub fn is_reached_by(self, replayed: Position) -> bool {
        replayed.timeline >= self.timeline && replayed.lsn >= self.lsn
    }

    /// From two columns: the timeline and the LSN, both int8. Returns `None` when one is null.
    pub(crate) fn from_columns(row: &Row, at: usize) -> Result<Option<Position>, tokio_postgres::Error> {
        let (timeline, lsn): (Option<i64>, Option<i64>) = (row.try_get(at)?, row.try_get(at + 1)?);
        Ok(timeline
            .and_then(|n| u32::try_from(n).ok())
            .zip(lsn.and_then(|n| u64::try_from(n).ok()))
            .map(|(timeline, lsn)| Position { timeline, lsn }))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:X}/{:X}", self.timeline, self.lsn >> 32, self.lsn & 0xFFFF_FFFF)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Position, Error> {
        let parsed = || {
            let (timeline, lsn) = text.split_once('-')?;
            let (high, low) = lsn.split_once('/')?;
            let is_number = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
            if !is_number(timeline, 10) || !is_number(high, 16) || !is_number(low, 16) {
                return None;
            }
            let (high, low) = (u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?);
            Some(Position { timeline: timeline.parse().ok()?, lsn: u64::from(high) << 32 | u64::from(low) })
        };
        parsed().ok_or_else(|| Error::invalid("a position of the database is such as 1-0/16B3748"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_as_postgresql_writes_them() {
        for (text, timeline, lsn) in [
            ("1-0/0", 1, 0),
            ("1-0/16B3748", 1, 0x16B_3748),
            ("4294967295-FFFFFFFF/FFFFFFFF", u32::MAX, u64::MAX),
            ("12-2A/5", 12, (0x2A << 32) + 5),
        ] {
            let position: Position = text.parse().unwrap();
            assert_eq!(position, Position { timeline, lsn }, "{text}");
            assert_eq!(position.to_string(), text);
        }
        let long = "1-0/".to_owned() + &"0".repeat(1000) + "G";
        for text in [
            "",
            "1",
            "1-",
            "1-0",
            "1-/",
            "-1-0/0",
            "+1-0/0",
            "1-0/+1",
            "1-0/0/0",
            "1-0/G",
            "1-0/123456789",
            "4294967296-0/0",
            " 1-0/0",
            &long,
        ] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_position_is_reached_on_its_timeline_or_a_later_one() {
        let at = |timeline, lsn| Position { timeline, lsn };
        for (position, replayed, reached) in [
            (at(1, 5), at(1, 5), true),
            (at(1, 5), at(1, 4), false),
            (at(1, 5), at(2, 5), true),
            (at(1, 5), at(2, 4), false),
            (at(2, 5), at(1, 500), false),
        ] {
            assert_eq!(position.is_reached_by(replayed), reached, "{position} by {replayed}");
        }
    }
}
