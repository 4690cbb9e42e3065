//! `quantity` parameters: <https://hl7.org/fhir/R4/search.html#quantity>
//!
//! `5.4`, `5.4|http://unitsofmeasure.org|mg` (system and code) or `5.4||mg` (code or unit as written). Values are compared
//! as 64-bit floats.

use fhir_model::json::Ref;
use fhir_model::{Error, Result};

use crate::condition::Condition;
use crate::keyer::{Form, Keyer};
use crate::number;
use crate::registry::Param;
use crate::sink::Sink;
use crate::text::split_bar;

const UCUM: &str = "http://unitsofmeasure.org";
const ISO_4217: &str = "urn:iso:std:iso:4217";

/// A quantity as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The number with its prefix.
    pub number: number::Term,
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

impl Term {
    /// Parses `[prefix]number[|system|code]`.
    pub fn parse(text: &str) -> Result<Term> {
        let parts = split_bar(text);
        let (number, unit) = match parts.as_slice() {
            [number] => (number, Unit::Any),
            [number, system, code] => match (system.as_str(), code.as_str()) {
                ("", "") => (number, Unit::Any),
                ("", code) => (number, Unit::Named(code.to_owned())),
                (system, code) => (number, Unit::Coded(system.to_owned(), code.to_owned())),
            },
            _ => return Err(Error::value(format!("`{text}` is not a quantity: number|system|code"))),
        };
        Ok(Term { number: number::Term::parse(number)?, unit })
    }
}

pub(crate) fn index(value: Ref<'_>, type_name: &str, sink: &mut Sink<'_>) {
    match type_name {
        // A Range has two quantities; either end may be what is asked for.
        "Range" => {
            for end in ["low", "high"].iter().filter_map(|name| value.get(name)) {
                quantity(end, sink);
            }
        }
        "Money" => {
            let code = value.get_str("currency").unwrap_or_default();
            entry(value, ISO_4217, &code, "", sink);
        }
        "SampledData" => {}
        _ => quantity(value, sink),
    }
}

fn quantity(value: Ref<'_>, sink: &mut Sink<'_>) {
    let text = |name| value.get_str(name).unwrap_or_default();
    entry(value, &text("system"), &text("code"), &text("unit"), sink);
}

fn entry(value: Ref<'_>, system: &str, code: &str, unit: &str, sink: &mut Sink<'_>) {
    let Some(number) = value.get("value").and_then(Ref::number).and_then(number::sortable) else { return };
    let key = sink.key(Form::Ordered, &[]);
    sink.ordered(key, number, sink.keyer.key(0, "", Form::UnitCode, &[system, code]));
    // Units are nearly always UCUM codes written as they are, and found by the entry above; others get one of
    // their own.
    let coded = matches!(system, "" | UCUM | ISO_4217);
    for name in [unit, if coded { "" } else { code }] {
        if !name.is_empty() && (name != code || !coded) {
            let key = sink.key(Form::Unit, &[name]);
            sink.ordered(key, number, 0);
        }
    }
}

pub(crate) fn condition(term: &Term, param: &Param, keyer: &Keyer) -> Condition {
    let unit_code = |system: &str, code: &str| keyer.key(0, "", Form::UnitCode, &[system, code]);
    let mut any = Vec::new();
    for index in &param.indexes {
        let key = |form, parts: &[&str]| keyer.key(param.type_number, &index.name, form, parts);
        for (min, max) in term.number.float_bounds() {
            let entry = |key, units| Condition::QuantityEntry { key, min, max, units };
            match &term.unit {
                Unit::Any => any.push(entry(key(Form::Ordered, &[]), Vec::new())),
                Unit::Coded(system, code) => {
                    any.push(entry(key(Form::Ordered, &[]), vec![unit_code(system, code)]));
                }
                Unit::Named(name) => {
                    let units = ["", UCUM, ISO_4217].map(|system| unit_code(system, name)).to_vec();
                    any.push(entry(key(Form::Ordered, &[]), units));
                    any.push(entry(key(Form::Unit, &[name]), Vec::new()));
                }
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
            assert_eq!(Term::parse(text).unwrap().unit, unit, "{text}");
        }
        for bad in ["", "|a|b", "5.4|mg", "x||mg"] {
            assert!(Term::parse(bad).is_err(), "{bad}");
        }
    }
}
