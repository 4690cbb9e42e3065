//! A number as it is asked for, and the sortable form that entries have it in.

use std::cmp::Ordering;

use fhir_model::decimal::{Decimal, to_sortable};
use fhir_model::ucum::CanonicalUnit;
use fhir_model::{Error, Result};

use crate::prefix::{PREFIXES, Prefix};

/// A number with at most so many digits is the shortest text of its nearest float, so that the remainder is 0.
const FLOAT_DIGITS: usize = 15;

/// A number as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberTerm {
    /// How it compares.
    pub prefix: Prefix,
    /// The number itself.
    pub exact: Decimal,
    /// What its digits cover: from, inclusive.
    pub low: Decimal,
    /// What its digits cover: to, exclusive.
    pub high: Decimal,
}

impl NumberTerm {
    /// Parses `gt0.5`.
    ///
    /// # Errors
    ///
    /// `Value` when the text is not a prefix and a number.
    pub fn parse(text: &str) -> Result<NumberTerm> {
        let (prefix, digits) = Prefix::split(text);
        let bad = || {
            Error::value(format!(
                "`{text}` is not a number such as 5.4, after a prefix ({PREFIXES}) or without one"
            ))
        };
        let exact = Decimal::parse(digits).filter(|d| d.to_f64().is_finite()).ok_or_else(bad)?;
        let range = match prefix {
            Prefix::Ap => tenth(&exact).and_then(|tenth| Some((exact.minus(&tenth)?, exact.plus(&tenth)?))),
            _ => exact.range(),
        };
        let (low, high) = range.unwrap_or_else(|| (exact.clone(), exact.clone()));
        Ok(NumberTerm { prefix, exact, low, high })
    }

    /// The same in another unit, which this one converts to.
    pub(crate) fn converted(&self, this: &CanonicalUnit, other: &CanonicalUnit) -> Option<NumberTerm> {
        let convert = |number: &Decimal| other.from_base(&this.to_base(number)?);
        let (exact, low, high) = (convert(&self.exact)?, convert(&self.low)?, convert(&self.high)?);
        Some(NumberTerm { prefix: self.prefix, exact, low, high })
    }

    /// Bounds, both inclusive; any of them may hold.
    pub(crate) fn bounds(&self) -> Vec<(SortableNumber, SortableNumber)> {
        let (exact, low, high) = (
            SortableNumber::from_decimal(&self.exact),
            SortableNumber::from_decimal(&self.low),
            SortableNumber::from_decimal(&self.high),
        );
        // Where no sortable number lies between the bounds, the range is the number itself.
        let last = if low < high { high.before() } else { low };
        match self.prefix {
            Prefix::Eq => vec![(low, last)],
            Prefix::Ne => {
                vec![(SortableNumber::LEAST, low.before()), (last.after(), SortableNumber::GREATEST)]
            }
            Prefix::Gt | Prefix::Sa => vec![(exact.after(), SortableNumber::GREATEST)],
            Prefix::Lt | Prefix::Eb => vec![(SortableNumber::LEAST, exact.before())],
            Prefix::Ge => vec![(exact, SortableNumber::GREATEST)],
            Prefix::Le => vec![(SortableNumber::LEAST, exact)],
            Prefix::Ap => vec![(low, high)],
        }
    }

    /// Bounds on the floats alone: quantities, whose entries have the unit where those of numbers have the rest. A float is
    /// taken for the number that it is written shortest; the number that is asked for is always found by itself.
    pub(crate) fn float_bounds(&self) -> Vec<(i64, i64)> {
        let exact = to_sortable(self.exact.to_f64());
        let ((low, above_low), (high, above_high)) = (nearest_float(&self.low), nearest_float(&self.high));
        let from = (low + i64::from(above_low.is_gt())).min(exact);
        let to = (high - i64::from(above_high.is_le())).max(exact);
        match self.prefix {
            Prefix::Eq => vec![(from, to)],
            Prefix::Ne => vec![(i64::MIN, from - 1), (to + 1, i64::MAX)],
            Prefix::Gt | Prefix::Sa => vec![(exact + 1, i64::MAX)],
            Prefix::Lt | Prefix::Eb => vec![(i64::MIN, exact - 1)],
            Prefix::Ge => vec![(exact, i64::MAX)],
            Prefix::Le => vec![(i64::MIN, exact)],
            Prefix::Ap => vec![(from, high - i64::from(above_high.is_lt()))],
        }
    }
}

/// A number in sortable form: compares as the numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortableNumber {
    /// The nearest float, as [`to_sortable`] has it.
    pub value: i64,
    /// What the number is more than the float (as it is written shortest), in the same way; nearly always 0.
    pub rest: i64,
}

impl SortableNumber {
    const LEAST: SortableNumber = SortableNumber { value: i64::MIN, rest: i64::MIN };
    const GREATEST: SortableNumber = SortableNumber { value: i64::MAX, rest: i64::MAX };

    fn from_decimal(number: &Decimal) -> SortableNumber {
        let float = number.to_f64();
        let rest = Decimal::from_f64(float).and_then(|near| number.minus(&near));
        SortableNumber {
            value: to_sortable(float),
            rest: to_sortable(rest.map_or(0.0, |rest| rest.to_f64())),
        }
    }

    /// The sortable form of a number's text.
    pub(crate) fn parse(text: &str) -> Option<SortableNumber> {
        match text.bytes().filter(u8::is_ascii_digit).count() <= FLOAT_DIGITS {
            true => sortable(text).map(|value| SortableNumber { value, rest: 0 }),
            false => Decimal::parse(text).map(|number| SortableNumber::from_decimal(&number)),
        }
    }

    // Rests are floats that end far from the ends of an integer.
    fn before(self) -> SortableNumber {
        SortableNumber { rest: self.rest - 1, ..self }
    }

    fn after(self) -> SortableNumber {
        SortableNumber { rest: self.rest + 1, ..self }
    }
}

/// The sortable float next to a number, and how the number compares with what that float is written shortest. What a
/// conversion of units leaves in the last of its digits is no difference.
fn nearest_float(number: &Decimal) -> (i64, Ordering) {
    const SAME: f64 = 1e-24;
    let float = number.to_f64();
    let rest =
        Decimal::from_f64(float).and_then(|near| number.minus(&near)).map_or(0.0, |rest| rest.to_f64());
    let order = match rest.abs() <= float.abs() * SAME {
        true => Ordering::Equal,
        false => rest.total_cmp(&0.0),
    };
    (to_sortable(float), order)
}

fn tenth(number: &Decimal) -> Option<Decimal> {
    number.clone().abs().divided_by(&Decimal::from(10))
}

/// The sortable float of a number's text.
pub(crate) fn sortable(text: &str) -> Option<i64> {
    text.parse().ok().map(to_sortable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_leaves_nothing_of_what_it_can_write() {
        for text in ["0", "0.1", "-12.5", "123456789012345", "0.000000123456789012345", "1.5e-10"] {
            let place = SortableNumber::from_decimal(&Decimal::parse(text).unwrap());
            assert_eq!((Some(place), place.rest), (SortableNumber::parse(text), 0), "{text}");
        }
    }

    #[test]
    fn prefixes() {
        let rows = [
            ("100", "99.5", true),
            ("100", "100.5", false),
            ("100", "100.4999", true),
            ("100.00", "100.004", true),
            ("100.00", "100.005", false),
            ("ne100", "100.2", false),
            ("ne100", "101.0", true),
            ("gt100", "100.0", false),
            ("gt100", "100.1", true),
            ("ge100", "100.0", true),
            ("lt100", "99.9", true),
            ("le100", "100.0", true),
            ("sa100", "100.1", true),
            ("eb100", "99.9", true),
            ("ap100", "91.0", true),
            ("ap100", "110", true),
            ("ap100", "89.0", false),
            ("ap-100", "-110", true),
            ("-5", "-5.4", true),
            ("0.5", "0.45", true),
            // As many digits as a float has.
            ("0.9816277197801062", "0.9816277197801062", true),
            ("0.9816277197801062", "0.9816277197801061", false),
            ("0.9816277197801062", "0.9816277197801063", false),
            ("ne0.9816277197801062", "0.9816277197801062", false),
            ("ne0.9816277197801062", "0.9816277197801061", true),
            ("-0.9816277197801062", "-0.9816277197801062", true),
            ("-0.9816277197801062", "-0.9816277197801061", false),
            // More digits than a float has.
            ("0.1234567890123456789012", "0.1234567890123456789012", true),
            ("0.1234567890123456789012", "0.1234567890123456789013", false),
            ("0.123456789012345678901", "0.1234567890123456789012", true),
            ("gt0.1234567890123456789012", "0.1234567890123456789013", true),
            ("gt0.1234567890123456789012", "0.1234567890123456789012", false),
            ("ge0.1234567890123456789012", "0.12345678901234567890120", true),
            ("lt-123456789012345678901234", "-123456789012345678901235", true),
            ("lt-123456789012345678901234", "-123456789012345678901234", false),
            ("le-123456789012345678901234", "-123456789012345678901234.0", true),
            ("ne123456789012345678901234", "123456789012345678901235", true),
            ("ne123456789012345678901234", "123456789012345678901234", false),
            (
                "12345678901234567890123456789012345678901234567890",
                "12345678901234567890123456789012345678901234567890",
                true,
            ),
        ];
        for (query, value, found) in rows {
            let term = NumberTerm::parse(query).unwrap();
            let place = SortableNumber::parse(value).unwrap();
            let hit = term.bounds().iter().any(|(from, to)| (*from..=*to).contains(&place));
            assert_eq!(hit, found, "{query} of {value}");
            // As a quantity: the same within what a float tells, and no less beyond.
            let hit = term.float_bounds().iter().any(|(min, max)| (*min..=*max).contains(&place.value));
            assert!(hit == found || value.len() > 19, "{query} of the float {value}");
        }
        for bad in ["", "half", "gt", "1e999", "NaN", "inf", "0x10"] {
            assert!(NumberTerm::parse(bad).is_err(), "{bad}");
        }
    }
}
