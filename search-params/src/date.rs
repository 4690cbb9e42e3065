//! `date` parameters: <https://hl7.org/fhir/R4/search.html#date>
//!
//! Every date is a range: `2015` is the whole year, a Period lasts from its start to its end, a Timing from its
//! first to its last event. A missing end of a Period is open. What names no time zone, in a resource or in a search, is
//! meant in that of the settings: a day is a day there.

use fhir_model::date::{DateTime, Precision, Zone};
use fhir_model::json::Ref;
use fhir_model::{Error, Result};

use crate::condition::{Condition, DateTest};
use crate::index_hash::{Form, IndexHasher};
use crate::index_writer::IndexWriter;
use crate::param::{Param, Role};
use crate::prefix::{PREFIXES, Prefix};

/// A date as it is asked for: all it can mean, in microseconds, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTerm {
    /// How it compares.
    pub prefix: Prefix,
    /// First microsecond.
    pub low: i64,
    /// Last microsecond.
    pub high: i64,
}

impl DateTerm {
    /// Parses `ge2015-03`, in a zone. `now` (µs) is what `ap` measures its tenth from.
    ///
    /// # Errors
    ///
    /// `Value` when the text is not a prefix and a date.
    pub fn parse(text: &str, now: i64, zone: &Zone) -> Result<DateTerm> {
        let (prefix, date) = Prefix::split(text);
        let (low, high) = range(date, zone).ok_or_else(|| {
            Error::value(format!(
                "`{text}` is not a date such as 2026, 2026-01, 2026-01-31, 2026-01-31T08:30Z or \
                 2026-01-31T08:30:00+03:00 (with + written as %2B), after a prefix ({PREFIXES}) or without one"
            ))
        })?;
        if prefix != Prefix::Ap {
            return Ok(DateTerm { prefix, low, high });
        }
        // A tenth of the distance between now and the date, as the specification suggests.
        let widen = (now.saturating_sub(low)).saturating_abs() / 10;
        Ok(DateTerm { prefix, low: low.saturating_sub(widen), high: high.saturating_add(widen) })
    }
}

/// First and last microsecond of a date, dateTime or instant. A space where a `+` was lost to URL decoding is
/// taken for the `+`.
fn range(text: &str, zone: &Zone) -> Option<(i64, i64)> {
    let found = match DateTime::partial(text) {
        None if text.contains(' ') => DateTime::partial(&text.replace(' ', "+")),
        found => found,
    };
    // "The minutes SHALL be present if an hour is present".
    found.filter(|d| d.precision() != Precision::Hour).map(|d| d.range_micros_in(zone))
}

pub(crate) fn index(value: Ref<'_>, type_name: &str, writer: &mut IndexWriter<'_>) {
    let zone = writer.zone;
    let bounds = |value: Option<Ref<'_>>| value.and_then(Ref::str).and_then(|t| range(&t, zone));
    let found = match type_name {
        "Period" => {
            let (start, end) = (bounds(value.get("start")), bounds(value.get("end")));
            (start.is_some() || end.is_some())
                .then(|| (start.map_or(i64::MIN, |s| s.0), end.map_or(i64::MAX, |e| e.1)))
        }
        "Timing" => timing(value, zone),
        _ => bounds(Some(value)),
    };
    if let Some((low, high)) = found {
        writer.date(low, high);
    }
}

/// The outer limits of a Timing: its events and its `repeat.boundsPeriod`.
fn timing(value: Ref<'_>, zone: &Zone) -> Option<(i64, i64)> {
    let events = value.get("event").into_iter().flat_map(Ref::items).filter_map(|e| range(&e.str()?, zone));
    let bounds = value.get("repeat").and_then(|r| r.get("boundsPeriod")).and_then(|p| {
        let end = |name| p.get_str(name).and_then(|t| range(&t, zone));
        let (start, end) = (end("start"), end("end"));
        (start.is_some() || end.is_some())
            .then(|| (start.map_or(i64::MIN, |s| s.0), end.map_or(i64::MAX, |e| e.1)))
    });
    events.chain(bounds).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// What a prefix asks of a stored range; any of the tests may pass.
pub(crate) fn tests(term: &DateTerm) -> Vec<DateTest> {
    let (low, high) = (term.low, term.high);
    let open = DateTest::default();
    let after = high.saturating_add(1);
    let before = low.saturating_sub(1);
    match term.prefix {
        Prefix::Eq => vec![DateTest { low_min: Some(low), high_max: Some(high), ..open }],
        Prefix::Ne => {
            vec![DateTest { low_max: Some(before), ..open }, DateTest { high_min: Some(after), ..open }]
        }
        Prefix::Gt => vec![DateTest { high_min: Some(after), ..open }],
        Prefix::Lt => vec![DateTest { low_max: Some(before), ..open }],
        // Reaches beyond, or is contained: a range that begins within and ends within does neither less.
        Prefix::Ge => {
            vec![DateTest { high_min: Some(after), ..open }, DateTest { low_min: Some(low), ..open }]
        }
        Prefix::Le => {
            vec![DateTest { low_max: Some(before), ..open }, DateTest { high_max: Some(high), ..open }]
        }
        Prefix::Sa => vec![DateTest { low_min: Some(after), ..open }],
        Prefix::Eb => vec![DateTest { high_max: Some(before), ..open }],
        Prefix::Ap => vec![DateTest { low_max: Some(high), high_min: Some(low), ..open }],
    }
}

pub(crate) fn condition(term: &DateTerm, param: &Param, hasher: &IndexHasher) -> Condition {
    let tests = tests(term);
    let each = param.indexes.iter().flat_map(|index| {
        let key = hasher.key(param.type_number, &index.name, Form::Ordered, &[]);
        let primary = index.role == Role::PrimaryDate;
        tests.iter().map(move |test| match primary {
            true => Condition::PrimaryDate(*test),
            false => Condition::DateEntry(key, *test),
        })
    });
    Condition::Any(each.collect())
}

/// A moment begins when it ends: what a prefix asks is bounds on the one column, which an index serves.
pub(crate) fn updated(term: &DateTerm) -> Condition {
    let each = tests(term).into_iter().map(|test| DateTest {
        low_min: test.low_min.max(test.high_min),
        low_max: [test.low_max, test.high_max].into_iter().flatten().min(),
        ..DateTest::default()
    });
    let mut tests: Vec<DateTest> = each.collect();
    // `ge` and `le` are two tests, one of which says more of a moment than the other.
    if let ([a, b], Prefix::Ge | Prefix::Le) = (tests.as_slice(), term.prefix) {
        let wider = DateTest { low_min: a.low_min.min(b.low_min), low_max: a.low_max.max(b.low_max), ..*a };
        tests = vec![wider];
    }
    Condition::Any(tests.into_iter().map(Condition::Updated).collect()).simplify()
}

#[cfg(test)]
mod tests_of_date {
    use super::*;

    #[test]
    fn what_is_no_date() {
        for bad in ["", "2015-13", "2015-02-30", "2013-03-14T10", "gt", "2015-1-1", "yesterday", "20150101"] {
            assert!(DateTerm::parse(bad, 0, &Zone::UTC).is_err(), "{bad}");
        }
        assert!(DateTerm::parse("2013-03-14T10:00", 0, &Zone::UTC).is_ok());
    }

    /// The rows of the specification's table, on days: the stored range, the query, whether it is found.
    #[test]
    fn prefixes_on_ranges() {
        let rows = [
            // stored            query           found
            ("2015-01-14", "2015-01-14", true),
            ("2015-01-14T10:00:00Z", "2015-01-14", true),
            ("2015-01", "2015-01-14", false),
            ("2015-01-14", "ne2015-01-14", false),
            ("2015-01-14", "gt2015-01-14", false),
            ("2015-01-14", "ge2015-01-14", true),
            ("2015-01", "gt2015-01-14", true),
            ("2015-01", "lt2015-01-14", true),
            ("2015-01-14", "lt2015-01-14T10:00", true),
            ("2015-01-14", "gt2015-01-14T10:00", true),
            ("2015-01-14", "le2015-01", true),
            ("2015-01-14", "sa2015-01-13", true),
            ("2015-01-14", "sa2015-01-14", false),
            ("2015-01-14", "eb2015-01-15", true),
            ("2015-01-14", "eb2015-01-14", false),
            ("2015-01-14T23:00:00-05:00", "2015-01-15", true),
        ];
        for (stored, query, found) in rows {
            let (low, high) = range(stored, &Zone::UTC).unwrap();
            let term = DateTerm::parse(query, 0, &Zone::UTC).unwrap();
            assert_eq!(tests(&term).iter().any(|t| t.passes(low, high)), found, "{query} of {stored}");
        }
    }
}
