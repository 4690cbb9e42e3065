//! Times of a schedule, as cron writes them: minute, hour, day of the month, month, day of the week.
//!
//! Each field is `*`, a number, a range `1-5`, or a list of these, each with a step `*/15`. As with cron, where both days are
//! restricted it is enough that one fits. <https://man7.org/linux/man-pages/man5/crontab.5.html>

use fhir_model::{Error, Result};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Years in which a time is looked for; 29 February on a certain weekday comes within 28, or within 40 around 2100.
const YEARS_MAX: i16 = 41;

/// Times in a zone.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    zone: TimeZone,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// The day of the month says nothing; that of the week says nothing.
    any_day: bool,
    any_weekday: bool,
}

impl Cron {
    /// Reads times such as `30 2 * * 1-5`, meant in UTC.
    ///
    /// # Errors
    ///
    /// When the text is none, with the field that is wrong.
    pub fn parse(text: &str) -> Result<Cron> {
        Cron::in_zone(text, TimeZone::UTC)
    }

    /// Reads times that are meant in a time zone.
    ///
    /// # Errors
    ///
    /// As [`Cron::parse`].
    pub fn in_zone(text: &str, zone: TimeZone) -> Result<Cron> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(Error::value(format!("`{text}` has not the five fields of a schedule")));
        };
        let weekdays = field(weekday, 0, 7)?;
        Ok(Cron {
            text: text.to_owned(),
            zone,
            minutes: field(minute, 0, 59)?,
            hours: field(hour, 0, 23)?,
            days: field(day, 1, 31)?,
            months: field(month, 1, 12)?,
            // Sunday is 0 and 7.
            weekdays: weekdays | weekdays >> 7,
            any_day: day.starts_with('*'),
            any_weekday: weekday.starts_with('*'),
        })
    }

    /// The text it was read from, with its zone.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.text, self.zone.iana_name().unwrap_or("UTC"))
    }

    /// The first time after an instant, both in microseconds since 1970. Returns `None` when there is none, as of 30
    /// February.
    pub fn next(&self, after: i64) -> Option<i64> {
        let start = Timestamp::from_microsecond(after).ok()?;
        let local = start.to_zoned(self.zone.clone()).datetime();
        let mut at = local.date().at(local.hour(), local.minute(), 0, 0).checked_add(1.minute()).ok()?;
        let last_year = at.year().saturating_add(YEARS_MAX);
        while at.year() <= last_year {
            match self.later(at) {
                Some(later) => at = later.ok()?,
                None => {
                    let found = at.to_zoned(self.zone.clone()).ok()?.timestamp();
                    // Where clocks are set back, the local time comes twice: the second is none of ours.
                    if found > start {
                        return Some(found.as_microsecond());
                    }
                    at = at.checked_add(1.minute()).ok()?;
                }
            }
        }
        None
    }

    /// The earliest local time that may fit when this one does not; `None` when it does.
    fn later(&self, at: DateTime) -> Option<std::result::Result<DateTime, jiff::Error>> {
        let date = at.date();
        if !has(self.months, at.month()) {
            return Some(date.first_of_month().checked_add(1.month()).map(|date| date.at(0, 0, 0, 0)));
        }
        let (day, weekday) =
            (has(self.days, at.day()), has(self.weekdays, date.weekday().to_sunday_zero_offset()));
        let fits = match (self.any_day, self.any_weekday) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        if !fits {
            return Some(date.tomorrow().map(|date| date.at(0, 0, 0, 0)));
        }
        if !has(self.hours, at.hour()) {
            return Some(date.at(at.hour(), 0, 0, 0).checked_add(1.hour()));
        }
        (!has(self.minutes, at.minute())).then(|| at.checked_add(1.minute()))
    }
}

fn has(set: u64, number: i8) -> bool {
    set >> number.clamp(0, 63) & 1 == 1
}

/// The numbers of a field, as bits.
fn field(text: &str, low: u8, high: u8) -> Result<u64> {
    let wrong = || Error::value(format!("`{text}` is no field of a schedule: numbers from {low} to {high}"));
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: usize = step.parse().ok().filter(|step| *step > 0).ok_or_else(wrong)?;
        let number =
            |text: &str| text.parse::<u8>().ok().filter(|n| (low..=high).contains(n)).ok_or_else(wrong);
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (number(from)?, number(to)?),
            // A step after a single number goes on to the end.
            None if part.contains('/') => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(wrong());
        }
        set |= (from..=to).step_by(step).fold(0, |set, n| set | 1_u64 << n);
    }
    Ok(set)
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
            ("5/20 * * * *", "2026-11-30T12:26:00Z", "2026-11-30T12:45:00Z"),
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

    /// Berlin set its clocks forward at 2 o'clock on 29 March 2026, and back at 3 on 25 October.
    #[test]
    fn times_in_a_zone_that_sets_its_clocks() {
        let cron = Cron::in_zone("30 2 * * *", TimeZone::get("Europe/Berlin").unwrap()).unwrap();
        let mut at = micros("2026-03-27T12:00:00Z");
        for wanted in ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"] {
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
