//! As much of UCUM as comparing and converting needs: the units of daily medicine, their prefixes, products,
//! quotients and powers. <https://ucum.org/ucum>
//!
//! Temperatures on scales with another zero (`Cel`, `[degF]`, `[degRe]`) convert to kelvin and each other where they stand
//! alone. In a product or quotient (`Cel/min`) UCUM gives them no meaning: such a unit converts to those of the same kind
//! only. Units on logarithmic scales are never converted: `[pH]` is equal to itself only, and `B`, `Np` and their like are
//! not known here.

use crate::decimal::Decimal;

/// Exponents of the base units, in the order of [`BASES`].
type Dimension = [i8; BASES.len()];

/// `[iU]` and what follows it are not UCUM's base units, but nothing converts to or from them within a product.
const BASES: [&str; 12] = ["m", "g", "s", "K", "C", "cd", "mol", "[iU]", "Cel", "[degF]", "[pH]", "[degRe]"];

/// Scales of temperature with another zero: the unit, how many kelvin a degree has, and at how many kelvin its zero is.
const SCALES: [(&str, &str, &str); 3] = [
    ("Cel", "1", "273.15"),
    ("[degF]", "0.55555555555555555555555555555556", "255.37222222222222222222222222222"),
    ("[degRe]", "1.25", "273.15"),
];

/// Longest unit read.
const UNIT_BYTES_MAX: usize = 100;

/// A unit in base units: how many of them, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct CanonicalUnit {
    /// One of the unit is so many of the base units.
    pub factor: Decimal,
    /// So many of the base units are none of this unit: on a scale with another zero.
    zero: Option<Decimal>,
    dimension: Dimension,
}

impl CanonicalUnit {
    /// A unit in terms of base units; `None` when it is not known here.
    pub fn parse(code: &str) -> Option<CanonicalUnit> {
        if code.len() > UNIT_BYTES_MAX {
            return None;
        }
        let mut reader = Reader { rest: code };
        let found = reader.terms()?;
        if !reader.rest.is_empty() {
            return None;
        }
        let scale = SCALES.iter().find(|(name, _, _)| Some(found.dimension) == dimension(name));
        let Some((_, degree, zero)) = scale else { return Some(found) };
        let factor = found.factor.times(&Decimal::parse(degree)?)?;
        Some(CanonicalUnit { factor, zero: Decimal::parse(zero), dimension: dimension("K")? })
    }

    /// The number of base units that so many of this unit are; `None` where it has more digits than can be counted.
    pub fn to_base(&self, number: &Decimal) -> Option<Decimal> {
        let scaled = number.times(&self.factor)?;
        match &self.zero {
            None => Some(scaled),
            Some(zero) => scaled.plus(zero),
        }
    }

    /// The number of this unit that so many base units are; `None` where it has more digits than can be counted.
    pub fn from_base(&self, number: &Decimal) -> Option<Decimal> {
        match &self.zero {
            None => number.divided_by(&self.factor),
            Some(zero) => number.minus(zero)?.divided_by(&self.factor),
        }
    }

    /// True when numbers in the one unit can be said in the other.
    pub fn converts_to(&self, other: &CanonicalUnit) -> bool {
        self.dimension == other.dimension
    }

    /// The base units as a UCUM code: `g.m-3`.
    pub fn base(&self) -> String {
        let mut code = String::new();
        for (base, exponent) in BASES.iter().zip(self.dimension) {
            if exponent != 0 {
                let dot = if code.is_empty() { "" } else { "." };
                let exponent = if exponent == 1 { String::new() } else { exponent.to_string() };
                code.push_str(&format!("{dot}{base}{exponent}"));
            }
        }
        if code.is_empty() { "1".to_owned() } else { code }
    }

    fn one() -> CanonicalUnit {
        CanonicalUnit::number(Decimal::from(1))
    }

    fn number(factor: Decimal) -> CanonicalUnit {
        CanonicalUnit { factor, zero: None, dimension: Dimension::default() }
    }

    fn times(self, other: &CanonicalUnit, sign: i8) -> Option<CanonicalUnit> {
        let mut dimension = self.dimension;
        for (mine, theirs) in dimension.iter_mut().zip(other.dimension) {
            *mine = mine.checked_add(theirs.checked_mul(sign)?)?;
        }
        let factor = if sign > 0 {
            self.factor.times(&other.factor)?
        } else {
            self.factor.divided_by(&other.factor)?
        };
        Some(CanonicalUnit { factor, zero: None, dimension })
    }

    fn power(&self, exponent: i8) -> Option<CanonicalUnit> {
        let mut power = CanonicalUnit::one();
        for _ in 0..exponent.unsigned_abs() {
            power = power.times(self, exponent.signum())?;
        }
        Some(power)
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn eat(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `a.b/c`; a leading `/` divides one.
    fn terms(&mut self) -> Option<CanonicalUnit> {
        let mut all = CanonicalUnit::one();
        let mut sign = if self.eat('/') { -1 } else { 1 };
        loop {
            all = all.times(&self.term()?, sign)?;
            sign = if self.eat('.') {
                1
            } else if self.eat('/') {
                -1
            } else {
                return Some(all);
            };
        }
    }

    /// A unit with its exponent and `{annotation}`, or a bracket.
    fn term(&mut self) -> Option<CanonicalUnit> {
        if self.eat('(') {
            // Brackets nest no deeper than the length limit allows, and that is small.
            let inner = self.terms()?;
            return self.eat(')').then_some(inner);
        }
        let atom = self.atom()?;
        self.annotation();
        Some(atom)
    }

    fn annotation(&mut self) -> bool {
        let Some(end) = self.rest.strip_prefix('{').and_then(|rest| rest.find('}')) else { return false };
        self.rest = self.rest.get(end + 2..).unwrap_or("");
        true
    }

    fn atom(&mut self) -> Option<CanonicalUnit> {
        if self.annotation() {
            return Some(CanonicalUnit::one());
        }
        // Powers of ten: `10*3`, `10^3`.
        if let Some(rest) = self.rest.strip_prefix("10*").or(self.rest.strip_prefix("10^")) {
            self.rest = rest;
            let ten = CanonicalUnit::number(Decimal::from(10));
            return ten.power(self.exponent().unwrap_or(1));
        }
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let (number, rest) = self.rest.split_at_checked(digits)?;
            self.rest = rest;
            return Some(CanonicalUnit::number(Decimal::parse(number)?));
        }
        let (symbol, rest) = self.rest.split_at_checked(symbol_length(self.rest))?;
        self.rest = rest;
        let unit = unit(symbol)?;
        match self.exponent() {
            Some(exponent) => unit.power(exponent),
            None => Some(unit),
        }
    }

    fn exponent(&mut self) -> Option<i8> {
        let signed = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest.bytes().skip(signed).take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let (exponent, rest) = self.rest.split_at_checked(signed + digits)?;
        self.rest = rest;
        // Thirty is beyond any unit, and keeps the work small.
        exponent.parse().ok().filter(|exponent: &i8| exponent.abs() <= 30)
    }
}

/// The length of a unit's symbol: up to an operator, digit or annotation, square brackets being part of it.
fn symbol_length(text: &str) -> usize {
    let mut bracket = false;
    for (at, c) in text.char_indices() {
        match c {
            '[' => bracket = true,
            ']' => bracket = false,
            '.' | '/' | '(' | ')' | '{' | '+' | '-' | '0'..='9' if !bracket => return at,
            _ => {}
        }
    }
    text.len()
}

fn unit(symbol: &str) -> Option<CanonicalUnit> {
    if let Some(unit) = plain(symbol) {
        return Some(unit);
    }
    PREFIXES.iter().find_map(|(prefix, power)| {
        let rest = symbol.strip_prefix(prefix)?;
        let unit = METRIC.contains(&rest).then(|| plain(rest))??;
        let ten = CanonicalUnit::number(Decimal::from(10));
        ten.power(*power)?.times(&unit, 1)
    })
}

fn plain(symbol: &str) -> Option<CanonicalUnit> {
    if let Some(dimension) = dimension(symbol) {
        return Some(CanonicalUnit { dimension, ..CanonicalUnit::one() });
    }
    let (_, factor, definition) = UNITS.iter().find(|(name, _, _)| *name == symbol)?;
    let factor = CanonicalUnit::number(Decimal::parse(factor)?);
    factor.times(&Reader { rest: definition }.terms()?, 1)
}

/// The dimension of a base unit.
fn dimension(base: &str) -> Option<Dimension> {
    let at = BASES.iter().position(|one| *one == base)?;
    let mut dimension = Dimension::default();
    *dimension.get_mut(at)? = 1;
    Some(dimension)
}

const PREFIXES: [(&str, i8); 20] = [
    ("da", 1),
    ("Y", 24),
    ("Z", 21),
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("h", 2),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
    ("z", -21),
    ("y", -24),
];

/// The units that take prefixes.
const METRIC: [&str; 31] = [
    "m", "g", "s", "K", "C", "cd", "mol", "[iU]", "[IU]", "L", "l", "N", "Pa", "bar", "m[Hg]", "m[H2O]", "J",
    "W", "Hz", "A", "V", "cal", "eq", "osm", "U", "kat", "Gy", "Sv", "Bq", "t", "Cel",
];

/// Symbol, factor, and the units it is a multiple of; each is explained by those before it and the base units.
const UNITS: [(&str, &str, &str); 53] = [
    ("L", "0.001", "m3"),
    ("l", "0.001", "m3"),
    ("min", "60", "s"),
    ("h", "3600", "s"),
    ("d", "86400", "s"),
    ("wk", "604800", "s"),
    ("mo", "2629800", "s"),
    ("a", "31557600", "s"),
    ("%", "0.01", "1"),
    ("[ppth]", "0.001", "1"),
    ("[ppm]", "0.000001", "1"),
    ("[ppb]", "0.000000001", "1"),
    ("[pi]", "3.1415926535897932384626433832795", "1"),
    ("rad", "1", "1"),
    ("deg", "0.01745329251994329576923690768489", "1"),
    ("[in_i]", "0.0254", "m"),
    ("[ft_i]", "0.3048", "m"),
    ("[yd_i]", "0.9144", "m"),
    ("[mi_i]", "1609.344", "m"),
    ("[lb_av]", "453.59237", "g"),
    ("[oz_av]", "28.349523125", "g"),
    ("[gr]", "0.06479891", "g"),
    ("[stone_av]", "6350.29318", "g"),
    ("t", "1000000", "g"),
    ("u", "0.0000000000000000000000016605402", "g"),
    ("[foz_us]", "0.0000295735295625", "m3"),
    ("[cup_us]", "0.0002365882365", "m3"),
    ("[pt_us]", "0.000473176473", "m3"),
    ("[qt_us]", "0.000946352946", "m3"),
    ("[gal_us]", "0.003785411784", "m3"),
    ("[tsp_us]", "0.00000492892159375", "m3"),
    ("[tbs_us]", "0.00001478676478125", "m3"),
    ("[drp]", "0.00000005", "m3"),
    ("N", "1000", "g.m/s2"),
    ("Pa", "1000", "g.m-1.s-2"),
    ("bar", "100000000", "g.m-1.s-2"),
    ("atm", "101325000", "g.m-1.s-2"),
    ("m[Hg]", "133322000", "g.m-1.s-2"),
    ("m[H2O]", "9806650", "g.m-1.s-2"),
    ("J", "1000", "g.m2/s2"),
    ("W", "1000", "g.m2/s3"),
    ("cal", "4184", "g.m2/s2"),
    ("Hz", "1", "s-1"),
    ("Bq", "1", "s-1"),
    ("A", "1", "C/s"),
    ("V", "1000", "g.m2/s2/C"),
    ("Gy", "1", "m2/s2"),
    ("Sv", "1", "m2/s2"),
    ("eq", "1", "mol"),
    ("osm", "1", "mol"),
    ("kat", "1", "mol/s"),
    ("U", "0.000001", "mol/min"),
    ("[IU]", "1", "[iU]"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(number: &str, from: &str, to: &str) -> Option<f64> {
        let (from, to) = (CanonicalUnit::parse(from)?, CanonicalUnit::parse(to)?);
        from.converts_to(&to).then_some(())?;
        Some(to.from_base(&from.to_base(&Decimal::parse(number)?)?)?.to_f64())
    }

    #[test]
    fn temperatures_convert_where_they_stand_alone() {
        let rows = [
            ("37", "Cel", "K", 310.15),
            ("37", "Cel", "[degF]", 98.6),
            ("98.6", "[degF]", "Cel", 37.0),
            ("-40", "[degF]", "Cel", -40.0),
            ("0", "K", "Cel", -273.15),
            ("310150", "mK", "Cel", 37.0),
            ("37000", "mCel", "Cel", 37.0),
            ("80", "[degRe]", "Cel", 100.0),
            ("212", "[degF]", "[degRe]", 80.0),
            ("2", "Cel/min", "Cel/h", 120.0),
            ("37", "Cel{axillary}", "K", 310.15),
        ];
        for (number, from, to, wanted) in rows {
            let found = converted(number, from, to).unwrap();
            assert!((found - wanted).abs() < 1e-12, "{number} {from} is {found} {to}, not {wanted}");
        }
    }

    /// All special units of UCUM, <https://ucum.org/ucum#section-Tables-of-Terminal-Symbols>: each converts as its scale
    /// says, or to nothing else.
    #[test]
    fn special_units_never_convert_as_if_they_were_ordinary_ones() {
        let special = [
            "Cel",
            "[degF]",
            "[degRe]",
            "[p'diop]",
            "%[slope]",
            "[hp'_X]",
            "[hp'_C]",
            "[hp'_M]",
            "[hp'_Q]",
            "[pH]",
            "Np",
            "B",
            "B[SPL]",
            "B[V]",
            "B[mV]",
            "B[uV]",
            "B[10.nV]",
            "B[W]",
            "B[kW]",
            "dB",
            "[m/s2/Hz^0.5]",
            "bit_s",
        ];
        let scales = ["Cel", "[degF]", "[degRe]"];
        let ordinary = [
            "1", "%", "10*-3", "mol/L", "V", "mV", "uV", "W", "kW", "Pa", "deg", "m-1", "m/s2", "K", "s", "m",
        ];
        for unit in special {
            for other in special.iter().chain(&ordinary) {
                let may =
                    unit == *other || scales.contains(&unit) && (scales.contains(other) || *other == "K");
                let (one, other_unit) = (CanonicalUnit::parse(unit), CanonicalUnit::parse(other));
                let does = one.zip(other_unit).is_some_and(|(a, b)| a.converts_to(&b));
                assert!(may || !does, "{unit} converts to {other}");
            }
        }
        // In products they are no temperatures.
        for (one, other) in [
            ("Cel/min", "K/min"),
            ("[degF]/min", "Cel/min"),
            ("Cel2", "K2"),
            ("Cel.m", "K.m"),
            ("Cel-1", "K-1"),
        ] {
            let (one_unit, other_unit) =
                (CanonicalUnit::parse(one).unwrap(), CanonicalUnit::parse(other).unwrap());
            assert!(!one_unit.converts_to(&other_unit), "{one} {other}");
        }
    }
}
