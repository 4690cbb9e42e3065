use std::cmp::Ordering::{Equal, Greater, Less};

use super::*;

const DAY: i64 = MICROS_PER_DAY;

/// Text, and whether it is a date, dateTime, instant, and any of FHIRPath's and search's.
#[test]
fn shapes() {
    for (text, date, date_time, instant, partial) in [
        ("2015", true, true, false, true),
        ("2015-02", true, true, false, true),
        ("2015-02-28", true, true, false, true),
        ("0001-01-01", true, true, false, true),
        ("9999-12-31", true, true, false, true),
        ("2015-02-04T14:34:28Z", false, true, true, true),
        ("2015-02-04T14:34:28+14:00", false, true, true, true),
        ("2015-02-04T14:34:28.123456789012-13:59", false, true, true, true),
        ("2015-06-30T23:59:60Z", false, true, true, true),
        ("2015-02-04T14:34:28", false, false, false, true),
        ("2015-02-04T14:34Z", false, false, false, true),
        ("2015-02-04T14", false, false, false, true),
        ("2016-02-29", true, true, false, true),
        ("2000-02-29", true, true, false, true),
        ("1900-02-29", false, false, false, false),
        ("2015-02-29", false, false, false, false),
        ("2015-04-31", false, false, false, false),
        ("2015-13", false, false, false, false),
        ("2015-00", false, false, false, false),
        ("2015-01-00", false, false, false, false),
        ("0000", false, false, false, false),
        ("201", false, false, false, false),
        ("20155", false, false, false, false),
        ("2015-2-4", false, false, false, false),
        ("2015-", false, false, false, false),
        (" 2015", false, false, false, false),
        ("2015-02-04 14:34:28Z", false, false, false, false),
        ("2015-02-04T", false, false, false, false),
        ("2015-02-04T24:00:00Z", false, false, false, false),
        ("2015-02-04T14:60:00Z", false, false, false, false),
        ("2015-02-04T14:34:61Z", false, false, false, false),
        ("2015-02-04T14:34:28.Z", false, false, false, false),
        ("2015-02-04T14:34:28z", false, false, false, false),
        ("2015-02-04T14:34:28+14:01", false, false, false, false),
        ("2015-02-04T14:34:28+05", false, false, false, false),
        ("2015-02-04T14:34:28+05:60", false, false, false, false),
        ("", false, false, false, false),
        ("２０１５", false, false, false, false),
    ] {
        assert_eq!(DateTime::date(text).is_some(), date, "date {text}");
        assert_eq!(DateTime::date_time(text).is_some(), date_time, "dateTime {text}");
        assert_eq!(DateTime::instant(text).is_some(), instant, "instant {text}");
        assert_eq!(DateTime::partial(text).is_some(), partial, "partial {text}");
        if let Some(parsed) = DateTime::partial(text).filter(|_| text.len() < 30) {
            assert_eq!(parsed.to_string(), text, "written back");
        }
    }
}

#[test]
fn ranges() {
    for (text, low, length) in [
        ("1970", 0, 365 * DAY),
        ("1972", 730 * DAY, 366 * DAY),
        ("1970-02", 31 * DAY, 28 * DAY),
        ("1970-01-02", DAY, DAY),
        ("1970-01-01T01", 3_600_000_000, 3_600_000_000),
        ("1970-01-01T00:01", 60_000_000, 60_000_000),
        ("1970-01-01T00:00:01Z", 1_000_000, 1_000_000),
        ("1970-01-01T00:00:00.5Z", 500_000, 100_000),
        ("1970-01-01T00:00:00.123Z", 123_000, 1_000),
        ("1970-01-01T00:00:00.123456Z", 123_456, 1),
        ("1970-01-01T00:00:00.123456789Z", 123_456, 1),
        ("1970-01-01T01:00:00+01:00", 0, 1_000_000),
        ("1969-12-31T19:00:00-05:00", 0, 1_000_000),
        ("1969-12-31", -DAY, DAY),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000, 1_000_000),
    ] {
        let range = DateTime::partial(text).unwrap().range_micros();
        assert_eq!(range, (low, low + length - 1), "{text}");
    }
    assert_eq!(DateTime::date("0001").unwrap().range_micros().0, -62_135_596_800_000_000);
    assert_eq!(DateTime::date("9999").unwrap().range_micros().1, 253_402_300_799_999_999);
}

#[test]
fn every_day_is_after_the_one_before() {
    let mut expected = days_from_civil(1, 1, 1);
    for year in 1..=9999 {
        for month in 1..=12 {
            for day in [1, days_in_month(year, month)] {
                let days = days_from_civil(year, month, day);
                assert_eq!(civil_from_days(days), (i64::from(year), month, day));
                assert_eq!(days, expected + i64::from(day) - 1);
            }
            expected += i64::from(days_in_month(year, month));
        }
    }
}

#[test]
fn instants_are_written_with_milliseconds() {
    for (micros, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_483_228_799_999_999, "2016-12-31T23:59:59.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (i64::MIN, "0001-01-01T00:00:00.000Z"),
        (i64::MAX, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(format_instant(micros), text);
    }
    let millis = 1_700_000_000_123;
    assert_eq!(DateTime::from_millis(millis).unwrap().to_string(), format_instant(millis * 1000));
}

#[test]
fn order() {
    for (left, right, order) in [
        ("2015", "2016", Some(Less)),
        ("2015", "2015-02", None),
        ("2015-03", "2015-02-01", Some(Greater)),
        ("2015-02-04", "2015-02-04", Some(Equal)),
        ("2015-02-04", "2015-02-04T10:00:00Z", None),
        ("2015-02-05", "2015-02-04T10:00:00Z", Some(Greater)),
        ("2015-02-04T10:00:00Z", "2015-02-04T12:00:00+02:00", Some(Equal)),
        ("2015-02-04T10:00:00Z", "2015-02-04T12:00:00+01:00", Some(Less)),
        ("2015-02-04T10:00:00", "2015-02-04T10:00:00.000", Some(Equal)),
        ("2015-02-04T10:00:00", "2015-02-04T10:00:00.001", Some(Less)),
        ("2015-02-04T10:00", "2015-02-04T10:00:00", None),
        ("2015-02-04T10:00:00Z", "2015-02-04T10:00:00", None),
        ("2015-02-04T10:00:00Z", "2015-02-06T10:00:00", Some(Less)),
    ] {
        let (left, right) = (DateTime::partial(left).unwrap(), DateTime::partial(right).unwrap());
        assert_eq!(left.compare(&right), order, "{left} {right}");
        assert_eq!(right.compare(&left), order.map(std::cmp::Ordering::reverse), "{right} {left}");
    }
}

#[test]
fn moving() {
    let months =
        |text: &str, months| DateTime::partial(text).unwrap().plus_months(months).map(|it| it.to_string());
    assert_eq!(months("2016-01-31", 1).as_deref(), Some("2016-02-29"));
    assert_eq!(months("2015-12-15", -12).as_deref(), Some("2014-12-15"));
    assert_eq!(months("2015-01", -1).as_deref(), Some("2014-12"));
    assert_eq!(months("9999-12", 1), None);
    assert_eq!(months("0001-01", -1), None);
    assert_eq!(months("2015", i64::MAX), None);
    let micros =
        |text: &str, micros| DateTime::partial(text).unwrap().plus_micros(micros).map(|it| it.to_string());
    assert_eq!(
        micros("2015-12-31T23:59:59.5+10:00", 500_000).as_deref(),
        Some("2016-01-01T00:00:00.0+10:00")
    );
    assert_eq!(micros("2015-01-01", -DAY).as_deref(), Some("2014-12-31"));
    assert_eq!(micros("9999-12-31", DAY), None);
    assert_eq!(micros("2015", i64::MAX), None);
    assert_eq!(Time::parse("23:00:00").unwrap().plus_micros(2 * MICROS_PER_HOUR).to_string(), "01:00:00");
}

#[test]
fn times() {
    assert_eq!(Time::parse("14:34:28.123").unwrap().to_string(), "14:34:28.123");
    assert_eq!(Time::partial("14").unwrap().range_micros(), (14 * MICROS_PER_HOUR, 15 * MICROS_PER_HOUR - 1));
    for wrong in ["14:34", "24:00:00", "14:34:28Z", "1:00:00", "14:34:28."] {
        assert!(Time::parse(wrong).is_none(), "{wrong}");
    }
}
