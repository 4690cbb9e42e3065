//! Arithmetic on up to 38 significant digits. `None`: the result (or a divisor of zero) has no place here.

use super::{Decimal, Digits, FEW_DIGITS};

/// Significant digits of a quotient that does not come out even.
const QUOTIENT_DIGITS: u32 = 28;

/// Beyond this there are more than 38 digits.
const LIMIT: u128 = 10_u128.pow(FEW_DIGITS as u32);

impl Decimal {
    /// The sum.
    pub fn plus(&self, other: &Decimal) -> Option<Decimal> {
        let (left, right, scale) = aligned(self, other)?;
        from_scaled(left.checked_add(right)?, scale)
    }

    /// The difference.
    pub fn minus(&self, other: &Decimal) -> Option<Decimal> {
        self.plus(&other.clone().negated())
    }

    /// The product.
    pub fn times(&self, other: &Decimal) -> Option<Decimal> {
        let (mut left, mut left_scale) = self.few()?;
        let (mut right, mut right_scale) = other.few()?;
        loop {
            if let Some(product) = left.checked_mul(right).filter(|product| product.unsigned_abs() < LIMIT) {
                return from_scaled(product, left_scale.checked_add(right_scale)?);
            }
            // Too many digits: the longer factor gives up its last.
            if left.unsigned_abs() >= right.unsigned_abs() {
                (left, left_scale) = (rounded(left, 1), left_scale - 1);
            } else {
                (right, right_scale) = (rounded(right, 1), right_scale - 1);
            }
        }
    }

    /// The quotient; `None` when dividing by zero.
    pub fn divided_by(&self, other: &Decimal) -> Option<Decimal> {
        let (mut left, mut scale) = self.few()?;
        let (right, right_scale) = other.few()?;
        if right == 0 {
            return None;
        }
        scale = scale.checked_sub(right_scale)?;
        // Digits are brought down until it comes out even or there are enough of them.
        while left.checked_rem(right)? != 0
            && (left / right).unsigned_abs() < 10_u128.pow(QUOTIENT_DIGITS - 1)
        {
            let Some(more) = left.checked_mul(10) else { break };
            (left, scale) = (more, scale + 1);
        }
        let rest = left % right;
        let away = i128::from(rest.unsigned_abs() >= right.unsigned_abs() - rest.unsigned_abs());
        let quotient = left / right + if rest == 0 { 0 } else { away * left.signum() * right.signum() };
        // `6.0 / 2` is 3, not 3.0: trailing zeros say nothing here.
        let mut quotient = (quotient, scale);
        while quotient.1 > 0 && quotient.0 % 10 == 0 {
            quotient = (quotient.0 / 10, quotient.1 - 1);
        }
        from_scaled(quotient.0, quotient.1)
    }

    /// The whole part of the quotient.
    pub fn div(&self, other: &Decimal) -> Option<Decimal> {
        let (left, right, _) = aligned(self, other)?;
        from_scaled(left.checked_div(right)?, 0)
    }

    /// What [`Decimal::div`] leaves.
    pub fn modulo(&self, other: &Decimal) -> Option<Decimal> {
        let (left, right, scale) = aligned(self, other)?;
        from_scaled(left.checked_rem(right)?, scale)
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(mut self) -> Decimal {
        self.negative = !self.negative;
        self
    }

    /// The number without its sign.
    #[must_use]
    pub fn abs(mut self) -> Decimal {
        self.negative = false;
        self
    }

    /// Without what stands after the point.
    pub fn truncated(&self) -> Option<Decimal> {
        let (digits, scale) = self.few()?;
        from_scaled(shifted(digits, scale)?, 0)
    }

    /// The largest whole number not above it.
    pub fn floor(&self) -> Option<Decimal> {
        let whole = self.truncated()?;
        if whole > *self { whole.minus(&Decimal::from(1)) } else { Some(whole) }
    }

    /// The smallest whole number not below it.
    pub fn ceiling(&self) -> Option<Decimal> {
        let whole = self.truncated()?;
        if whole < *self { whole.plus(&Decimal::from(1)) } else { Some(whole) }
    }

    /// With so many digits after the point, halves going away from zero.
    pub fn rounded(&self, digits: u32) -> Option<Decimal> {
        let (value, scale) = self.few()?;
        let wanted = i32::try_from(digits).ok()?;
        if scale <= wanted {
            return Some(self.clone());
        }
        let mut rounded = from_scaled(rounded(value, (scale - wanted) as u32), wanted)?;
        rounded.negative = self.negative;
        Some(rounded)
    }

    /// With exactly so many digits after the point: zeros are added, or digits dropped.
    pub fn cut(&self, digits: u32) -> Option<Decimal> {
        let (value, scale) = self.few()?;
        let wanted = i32::try_from(digits).ok()?;
        let factor = 10_i128.checked_pow(scale.abs_diff(wanted));
        let mut cut = match factor {
            _ if value == 0 => from_scaled(0, wanted)?,
            Some(factor) if scale <= wanted => from_scaled(value.checked_mul(factor)?, wanted)?,
            Some(factor) => from_scaled(value / factor, wanted)?,
            None if scale <= wanted => return None,
            None => from_scaled(0, wanted)?,
        };
        cut.negative = self.negative;
        Some(cut)
    }

    /// Half of the last place when so many digits stand after the point: 0.05 for one digit.
    pub fn half_unit(digits: u32) -> Decimal {
        Decimal { negative: false, digits: Digits::Few(5), scale: i32::try_from(digits).unwrap_or(0) + 1 }
    }

    /// A whole power; `None` when it grows too large.
    pub fn power(&self, exponent: i64) -> Option<Decimal> {
        let mut power = Decimal::from(1);
        for _ in 0..exponent.unsigned_abs().min(10_000) {
            power = power.times(self)?;
        }
        match exponent {
            -10_000..0 => Decimal::from(1).divided_by(&power),
            0..=10_000 => Some(power),
            _ => None,
        }
    }

    /// The value when it is whole and has no digits after the point.
    pub(super) fn signed(&self) -> Option<i128> {
        self.few().filter(|(_, scale)| *scale == 0).map(|(digits, _)| digits)
    }

    /// Digits and scale within 38 digits; longer numbers are rounded to that.
    fn few(&self) -> Option<(i128, i32)> {
        let (digits, scale) = match &self.digits {
            Digits::Few(digits) => (i128::try_from(*digits).ok()?, self.scale),
            Digits::Many(digits) => {
                let kept = digits.iter().take(FEW_DIGITS);
                let value = kept.fold(0_i128, |sum, digit| sum * 10 + i128::from(*digit));
                let up = digits.get(FEW_DIGITS).is_some_and(|digit| *digit >= 5);
                let dropped = i32::try_from(digits.len() - FEW_DIGITS).ok()?;
                (value + i128::from(up), self.scale.checked_sub(dropped)?)
            }
        };
        Some((if self.negative { -digits } else { digits }, scale))
    }
}

fn from_scaled(value: i128, scale: i32) -> Option<Decimal> {
    let digits = value.unsigned_abs();
    let small = digits < LIMIT;
    small.then_some(Decimal { negative: value < 0, digits: Digits::Few(digits), scale })
}

/// Both numbers with the same scale. When that needs too many digits, the finer gives up its last ones.
fn aligned(left: &Decimal, right: &Decimal) -> Option<(i128, i128, i32)> {
    let (mut a, mut b) = (left.few()?, right.few()?);
    let swap = a.1 > b.1;
    if swap {
        std::mem::swap(&mut a, &mut b);
    }
    while a.1 < b.1 {
        if a.0 == 0 {
            a.1 = b.1;
            break;
        }
        match a.0.checked_mul(10).filter(|v| v.unsigned_abs() < LIMIT) {
            Some(value) => a = (value, a.1 + 1),
            None => b = (rounded(b.0, (b.1 - a.1) as u32), a.1),
        }
    }
    if swap {
        std::mem::swap(&mut a, &mut b);
    }
    Some((a.0, b.0, a.1))
}

/// Without so many of its last digits, halves going away from zero.
fn rounded(value: i128, digits: u32) -> i128 {
    let Some(divisor) = 10_i128.checked_pow(digits) else { return 0 };
    let rest = (value % divisor).unsigned_abs();
    let away = i128::from(rest >= divisor.unsigned_abs() - rest && rest != 0);
    value / divisor + away * value.signum()
}

/// The whole part of `value` times ten to the power of `-scale`.
fn shifted(value: i128, scale: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(scale.unsigned_abs());
    match factor {
        Some(factor) if scale >= 0 => Some(value / factor),
        Some(factor) => value.checked_mul(factor),
        None if scale > 0 || value == 0 => Some(0),
        None => None,
    }
}
