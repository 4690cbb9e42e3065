//! Exact decimals: what was written is what is compared.
//!
//! <https://hl7.org/fhir/R4/datatypes.html#decimal>, <https://hl7.org/fhir/R4/search.html#number>
//!
//! A [`Decimal`] keeps any number of digits and whether `1.00` was written rather than `1`. Comparing is always
//! exact; arithmetic is exact up to 38 significant digits and rounds beyond.

mod arithmetic;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A decimal number as it was written: `digits` times ten to the power of `-scale`.
#[derive(Debug, Clone)]
pub struct Decimal {
    negative: bool,
    digits: Digits,
    /// Digits after the point; negative for `1e2`.
    scale: i32,
}

/// Without leading zeros.
#[derive(Debug, Clone)]
enum Digits {
    Few(u128),
    /// More than 38: their values, most significant first.
    Many(Box<[u8]>),
}

/// Digits that always fit a `u128`.
const FEW_DIGITS: usize = 38;

/// Largest exponent taken: beyond it nothing in FHIR has a meaning, and sums of exponents stay far from overflow.
const EXPONENT_MAX: i32 = 1_000_000;

impl Decimal {
    /// Zero.
    pub const ZERO: Decimal = Decimal { negative: false, digits: Digits::Few(0), scale: 0 };

    /// A number as JSON, FHIRPath and search write it: `-1.50E-10`. A leading `+` and leading zeros are taken too.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (unsigned.get(..at)?, parse_exponent(unsigned.get(at + 1..)?)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let mut all = whole.bytes().chain(fraction.bytes());
        if whole.is_empty() || !all.clone().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let count = all.clone().skip_while(|b| *b == b'0').count();
        let digits = if count <= FEW_DIGITS {
            Digits::Few(all.fold(0, |sum, b| sum * 10 + u128::from(b - b'0')))
        } else {
            all.find(|b| *b != b'0').map_or(Digits::Few(0), |first| {
                Digits::Many(std::iter::once(first).chain(all).map(|b| b - b'0').collect())
            })
        };
        Some(Decimal { negative, digits, scale })
    }

    /// The nearest shortest decimal of a float; `None` for infinities and not-a-number.
    pub fn from_f64(value: f64) -> Option<Decimal> {
        if value.is_finite() { Decimal::parse(&format!("{value:?}")) } else { None }
    }

    /// The nearest float.
    pub fn to_f64(&self) -> f64 {
        // The standard library rounds correctly, which no arithmetic of our own would.
        format!("{}e{}", self.whole_digits(), -i64::from(self.scale)).parse().unwrap_or(f64::NAN)
    }

    /// The whole number it is, if it is one that fits.
    pub fn to_i64(&self) -> Option<i64> {
        let whole = self.truncated()?;
        (whole == *self).then(|| whole.signed()).flatten().and_then(|n| i64::try_from(n).ok())
    }

    /// Digits after the point, as written.
    pub fn precision(&self) -> u32 {
        self.scale.max(0) as u32
    }

    /// True below zero.
    pub fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    /// True for zero, however many digits it was written with.
    pub fn is_zero(&self) -> bool {
        matches!(self.digits, Digits::Few(0))
    }

    /// The range of values its written digits stand for: `100` is from 99.5 up to 100.5, `1.00` from 0.995 up to
    /// 1.005. With an exponent two significant digits are assumed at least, so that `1e2` is from 95 up to 105, as
    /// FHIR's example has it. The upper bound is not part of the range.
    pub fn range(&self) -> Option<(Decimal, Decimal)> {
        let single = self.scale < 0 && matches!(self.digits, Digits::Few(0..10));
        let scale = self.scale + 1 + i32::from(single);
        let half = Decimal { negative: false, digits: Digits::Few(5), scale };
        Some((self.minus(&half)?, self.plus(&half)?))
    }

    /// The digits as text, with the sign, without the point.
    fn whole_digits(&self) -> String {
        let mut text = String::new();
        if self.negative {
            text.push('-');
        }
        match &self.digits {
            Digits::Few(digits) => text.push_str(&digits.to_string()),
            Digits::Many(digits) => text.extend(digits.iter().map(|d| char::from(b'0' + d))),
        }
        text
    }

    /// The digits one by one, and how many stand before the point (negative: zeros after it). Nothing for zero.
    fn magnitude(&self, buffer: &mut Vec<u8>) -> i64 {
        match &self.digits {
            Digits::Few(digits) => {
                let mut rest = *digits;
                while rest > 0 {
                    buffer.push((rest % 10) as u8);
                    rest /= 10;
                }
                buffer.reverse();
            }
            Digits::Many(digits) => buffer.extend_from_slice(digits),
        }
        let before = buffer.len() as i64 - i64::from(self.scale);
        while buffer.last() == Some(&0) {
            buffer.pop();
        }
        before
    }

    fn compare_unsigned(&self, other: &Decimal) -> Ordering {
        if let (Digits::Few(left), Digits::Few(right)) = (&self.digits, &other.digits)
            && self.scale == other.scale
        {
            return left.cmp(right);
        }
        if self.is_zero() || other.is_zero() {
            return other.is_zero().cmp(&self.is_zero());
        }
        let (mut left, mut right) = (Vec::with_capacity(FEW_DIGITS), Vec::with_capacity(FEW_DIGITS));
        let before = self.magnitude(&mut left).cmp(&other.magnitude(&mut right));
        before.then_with(|| left.cmp(&right))
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        Decimal { negative: value < 0, digits: Digits::Few(u128::from(value.unsigned_abs())), scale: 0 }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        match (self.is_negative(), other.is_negative()) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_unsigned(other),
            (true, true) => other.compare_unsigned(self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Equal in value: `1.00` is `1`.
impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut digits = Vec::with_capacity(FEW_DIGITS);
        let before = self.magnitude(&mut digits);
        if !digits.is_empty() {
            (self.is_negative(), before, digits).hash(state);
        }
    }
}

impl fmt::Display for Decimal {
    /// Without an exponent where that is not absurdly long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ZEROS_MAX: i32 = 60;
        let digits = self.whole_digits();
        let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |digits| ("-", digits));
        if self.scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        if self.scale < 0 {
            return match -self.scale {
                zeros if zeros <= ZEROS_MAX => write!(f, "{sign}{digits}{:0>1$}", "", zeros as usize),
                exponent => write!(f, "{sign}{digits}e{exponent}"),
            };
        }
        let scale = self.scale as usize;
        if digits.len() > scale {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            write!(f, "{sign}{whole}.{fraction}")
        } else if self.scale - digits.len() as i32 <= ZEROS_MAX {
            write!(f, "{sign}0.{digits:0>scale$}")
        } else {
            write!(f, "{sign}{digits}e-{scale}")
        }
    }
}

/// A whole number that sorts as the float does, so that an index on integers orders numbers. `-0.0` is made `0.0`.
pub fn to_sortable(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits() as i64;
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// The float of a number that [`to_sortable`] made.
pub fn from_sortable(sortable: i64) -> f64 {
    let bits = if sortable < 0 { sortable ^ i64::MAX } else { sortable };
    f64::from_bits(bits as u64)
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|exponent: &i32| exponent.abs() <= EXPONENT_MAX)
}

#[cfg(test)]
mod tests;
