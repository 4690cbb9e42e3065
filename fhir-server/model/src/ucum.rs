//! As much of UCUM as comparing and converting needs: the units of daily medicine, their prefixes, products,
//! quotients and powers. <https://ucum.org/ucum>
//!
//! Units on scales with another zero (`Cel`, `[degF]`) are dimensions of their own: equal to themselves only.

use crate::decimal::Decimal;

/// Exponents of the base units, in the order of [`BASES`].
type Dimension = [i8; BASES.len()];

/// `[iU]` and what follows it are not UCUM's base units, but nothing converts to or from them.
const BASES: [&str; 11] = ["m", "g", "s", "K", "C", "cd", "mol", "[iU]", "Cel", "[degF]", "[pH]"];

/// Longest unit read.
const UNIT_BYTES_MAX: usize = 100;

/// A unit in base units: how many of them, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct Canonical {
    /// One of the unit is so many of the base units.
    pub factor: Decimal,
    dimension: Dimension,
}

impl Canonical {
    /// A unit in terms of base units; `None` when it is not known here.
    pub fn of(code: &str) -> Option<Canonical> {
        if code.len() > UNIT_BYTES_MAX {
            return None;
        }
        let mut reader = Reader { rest: code };
        let found = reader.terms()?;
        reader.rest.is_empty().then_some(found)
    }

    /// True when numbers in the one unit can be said in the other.
    pub fn converts_to(&self, other: &Canonical) -> bool {
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

    fn one() -> Canonical {
        Canonical { factor: Decimal::from(1), dimension: Dimension::default() }
    }

    fn times(self, other: &Canonical, sign: i8) -> Option<Canonical> {
        let mut dimension = self.dimension;
        for (mine, theirs) in dimension.iter_mut().zip(other.dimension) {
            *mine = mine.checked_add(theirs.checked_mul(sign)?)?;
        }
        let factor = if sign > 0 {
            self.factor.times(&other.factor)?
        } else {
            self.factor.divided_by(&other.factor)?
        };
        Some(Canonical { factor, dimension })
    }

    fn power(&self, exponent: i8) -> Option<Canonical> {
        let mut power = Canonical::one();
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
    fn terms(&mut self) -> Option<Canonical> {
        let mut all = Canonical::one();
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
    fn term(&mut self) -> Option<Canonical> {
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

    fn atom(&mut self) -> Option<Canonical> {
        if self.annotation() {
            return Some(Canonical::one());
        }
        // Powers of ten: `10*3`, `10^3`.
        if let Some(rest) = self.rest.strip_prefix("10*").or(self.rest.strip_prefix("10^")) {
            self.rest = rest;
            let ten = Canonical { factor: Decimal::from(10), dimension: Dimension::default() };
            return ten.power(self.exponent().unwrap_or(1));
        }
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let (number, rest) = self.rest.split_at_checked(digits)?;
            self.rest = rest;
            return Some(Canonical { factor: Decimal::parse(number)?, dimension: Dimension::default() });
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

fn unit(symbol: &str) -> Option<Canonical> {
    if let Some(unit) = plain(symbol) {
        return Some(unit);
    }
    PREFIXES.iter().find_map(|(prefix, power)| {
        let rest = symbol.strip_prefix(prefix)?;
        let unit = METRIC.contains(&rest).then(|| plain(rest))??;
        let ten = Canonical { factor: Decimal::from(10), dimension: Dimension::default() };
        ten.power(*power)?.times(&unit, 1)
    })
}

fn plain(symbol: &str) -> Option<Canonical> {
    if let Some(at) = BASES.iter().position(|base| *base == symbol) {
        let mut unit = Canonical::one();
        *unit.dimension.get_mut(at)? = 1;
        return Some(unit);
    }
    let (_, factor, definition) = UNITS.iter().find(|(name, _, _)| *name == symbol)?;
    let factor = Canonical { factor: Decimal::parse(factor)?, dimension: Dimension::default() };
    factor.times(&Reader { rest: definition }.terms()?, 1)
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
