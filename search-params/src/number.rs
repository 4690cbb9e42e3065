//! `number` parameters: <https://hl7.org/fhir/R4/search.html#number>
//!
//! Written digits are precision: `100` means [99.5, 100.5). Comparisons take the number as exact.
//! A Range is all numbers from its low to its high; an end that is missing is open.
//! Entries are ordered by the nearest 64-bit float and then by what it leaves of the number, which tells apart what
//! differs within some 33 digits.

mod term;

use fhir_model::decimal::{Decimal, to_sortable};
use fhir_model::json::Ref;

pub(crate) use self::term::sortable;
pub use self::term::{NumberTerm, SortableNumber};
use crate::condition::{Condition, DateTest};
use crate::index_hash::{Form, IndexHasher};
use crate::index_writer::IndexWriter;
use crate::param::Param;
use crate::prefix::Prefix;

impl NumberTerm {
    /// What is asked of a stored range, sortable; any of the tests may pass.
    pub(crate) fn tests(&self) -> Vec<DateTest> {
        let near = |number: &Decimal| to_sortable(number.to_f64());
        let (exact, low, high) = (near(&self.exact), near(&self.low), near(&self.high));
        let open = DateTest::default();
        match self.prefix {
            Prefix::Eq => vec![DateTest { low_min: Some(low), high_max: Some(high - 1), ..open }],
            Prefix::Ne => {
                vec![DateTest { low_max: Some(low - 1), ..open }, DateTest { high_min: Some(high), ..open }]
            }
            Prefix::Gt => vec![DateTest { high_min: Some(exact + 1), ..open }],
            Prefix::Lt => vec![DateTest { low_max: Some(exact - 1), ..open }],
            Prefix::Ge => vec![DateTest { high_min: Some(exact), ..open }],
            Prefix::Le => vec![DateTest { low_max: Some(exact), ..open }],
            Prefix::Sa => vec![DateTest { low_min: Some(exact + 1), ..open }],
            Prefix::Eb => vec![DateTest { high_max: Some(exact - 1), ..open }],
            Prefix::Ap => vec![DateTest { low_max: Some(high), high_min: Some(low), ..open }],
        }
    }
}

/// The sortable ends of a Range. Returns `None` when it has neither.
pub(crate) fn ends(range: Ref<'_>) -> Option<(i64, i64)> {
    let end = |name| range.get(name)?.get("value")?.number().and_then(sortable);
    match (end("low"), end("high")) {
        (None, None) => None,
        (low, high) => Some((low.unwrap_or(i64::MIN), high.unwrap_or(i64::MAX))),
    }
}

pub(crate) fn index(value: Ref<'_>, type_name: &str, writer: &mut IndexWriter<'_>) {
    if type_name == "Range" {
        if let Some((low, high)) = ends(value) {
            let key = writer.key(Form::Span, &[]);
            writer.ordered(key, low, high);
        }
    } else if let Some(place) = value.number().and_then(SortableNumber::parse) {
        let key = writer.key(Form::Ordered, &[]);
        writer.ordered(key, place.value, place.rest);
    }
}

pub(crate) fn condition(term: &NumberTerm, param: &Param, hasher: &IndexHasher) -> Condition {
    let mut any = Vec::new();
    for index in &param.indexes {
        let key = hasher.key(param.type_number, &index.name, Form::Ordered, &[]);
        for (from, to) in term.bounds() {
            any.push(Condition::NumberEntry { key, from, to });
        }
        let span = hasher.key(param.type_number, &index.name, Form::Span, &[]);
        if index.has_type(&["Range"]) {
            any.extend(term.tests().into_iter().map(|test| Condition::DateEntry(span, test)));
        }
    }
    Condition::Any(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_on_ranges() {
        let (open, to) = (f64::NEG_INFINITY, |n: f64| n);
        let rows = [
            // query, low, high, found
            ("100", 99.6, to(100.4), true),
            ("100", 99.6, to(100.6), false),
            ("ne100", 99.6, to(100.6), true),
            ("gt100", 90.0, to(110.0), true),
            ("gt100", 90.0, to(100.0), false),
            ("lt100", 90.0, to(110.0), true),
            ("lt100", open, to(110.0), true),
            ("ge100", 90.0, to(100.0), true),
            ("le100", 100.0, to(110.0), true),
            ("le100", 101.0, to(110.0), false),
            ("sa100", 90.0, to(110.0), false),
            ("sa100", 100.1, f64::INFINITY, true),
            ("eb100", open, to(99.9), true),
            ("eb100", open, to(100.0), false),
            ("ap100", 80.0, to(91.0), true),
            ("ap100", 80.0, to(89.0), false),
        ];
        for (query, low, high, found) in rows {
            let tests = NumberTerm::parse(query).unwrap().tests();
            let hit = tests.iter().any(|t| t.passes(to_sortable(low), to_sortable(high)));
            assert_eq!(hit, found, "{query} of {low} to {high}");
        }
    }
}
