//! Times of a schedule, as cron writes them: minute, hour, day of the month, month, day of the week.
//! <https://man7.org/linux/man-pages/man5/crontab.5.html>

use croner::parser::{CronParser, Seconds, Year};
use fhir_model::{Error, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Times in a zone.
#[derive(Debug, Clone)]
pub struct Cron {
    times: croner::Cron,
    text: String,
    zone: TimeZone,
}

impl Cron {
    /// Reads times such as `30 2 * * 1-5`, meant in UTC.
    ///
    /// # Errors
    ///
    /// When the text is no schedule.
    pub fn parse(text: &str) -> Result<Cron> {
        Cron::in_zone(text, TimeZone::UTC)
    }

    /// Reads times that are meant in a time zone.
    ///
    /// # Errors
    ///
    /// As [`Cron::parse`].
    pub fn in_zone(text: &str, zone: TimeZone) -> Result<Cron> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let times = parser.parse(text).map_err(|e| Error::value(format!("`{text}` is no schedule: {e}")))?;
        Ok(Cron { times, text: text.to_owned(), zone })
    }

    /// The text it was read from, with its zone.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.text, self.zone.iana_name().unwrap_or("UTC"))
    }

    /// The first time after an instant, both in microseconds since 1970. Returns `None` when there is none, as of 30
    /// February.
    pub fn next(&self, after: i64) -> Option<i64> {
        let after = Timestamp::from_microsecond(after).ok()?.to_zoned(self.zone.clone());
        let next = self.times.find_next_occurrence(&after, false).ok()?;
        Some(next.timestamp().as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn times_after_an_instant() {
        let rows = [
            ("* * * * *", "2026-11-30T12:00:00Z", "2026-11-30T12:01:00Z"),
            ("* * * * *", "2026-11-30T12:00:30.5Z", "2026-11-30T12:01:00Z"),
            ("*/15 * * * *", "2026-11-30T12:46:00Z", "2026-11-30T13:00:00Z"),
            ("5-59/20 * * * *", "2026-11-30T12:26:00Z", "2026-11-30T12:45:00Z"),
            ("30 2 * * *", "2026-12-31T02:30:00Z", "2027-01-01T02:30:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            // A Monday.
            ("0 6 * * 1-5", "2026-11-27T06:00:00Z", "2026-11-30T06:00:00Z"),
            ("0 6 * * 7", "2026-11-30T06:00:00Z", "2026-12-06T06:00:00Z"),
            // Either day will do.
            ("0 0 15 * 0", "2026-11-30T00:00:00Z", "2026-12-06T00:00:00Z"),
            ("0 0 1,15 1-3 *", "2026-03-15T00:00:00Z", "2027-01-01T00:00:00Z"),
        ];
        for (text, after, wanted) in rows {
            assert_eq!(
                Cron::parse(text).unwrap().next(micros(after)),
                Some(micros(wanted)),
                "{text} after {after}"
            );
        }
        assert_eq!(Cron::parse("0 0 30 2 *").unwrap().next(0), None);
    }

    /// Berlin set its clocks forward at 2 o'clock on 29 March 2026, and back at 3 on 25 October. A time that does not come is
    /// the first one after it.
    #[test]
    fn times_in_a_zone_that_sets_its_clocks() {
        let cron = Cron::in_zone("30 2 * * *", TimeZone::get("Europe/Berlin").unwrap()).unwrap();
        let mut at = micros("2026-03-27T12:00:00Z");
        for wanted in ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"] {
            at = cron.next(at).unwrap();
            assert_eq!(at, micros(wanted), "{wanted}");
        }
        let mut at = micros("2026-10-24T12:00:00Z");
        for wanted in ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"] {
            at = cron.next(at).unwrap();
            assert_eq!(at, micros(wanted), "{wanted}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
            "5-1 * * * *",
            "a * * * *",
            "-1 * * * *",
        ] {
            assert!(Cron::parse(text).is_err(), "{text}");
        }
    }
}
