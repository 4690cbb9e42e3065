//! Dates as spans of microseconds, by arithmetic of its own.

use fhir_model::json::Ref;

const DAY: i64 = 86_400_000_000;

/// Where dates are meant that name no zone.
pub(super) const ZONE: &str = "Africa/Nairobi";

/// Its offsets in seconds, and the first day of each.
const OFFSETS: [((i64, i64, i64), i64); 6] = [
    ((1, 1, 1), 2 * 3600 + 27 * 60 + 16),
    ((1908, 5, 1), 9000),
    ((1928, 7, 1), 10_800),
    ((1930, 1, 5), 9000),
    ((1937, 1, 1), 9900),
    ((1942, 8, 1), 10_800),
];

/// A local time as an instant.
fn instant(local: i64) -> i64 {
    let begun = |(y, m, d): (i64, i64, i64)| days(y, m, d) * DAY <= local;
    let offset =
        OFFSETS.iter().rev().find(|(day, _)| begun(*day)).map_or(OFFSETS[0].1, |(_, offset)| *offset);
    local - offset * 1_000_000
}

/// First and last microsecond of a date, dateTime, instant, Period or Timing. An end that is missing is open.
pub(super) fn span(kind: &str, node: Ref<'_>) -> Option<(i64, i64)> {
    match kind {
        "Period" => period(node),
        "Timing" => {
            let events =
                node.get("event").into_iter().flat_map(Ref::items).filter_map(|e| text_span(&e.str()?));
            let bounds = node.get("repeat").and_then(|r| r.get("boundsPeriod")).and_then(period);
            let all: Vec<_> = events.chain(bounds).collect();
            Some((all.iter().map(|s| s.0).min()?, all.iter().map(|s| s.1).max()?))
        }
        _ => text_span(&node.str()?),
    }
}

fn period(node: Ref<'_>) -> Option<(i64, i64)> {
    let end = |name: &str| node.get_str(name).and_then(|text| text_span(&text));
    match (end("start"), end("end")) {
        (None, None) => None,
        (start, end) => Some((start.map_or(i64::MIN, |s| s.0), end.map_or(i64::MAX, |e| e.1))),
    }
}

fn text_span(text: &str) -> Option<(i64, i64)> {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let parts: Vec<i64> = date.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (from, to) = match *parts.as_slice() {
        [year] => (days(year, 1, 1), days(year + 1, 1, 1)),
        [year, 12] => (days(year, 12, 1), days(year + 1, 1, 1)),
        [year, month] => (days(year, month, 1), days(year, month + 1, 1)),
        [year, month, day] => (days(year, month, day), days(year, month, day) + 1),
        _ => return None,
    };
    let Some(time) = time else { return Some((instant(from * DAY), instant(to * DAY) - 1)) };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let offset = match zone.split_once(':') {
        None => 0,
        Some((hours, minutes)) => {
            let minutes: i64 = hours[1..].parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let parts: Vec<i64> = whole.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (seconds, length) = match *parts.as_slice() {
        [hour, minute] => (hour * 3600 + minute * 60, 60_000_000),
        [hour, minute, second] => (hour * 3600 + minute * 60 + second, 1_000_000),
        _ => return None,
    };
    let digits = &fraction[..fraction.len().min(6)];
    let unit = 10_i64.pow(6 - digits.len() as u32);
    let part = if digits.is_empty() { 0 } else { digits.parse::<i64>().ok()? * unit };
    let length = if digits.is_empty() { length } else { unit };
    let local = from * DAY + seconds * 1_000_000 + part;
    let low = if zone.is_empty() { instant(local) } else { local - offset * 60_000_000 };
    Some((low, low + length - 1))
}

/// Days from 1970-01-01, counted in years and months.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leap = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    let before = |y: i64| (y - 1) * 365 + (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400;
    const MONTHS: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    before(year) - before(1970) + MONTHS[month as usize - 1] + i64::from(month > 2 && leap(year)) + day - 1
}

/// `2015-02-03T04:05:06.789012Z` of a number of microseconds.
pub(super) fn text(micros: i64) -> String {
    let of_day = micros.rem_euclid(DAY);
    let day = micros.div_euclid(DAY);
    let year = (1900..2200).rev().find(|y| days(*y, 1, 1) <= day).unwrap();
    let month = (1..=12).rev().find(|m| days(year, *m, 1) <= day).unwrap();
    let (second, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    format!(
        "{year}-{month:02}-{:02}T{:02}:{:02}:{:02}.{fraction:06}Z",
        day - days(year, month, 1) + 1,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[test]
fn spans() {
    for (from, to) in [
        ("1970", "1970-12-31T20:59:59.999999Z"),
        ("2016-02", "2016-02-29T20:59:59.999999Z"),
        ("1935-03-01", "1935-03-01T21:29:59.999999Z"),
        ("2016-02-29T10:00", "2016-02-29T07:00:59.999999Z"),
        ("2015-03-01T10:00+02:00", "2015-03-01T08:00:59.999999Z"),
    ] {
        assert_eq!(text(text_span(from).unwrap().1), to, "{from}");
    }
    assert_eq!(text_span("1970-01-01T00:00:00.001Z"), Some((1000, 1999)));
}
