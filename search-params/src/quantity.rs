//! `quantity` parameters: <https://hl7.org/fhir/R4/search.html#quantity>
//!
//! `5.4`, `5.4|http://unitsofmeasure.org|mg` (system and code) or `5.4||mg` (code or unit as written). Values are compared
//! as 64-bit floats.
//!
//! Quantities in UCUM units are found in any unit that converts. Entries are of the unit as it was written; which units
//! an index has is kept beside it, and a question is asked in each of them.
//!
//! A Range, the samples of a SampledData and a quantity with a comparator (`< 5`) are all numbers between two, and
//! compare as ranges do.

mod converted_units;

use std::borrow::Cow;

use fhir_model::decimal::{Decimal, to_sortable};
use fhir_model::json::Ref;
use fhir_model::ucum::CanonicalUnit;
use fhir_model::{Error, Result};

pub use self::converted_units::ConvertedUnits;
use crate::condition::{Condition, Extra};
use crate::index_hash::{Form, IndexHasher};
use crate::index_writer::IndexWriter;
use crate::number;
use crate::param::Param;
use crate::text::split_bar;

pub(crate) const UCUM: &str = "http://unitsofmeasure.org";
const ISO_4217: &str = "urn:iso:std:iso:4217";
/// Systems whose codes are what people write: found by `||mg`.
const SYSTEMS_OF_NAMES: [&str; 3] = ["", UCUM, ISO_4217];

/// A quantity as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantityTerm {
    /// The number with its prefix.
    pub number: number::NumberTerm,
    /// The unit.
    pub unit: Unit,
}

/// The unit part of a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// Any unit.
    Any,
    /// `||mg`: the code, or the unit as written.
    Named(String),
    /// `|system|code`.
    Coded(String, String),
}

impl QuantityTerm {
    /// Parses `[prefix]number[|system|code]`.
    ///
    /// # Errors
    ///
    /// `Value` unless the text is a number with an optional prefix, alone or followed by `|system|code`.
    pub fn parse(text: &str) -> Result<QuantityTerm> {
        let parts = split_bar(text);
        let (number, unit) = match parts.as_slice() {
            [number] => (number, Unit::Any),
            [number, system, code] => match (system.as_str(), code.as_str()) {
                ("", "") => (number, Unit::Any),
                ("", code) => (number, Unit::Named(code.to_owned())),
                (system, code) => (number, Unit::Coded(system.to_owned(), code.to_owned())),
            },
            _ => {
                let text = format!(
                    "`{text}` is not a quantity: 5.4, 5.4||mg (a code or unit of any system) or 5.4|{UCUM}|mg; a bar within \
                     a value is written \\|"
                );
                return Err(Error::value(text));
            }
        };
        Ok(QuantityTerm { number: number::NumberTerm::parse(number)?, unit })
    }
}

impl ConvertedUnits {
    /// The condition in each of these units that converts, but for the one that was asked for.
    pub fn condition<U: AsRef<str>>(&self, units: &[U], hasher: &IndexHasher) -> Condition {
        let Some(asked) = CanonicalUnit::parse(&self.code) else { return Condition::never() };
        let key = |form, parts: &[&str]| {
            let own = hasher.key(self.type_number, &self.index, form, parts);
            match &self.within {
                None => own,
                Some((before, after)) => {
                    hasher.combined(before.iter().copied().chain([own]).chain(after.iter().copied()))
                }
            }
        };
        let mut any = Vec::new();
        for unit in units.iter().map(AsRef::as_ref).filter(|unit| *unit != self.code) {
            let found = CanonicalUnit::parse(unit).filter(|unit| unit.converts_to(&asked));
            let number = found.and_then(|unit| self.number.converted(&asked, &unit));
            let Some(number) = number else { continue };
            let unit_code = hasher.key(0, "", Form::UnitCode, &[UCUM, unit]);
            any.extend(number.float_bounds().into_iter().map(|(min, max)| Condition::QuantityEntry {
                key: key(Form::Ordered, &[]),
                min,
                max,
                extra: Extra::OneOf(vec![unit_code]),
            }));
            let span = key(Form::SpanUnitCode, &[UCUM, unit]);
            any.extend(number.tests().into_iter().map(|test| Condition::DateEntry(span, test)));
        }
        Condition::Any(any)
    }
}

/// A unit as it is stored.
struct StoredUnit<'v> {
    system: Cow<'v, str>,
    code: Cow<'v, str>,
    unit: Cow<'v, str>,
}

impl<'v> StoredUnit<'v> {
    fn from_json(value: Ref<'v>) -> StoredUnit<'v> {
        let text = |name| value.get_str(name).unwrap_or_default();
        StoredUnit { system: text("system"), code: text("code"), unit: text("unit") }
    }

    /// A UCUM unit is among those that others are converted to.
    fn index_unit(&self, unit_code: i64, writer: &mut IndexWriter<'_>) {
        if *self.system == *UCUM && !self.code.is_empty() {
            writer.distinct(Form::Units, &self.code, unit_code);
        }
    }

    /// Names the unit has besides its code. Units are nearly always UCUM codes written as they are; a code of another
    /// system is looked for by its name alone.
    fn names(&self) -> impl Iterator<Item = &str> {
        let coded = matches!(&*self.system, "" | UCUM | ISO_4217);
        let each = [&*self.unit, if coded { "" } else { &*self.code }];
        each.into_iter().filter(move |name| !name.is_empty() && (*name != &*self.code || !coded))
    }
}

pub(crate) fn index(value: Ref<'_>, type_name: &str, writer: &mut IndexWriter<'_>) {
    match type_name {
        "Range" => {
            let stated = ["low", "high"].iter().filter_map(|name| value.get(name));
            let with_unit = stated.max_by_key(|end| end.get("code").is_some() || end.get("unit").is_some());
            if let (Some(ends), Some(end)) = (number::ends(value), with_unit) {
                span(ends, &StoredUnit::from_json(end), writer);
            }
        }
        "Money" => {
            let code = value.get_str("currency").unwrap_or_default();
            let unit = StoredUnit { system: ISO_4217.into(), code, unit: "".into() };
            if let Some(number) = value.get("value").and_then(Ref::number).and_then(number::sortable) {
                exact(number, &unit, writer);
            }
        }
        "SampledData" => {
            if let (Some(ends), Some(origin)) = (sampled(value), value.get("origin")) {
                span(ends, &StoredUnit::from_json(origin), writer);
            }
        }
        _ => quantity(value, writer),
    }
}

fn quantity(value: Ref<'_>, writer: &mut IndexWriter<'_>) {
    let Some(number) = value.get("value").and_then(Ref::number).and_then(number::sortable) else { return };
    let unit = StoredUnit::from_json(value);
    match value.get_str("comparator").as_deref() {
        None => exact(number, &unit, writer),
        Some("<") => span((i64::MIN, number - 1), &unit, writer),
        Some("<=") => span((i64::MIN, number), &unit, writer),
        Some(">") => span((number + 1, i64::MAX), &unit, writer),
        Some(">=") => span((number, i64::MAX), &unit, writer),
        Some(_) => {}
    }
}

/// The least and the greatest of the samples: "just search on the bounds of the values in sampled data".
fn sampled(value: Ref<'_>) -> Option<(i64, i64)> {
    let number = |value: Ref<'_>| Decimal::parse(value.number()?);
    let origin = value.get("origin")?.get("value").and_then(number)?;
    let factor = value.get("factor").and_then(number);
    let points = value.get_str("data")?;
    // `E`, `L` and `U` are no numbers: an error, and what is beyond the limits of detection.
    let each = points.split_ascii_whitespace().filter_map(Decimal::parse).filter_map(|point| {
        let scaled = factor.as_ref().map_or(Some(point.clone()), |factor| point.times(factor))?;
        Some(to_sortable(scaled.plus(&origin)?.to_f64()))
    });
    each.map(|n| (n, n)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

fn exact(number: i64, unit: &StoredUnit<'_>, writer: &mut IndexWriter<'_>) {
    let key = writer.key(Form::Ordered, &[]);
    let unit_code = writer.hasher.key(0, "", Form::UnitCode, &[&unit.system, &unit.code]);
    writer.ordered(key, number, unit_code);
    unit.index_unit(unit_code, writer);
    for name in unit.names() {
        let key = writer.key(Form::Unit, &[name]);
        writer.ordered(key, number, 0);
    }
}

/// All numbers between two: rare, so there is an entry for each way to ask.
fn span((low, high): (i64, i64), unit: &StoredUnit<'_>, writer: &mut IndexWriter<'_>) {
    let any = writer.key(Form::Span, &[]);
    writer.ordered(any, low, high);
    let coded = writer.key(Form::SpanUnitCode, &[&unit.system, &unit.code]);
    writer.ordered(coded, low, high);
    unit.index_unit(writer.hasher.key(0, "", Form::UnitCode, &[&unit.system, &unit.code]), writer);
    for name in unit.names() {
        let key = writer.key(Form::SpanUnit, &[name]);
        writer.ordered(key, low, high);
    }
}

pub(crate) fn condition(term: &QuantityTerm, param: &Param, hasher: &IndexHasher) -> Condition {
    let unit_code = |system: &str, code: &str| hasher.key(0, "", Form::UnitCode, &[system, code]);
    let tests = term.number.tests();
    let mut any = Vec::new();
    for index in &param.indexes {
        let key = |form, parts: &[&str]| hasher.key(param.type_number, &index.name, form, parts);
        for (min, max) in term.number.float_bounds() {
            let entry = |key, extra| Condition::QuantityEntry { key, min, max, extra };
            match &term.unit {
                Unit::Any => any.push(entry(key(Form::Ordered, &[]), Extra::Any)),
                Unit::Coded(system, code) => {
                    any.push(entry(key(Form::Ordered, &[]), Extra::OneOf(vec![unit_code(system, code)])));
                }
                Unit::Named(name) => {
                    let units = SYSTEMS_OF_NAMES.map(|system| unit_code(system, name)).to_vec();
                    any.push(entry(key(Form::Ordered, &[]), Extra::OneOf(units)));
                    any.push(entry(key(Form::Unit, &[name]), Extra::Any));
                }
            }
        }
        if let Unit::Coded(system, code) = &term.unit
            && *system == *UCUM
            && CanonicalUnit::parse(code).is_some()
        {
            any.push(Condition::ConvertedUnits(Box::new(ConvertedUnits {
                number: term.number.clone(),
                code: code.clone(),
                type_number: param.type_number,
                index: index.name.clone(),
                within: None,
            })));
        }
        let mut span = |key| any.extend(tests.iter().map(|test| Condition::DateEntry(key, *test)));
        match &term.unit {
            Unit::Any => span(key(Form::Span, &[])),
            Unit::Coded(system, code) => span(key(Form::SpanUnitCode, &[system, code])),
            Unit::Named(name) => {
                SYSTEMS_OF_NAMES.iter().for_each(|s| span(key(Form::SpanUnitCode, &[s, name])));
                span(key(Form::SpanUnit, &[name]));
            }
        }
    }
    Condition::Any(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let rows = [
            ("5.4", Unit::Any),
            ("5.4||mg", Unit::Named("mg".into())),
            ("gt5.4|http://unitsofmeasure.org|mg", Unit::Coded(UCUM.into(), "mg".into())),
            ("5.4||", Unit::Any),
        ];
        for (text, unit) in rows {
            assert_eq!(QuantityTerm::parse(text).unwrap().unit, unit, "{text}");
        }
        for bad in ["", "|a|b", "5.4|mg", "x||mg"] {
            assert!(QuantityTerm::parse(bad).is_err(), "{bad}");
        }
    }
}
