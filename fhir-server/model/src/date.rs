//! Partial dates and times: text that means a span, not a point.
//!
//! <https://hl7.org/fhir/R4/datatypes.html#dateTime>, <https://hl7.org/fhir/R4/search.html#date>
//!
//! `2015-02` means all of February: [`DateTime::range_micros`] gives its first and last microsecond. Parsing
//! allocates nothing. **Invariant:** a `DateTime` is a day that exists, between the years 0001 and 9999.

mod calendar;
mod compare;
mod parse;
mod zone;

use std::fmt;

pub use calendar::civil_from_days;
use calendar::{days_from_civil, days_in_month};
pub use zone::Zone;

/// How much of a date and time was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "plain words")]
pub enum Precision {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// A second with a fraction.
    Fraction,
}

/// A `date`, `dateTime` or `instant`, as far as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    year: u16,
    month: u8,
    day: u8,
    /// Hour and smaller; zero where not written.
    time: Time,
    /// Minutes east of Greenwich, when written.
    offset: Option<i16>,
    precision: Precision,
}

/// A time of day, as far as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    hour: u8,
    minute: u8,
    /// Up to 60, for leap seconds.
    second: u8,
    nanos: u32,
    /// Digits of the fraction as written; those after the ninth count for nothing else.
    digits: u8,
    precision: Precision,
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

impl DateTime {
    /// A `date`: `2015`, `2015-02`, `2015-02-04`.
    pub fn date(text: &str) -> Option<DateTime> {
        DateTime::partial(text).filter(|it| it.precision <= Precision::Day)
    }

    /// A `dateTime`: a date, or seconds at least with a time zone.
    #[expect(clippy::self_named_constructors, reason = "named after FHIR's type, as its siblings are")]
    pub fn date_time(text: &str) -> Option<DateTime> {
        DateTime::partial(text).filter(|it| {
            it.precision <= Precision::Day || (it.precision >= Precision::Second && it.offset.is_some())
        })
    }

    /// An `instant`: seconds at least, with a time zone.
    pub fn instant(text: &str) -> Option<DateTime> {
        DateTime::partial(text).filter(|it| it.precision >= Precision::Second && it.offset.is_some())
    }

    /// The point in time, in UTC, with millisecond precision.
    pub fn from_millis(millis: i64) -> Option<DateTime> {
        let days = millis.div_euclid(MICROS_PER_DAY / 1000);
        let (year, month, day) = civil_from_days(days);
        let year = u16::try_from(year).ok().filter(|year| (1..=9999).contains(year))?;
        let time = Time::from_micros(millis.rem_euclid(MICROS_PER_DAY / 1000) * 1000, Precision::Fraction, 3);
        Some(DateTime { year, month, day, time, offset: Some(0), precision: Precision::Fraction })
    }

    /// How much was written.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Minutes east of Greenwich, when written.
    pub fn offset_minutes(&self) -> Option<i16> {
        self.offset
    }

    /// Year, month and day; the latter two are 1 where not written.
    pub fn ymd(&self) -> (u16, u8, u8) {
        (self.year, self.month, self.day)
    }

    /// The time of day, when written.
    pub fn time(&self) -> Option<Time> {
        (self.precision >= Precision::Hour).then_some(self.time)
    }

    /// The date alone.
    #[must_use]
    pub fn to_date(mut self) -> DateTime {
        self.precision = self.precision.min(Precision::Day);
        self.time = Time::MIDNIGHT;
        self.offset = None;
        self
    }

    /// The first and the last microsecond it can mean, since 1970-01-01T00:00:00Z. Without a time zone: UTC; see
    /// [`DateTime::range_micros_in`].
    pub fn range_micros(&self) -> (i64, i64) {
        let (low, length) = match self.precision {
            Precision::Year => {
                let length = days_from_civil(i32::from(self.year) + 1, 1, 1) - self.days();
                (self.days() * MICROS_PER_DAY, length * MICROS_PER_DAY)
            }
            Precision::Month => {
                let length = i64::from(days_in_month(i32::from(self.year), self.month));
                (self.days() * MICROS_PER_DAY, length * MICROS_PER_DAY)
            }
            Precision::Day => (self.days() * MICROS_PER_DAY, MICROS_PER_DAY),
            _ => (self.days() * MICROS_PER_DAY + self.time.micros(), self.time.length_micros()),
        };
        let low = low - i64::from(self.offset.unwrap_or(0)) * MICROS_PER_MINUTE;
        (low, low + length - 1)
    }

    /// Later by a number of months (earlier when negative). The last day of the month stands in for a day the
    /// month does not have.
    pub fn plus_months(mut self, months: i64) -> Option<DateTime> {
        let month = i64::from(self.year) * 12 + i64::from(self.month) - 1;
        let month = month.checked_add(months)?;
        self.year = u16::try_from(month.div_euclid(12)).ok().filter(|year| (1..=9999).contains(year))?;
        self.month = month.rem_euclid(12) as u8 + 1;
        self.day = self.day.min(days_in_month(i32::from(self.year), self.month));
        Some(self)
    }

    /// Later by a number of microseconds (earlier when negative), in its own time zone and precision.
    pub fn plus_micros(mut self, micros: i64) -> Option<DateTime> {
        let below = i64::from(self.time.nanos % 1000) as u32;
        let local = (self.days() * MICROS_PER_DAY + self.time.micros()).checked_add(micros)?;
        let (year, month, day) = civil_from_days(local.div_euclid(MICROS_PER_DAY));
        self.year = u16::try_from(year).ok().filter(|year| (1..=9999).contains(year))?;
        (self.month, self.day) = (month, day);
        let of_day = local.rem_euclid(MICROS_PER_DAY);
        self.time = Time::from_micros(of_day, self.time.precision, self.time.digits);
        self.time.nanos += below;
        Some(self)
    }

    /// The same start with another precision: what was not written becomes the least possible.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> DateTime {
        self.precision = precision;
        self.time.precision = precision;
        self.time.digits = if precision == Precision::Fraction { self.time.digits.max(3) } else { 0 };
        if precision < Precision::Hour {
            self.time = Time::MIDNIGHT;
            self.offset = None;
        }
        self
    }

    /// The same with another (or no) time zone written.
    #[must_use]
    pub fn with_offset(mut self, minutes: Option<i16>) -> DateTime {
        self.offset = minutes;
        self
    }

    fn days(&self) -> i64 {
        days_from_civil(i32::from(self.year), self.month, self.day)
    }
}

/// The text of an `instant` in UTC with milliseconds, from microseconds since 1970-01-01T00:00:00Z. Points before
/// the year 0001 or after 9999 become the nearest that can be written.
pub fn format_instant(micros: i64) -> String {
    let first = days_from_civil(1, 1, 1) * MICROS_PER_DAY;
    let last = days_from_civil(10_000, 1, 1) * MICROS_PER_DAY - 1;
    let micros = micros.clamp(first, last);
    let (year, month, day) = civil_from_days(micros.div_euclid(MICROS_PER_DAY));
    let time = Time::from_micros(micros.rem_euclid(MICROS_PER_DAY), Precision::Fraction, 3);
    format!("{year:04}-{month:02}-{day:02}T{time}Z")
}

impl Time {
    const MIDNIGHT: Time =
        Time { hour: 0, minute: 0, second: 0, nanos: 0, digits: 0, precision: Precision::Hour };

    /// A `time`: `14:34:28`, with or without a fraction.
    pub fn parse(text: &str) -> Option<Time> {
        Time::partial(text).filter(|it| it.precision >= Precision::Second)
    }

    /// How much was written: `Hour` or finer.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Digits of the fraction.
    pub fn digits(&self) -> u8 {
        self.digits
    }

    /// Hour, minute, second and nanoseconds; zero where not written.
    pub fn hms(&self) -> (u8, u8, u8, u32) {
        (self.hour, self.minute, self.second, self.nanos)
    }

    /// The first and the last microsecond of the day it can mean.
    pub fn range_micros(&self) -> (i64, i64) {
        (self.micros(), self.micros() + self.length_micros() - 1)
    }

    /// Later by a number of microseconds, past midnight starting over.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Time {
        let below = self.nanos % 1000;
        let of_day = (self.micros() + micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY);
        let mut later = Time::from_micros(of_day, self.precision, self.digits);
        later.nanos += below;
        later
    }

    /// The same start with another precision.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Time {
        self.precision = precision;
        self.digits = if precision == Precision::Fraction { self.digits.max(3) } else { 0 };
        self
    }

    fn micros(&self) -> i64 {
        i64::from(self.hour) * MICROS_PER_HOUR
            + i64::from(self.minute) * MICROS_PER_MINUTE
            + i64::from(self.second) * MICROS_PER_SECOND
            + i64::from(self.nanos / 1000)
    }

    fn length_micros(&self) -> i64 {
        match self.precision {
            Precision::Minute => MICROS_PER_MINUTE,
            Precision::Second => MICROS_PER_SECOND,
            Precision::Fraction => 10_i64.pow(6 - u32::from(self.digits.min(6))),
            _ => MICROS_PER_HOUR,
        }
    }

    fn from_micros(of_day: i64, precision: Precision, digits: u8) -> Time {
        let second = of_day / MICROS_PER_SECOND;
        Time {
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            nanos: (of_day % MICROS_PER_SECOND) as u32 * 1000,
            digits,
            precision,
        }
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.precision >= Precision::Month {
            write!(f, "-{:02}", self.month)?;
        }
        if self.precision >= Precision::Day {
            write!(f, "-{:02}", self.day)?;
        }
        if self.precision < Precision::Hour {
            return Ok(());
        }
        write!(f, "T{}", self.time)?;
        match self.offset {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
            }
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.hour)?;
        if self.precision >= Precision::Minute {
            write!(f, ":{:02}", self.minute)?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", self.second)?;
        }
        if self.precision == Precision::Fraction {
            let digits = self.digits.clamp(1, 9);
            let fraction = self.nanos / 10_u32.pow(9 - u32::from(digits));
            write!(f, ".{fraction:0width$}", width = usize::from(digits))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
