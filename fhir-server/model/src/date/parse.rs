//! The shapes of dates and times, strict about ranges and separators.

use super::calendar::days_in_month;
use super::{DateTime, Precision, Time};

impl DateTime {
    /// Any precision, with or without a time zone, as search values and FHIRPath allow.
    pub fn partial(text: &str) -> Option<DateTime> {
        date_time(text.as_bytes())
    }
}

impl Time {
    /// Any precision from the hour on, as FHIRPath allows.
    pub fn partial(text: &str) -> Option<Time> {
        time(text.as_bytes())
    }
}

/// `yyyy(-mm(-dd(Thh(:mm(:ss(.f+)?)?)?(Z|+hh:mm)?)?)?)?`
fn date_time(text: &[u8]) -> Option<DateTime> {
    let (year, rest) = number(text, 4)?;
    if year == 0 {
        return None;
    }
    let mut found =
        DateTime { year, month: 1, day: 1, time: Time::MIDNIGHT, offset: None, precision: Precision::Year };
    let Some(rest) = after(rest, b'-')? else { return Some(found) };
    let (month, rest) = number(rest, 2).filter(|(month, _)| (1..=12).contains(month))?;
    found.month = month as u8;
    found.precision = Precision::Month;
    let Some(rest) = after(rest, b'-')? else { return Some(found) };
    let (day, rest) = number(rest, 2)?;
    found.day = day as u8;
    if day == 0 || found.day > days_in_month(i32::from(year), found.month) {
        return None;
    }
    found.precision = Precision::Day;
    let Some(rest) = after(rest, b'T')? else { return Some(found) };
    let (time, rest) = time_start(rest)?;
    found.time = time;
    found.precision = time.precision;
    found.offset = offset(rest)?;
    Some(found)
}

/// `hh(:mm(:ss(.f+)?)?)?`
fn time(text: &[u8]) -> Option<Time> {
    time_start(text).filter(|(_, rest)| rest.is_empty()).map(|(time, _)| time)
}

fn time_start(text: &[u8]) -> Option<(Time, &[u8])> {
    let mut time = Time::MIDNIGHT;
    let (hour, rest) = number(text, 2).filter(|(hour, _)| *hour < 24)?;
    time.hour = hour as u8;
    let [b':', rest @ ..] = rest else { return Some((time, rest)) };
    let (minute, rest) = number(rest, 2).filter(|(minute, _)| *minute < 60)?;
    time.minute = minute as u8;
    time.precision = Precision::Minute;
    let [b':', rest @ ..] = rest else { return Some((time, rest)) };
    // FHIR's own pattern allows a leap second at the end of any minute.
    let (second, rest) = number(rest, 2).filter(|(second, _)| *second <= 60)?;
    time.second = second as u8;
    time.precision = Precision::Second;
    let [b'.', rest @ ..] = rest else { return Some((time, rest)) };
    let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (fraction, rest) = rest.split_at_checked(length)?;
    let nine = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    time.nanos = nine.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    time.digits = u8::try_from(length).unwrap_or(u8::MAX);
    time.precision = Precision::Fraction;
    Some((time, rest))
}

/// Nothing, `Z`, or `+hh:mm` up to 14 hours.
#[expect(clippy::option_option, reason = "outer: is it valid; inner: is it written")]
fn offset(text: &[u8]) -> Option<Option<i16>> {
    let (sign, rest) = match text {
        [] => return Some(None),
        b"Z" => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = number(rest, 2)?;
    let (minutes, rest) = after(rest, b':')?.and_then(|rest| number(rest, 2))?;
    let total = hours * 60 + minutes;
    (rest.is_empty() && minutes < 60 && total <= 14 * 60).then_some(Some(sign * total as i16))
}

/// What follows a separator; nothing at the end of the text.
#[expect(clippy::option_option, reason = "outer: is it valid; inner: is there more")]
fn after(text: &[u8], separator: u8) -> Option<Option<&[u8]>> {
    match text {
        [] => Some(None),
        [first, rest @ ..] if *first == separator => Some(Some(rest)),
        _ => None,
    }
}

/// A number of exactly so many digits, and what follows.
fn number(text: &[u8], digits: usize) -> Option<(u16, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let mut value = 0;
    for digit in number {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u16::from(digit - b'0');
    }
    Some((value, rest))
}
