//! `number` parameters: <https://hl7.org/fhir/R4/search.html#number>
//!
//! Written digits are precision: `100` means [99.5, 100.5). Comparisons take the number as exact.
//! Values are ordered as 64-bit floats: numbers that differ only beyond 17 digits are not told apart.

use fhir_model::decimal::{Decimal, to_sortable};
use fhir_model::json::Ref;
use fhir_model::{Error, Result};

use crate::condition::Condition;
use crate::keyer::{Form, Keyer};
use crate::prefix::Prefix;
use crate::registry::Param;
use crate::sink::Sink;

/// A number as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// How it compares.
    pub prefix: Prefix,
    /// The number itself.
    pub exact: f64,
    /// What its digits cover: from, inclusive.
    pub low: f64,
    /// What its digits cover: to, exclusive.
    pub high: f64,
}

impl Term {
    /// Parses `gt0.5`.
    pub fn parse(text: &str) -> Result<Term> {
        let (prefix, digits) = Prefix::split(text);
        let bad = || Error::value(format!("`{text}` is not a number"));
        let decimal = Decimal::parse(digits).ok_or_else(bad)?;
        let exact = decimal.to_f64();
        if !exact.is_finite() {
            return Err(bad());
        }
        let (low, high) = decimal.range().map_or((exact, exact), |(low, high)| (low.to_f64(), high.to_f64()));
        match prefix {
            Prefix::Ap => {
                let widen = exact.abs() / 10.0;
                Ok(Term { prefix, exact, low: exact - widen, high: exact + widen })
            }
            _ => Ok(Term { prefix, exact, low, high }),
        }
    }

    /// Sortable bounds, both inclusive; any of them may hold.
    pub(crate) fn bounds(&self) -> Vec<(i64, i64)> {
        let (exact, low, high) = (to_sortable(self.exact), to_sortable(self.low), to_sortable(self.high));
        let (below, above) = (i64::MIN, i64::MAX);
        match self.prefix {
            Prefix::Eq => vec![(low, high - 1)],
            Prefix::Ne => vec![(below, low - 1), (high, above)],
            Prefix::Gt | Prefix::Sa => vec![(exact + 1, above)],
            Prefix::Lt | Prefix::Eb => vec![(below, exact - 1)],
            Prefix::Ge => vec![(exact, above)],
            Prefix::Le => vec![(below, exact)],
            Prefix::Ap => vec![(low, high)],
        }
    }
}

/// The sortable value of a number's text.
pub(crate) fn sortable(text: &str) -> Option<i64> {
    text.parse().ok().map(to_sortable)
}

pub(crate) fn index(value: Ref<'_>, sink: &mut Sink<'_>) {
    if let Some(value) = value.number().and_then(sortable) {
        let key = sink.key(Form::Ordered, &[]);
        sink.ordered(key, value, 0);
    }
}

pub(crate) fn condition(term: &Term, param: &Param, keyer: &Keyer) -> Condition {
    let mut any = Vec::new();
    for index in &param.indexes {
        let key = keyer.key(param.type_number, &index.name, Form::Ordered, &[]);
        for (min, max) in term.bounds() {
            any.push(Condition::NumberEntry { key, min, max, units: Vec::new() });
        }
    }
    Condition::Any(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let rows = [
            ("100", 99.5, true),
            ("100", 100.5, false),
            ("100", 100.4999, true),
            ("100.00", 100.004, true),
            ("100.00", 100.005, false),
            ("ne100", 100.2, false),
            ("ne100", 101.0, true),
            ("gt100", 100.0, false),
            ("gt100", 100.1, true),
            ("ge100", 100.0, true),
            ("lt100", 99.9, true),
            ("le100", 100.0, true),
            ("sa100", 100.1, true),
            ("eb100", 99.9, true),
            ("ap100", 91.0, true),
            ("ap100", 89.0, false),
            ("-5", -5.4, true),
            ("0.5", 0.45, true),
        ];
        for (query, value, found) in rows {
            let term = Term::parse(query).unwrap();
            let value_bits = to_sortable(value);
            let hit = term.bounds().iter().any(|(min, max)| (*min..=*max).contains(&value_bits));
            assert_eq!(hit, found, "{query} of {value}");
        }
        for bad in ["", "half", "gt", "1e999", "NaN", "inf", "0x10"] {
            assert!(Term::parse(bad).is_err(), "{bad}");
        }
    }
}
