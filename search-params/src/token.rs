//! `token` parameters: <https://hl7.org/fhir/R4/search.html#token>
//!
//! Three equality keys for a coding: its code in any system, its system and code, its system. A code without a
//! system of its own (`Patient.gender`) has one key; the system its binding implies is settled when a query comes.

use fhir_model::Result;
use fhir_model::json::Ref;

use crate::condition::Condition;
use crate::keyer::{Form, Keyer};
use crate::registry::{Param, Role};
use crate::sink::Sink;
use crate::text::split_bar;

/// A token as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The system.
    pub system: System,
    /// The code; none: any code of the system (`system|`).
    pub code: Option<String>,
}

/// The system part of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// `code`: whatever the system.
    Any,
    /// `|code`: no system.
    None,
    /// `system|code`.
    Is(String),
}

impl Term {
    /// Parses `code`, `system|code`, `|code` or `system|`.
    pub fn parse(text: &str) -> Result<Term> {
        let parts = split_bar(text);
        let empty =
            || fhir_model::Error::value(format!("`{text}` is not a token: a code or a system is needed"));
        match parts.as_slice() {
            [code] if !code.is_empty() => Ok(Term { system: System::Any, code: Some(code.clone()) }),
            [system, code] => {
                let code = Some(code.clone()).filter(|c| !c.is_empty());
                let system = match system.is_empty() {
                    true => System::None,
                    false => System::Is(system.clone()),
                };
                if code.is_none() && system == System::None {
                    Err(empty())
                } else {
                    Ok(Term { system, code })
                }
            }
            _ => Err(empty()),
        }
    }
}

/// `:of-type`: an identifier by its type and value. <https://hl7.org/fhir/R4/search.html#token>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfType {
    /// System of the type.
    pub system: String,
    /// Code of the type.
    pub code: String,
    /// The identifier's value.
    pub value: String,
}

impl OfType {
    /// Parses `system|code|value`, none of which may be missing.
    pub fn parse(text: &str) -> Result<OfType> {
        match <[String; 3]>::try_from(split_bar(text)) {
            Ok([system, code, value]) if ![&system, &code, &value].iter().any(|t| t.is_empty()) => {
                Ok(OfType { system, code, value })
            }
            _ => {
                let text = format!("`:of-type` takes system|code|value, all three, not `{text}`");
                Err(fhir_model::Error::value(text))
            }
        }
    }

    pub(crate) fn condition(&self, param: &Param, keyer: &Keyer) -> Condition {
        let parts = [self.system.as_str(), &self.code, &self.value];
        let keys = param.indexes.iter().map(|i| keyer.key(param.type_number, &i.name, Form::OfType, &parts));
        Condition::Keys(keys.collect())
    }
}

pub(crate) fn index(value: Ref<'_>, type_name: &str, sink: &mut Sink<'_>) {
    match type_name {
        "CodeableConcept" => {
            for coding in value.get("coding").into_iter().flat_map(Ref::items) {
                self::coding(coding.get_str("system").as_deref(), coding.get_str("code").as_deref(), sink);
            }
        }
        "Coding" => coding(value.get_str("system").as_deref(), value.get_str("code").as_deref(), sink),
        "Identifier" => {
            coding(value.get_str("system").as_deref(), value.get_str("value").as_deref(), sink);
            of_type(value, sink);
        }
        "ContactPoint" => coding(value.get_str("system").as_deref(), value.get_str("value").as_deref(), sink),
        _ => {
            let text = value.str().or_else(|| value.bool().map(|_| value.raw().into()));
            if let Some(code) = text.filter(|t| !t.is_empty()) {
                sink.equality(Form::Code, &[&code]);
            }
        }
    }
}

/// For `:of-type`: each coding of the identifier's type, with the value.
fn of_type(identifier: Ref<'_>, sink: &mut Sink<'_>) {
    let Some(kind) = identifier.get("type") else { return };
    let Some(value) = identifier.get_str("value") else { return };
    for coding in kind.get("coding").into_iter().flat_map(Ref::items) {
        if let (Some(system), Some(code)) = (coding.get_str("system"), coding.get_str("code")) {
            sink.equality(Form::OfType, &[&system, &code, &value]);
        }
    }
}

fn coding(system: Option<&str>, code: Option<&str>, sink: &mut Sink<'_>) {
    if let Some(code) = code {
        sink.equality(Form::Code, &[code]);
        sink.equality(Form::SystemCode, &[system.unwrap_or(""), code]);
        if sink.index.role == Role::PrimaryCode {
            primary(sink.key(Form::SystemCode, &[system.unwrap_or(""), code]), sink);
        }
    }
    if let Some(system) = system.filter(|_| sink.index.systems) {
        sink.equality(Form::System, &[system]);
    }
}

/// The first coding is a column, so that its matches are ordered by date; further ones become ordered entries once
/// the date is known.
fn primary(key: i64, sink: &mut Sink<'_>) {
    match sink.rows.primary_code {
        None => sink.rows.primary_code = Some(key),
        Some(first) if first != key => sink.rows.further_codes.push(key),
        Some(_) => {}
    }
}

pub(crate) fn condition(term: &Term, param: &Param, keyer: &Keyer) -> Condition {
    if let ([index], System::Is(system), Some(code)) = (param.indexes.as_slice(), &term.system, &term.code)
        && index.role == Role::PrimaryCode
    {
        let key = keyer.key(param.type_number, &index.name, Form::SystemCode, &[system, code]);
        return Condition::Codes(vec![key]);
    }
    let mut keys = Vec::new();
    for index in &param.indexes {
        let key = |form, parts: &[&str]| keyer.key(param.type_number, &index.name, form, parts);
        match (&term.system, &term.code) {
            (System::Any, Some(code)) => keys.push(key(Form::Code, &[code])),
            // Codes, booleans, strings: the data holds no system, so the binding's counts, or none.
            (System::None, Some(code)) if index.plain => keys.push(key(Form::Code, &[code])),
            (System::Is(system), Some(code)) if index.plain => {
                if index.implied_system.as_deref().is_none_or(|s| s == system) {
                    keys.push(key(Form::Code, &[code]));
                }
            }
            (System::None, Some(code)) => keys.push(key(Form::SystemCode, &["", code])),
            (System::Is(system), Some(code)) => keys.push(key(Form::SystemCode, &[system, code])),
            (System::Is(system), None) => keys.push(key(Form::System, &[system])),
            (_, None) => {}
        }
    }
    match param.indexes.iter().all(|i| i.identifies) {
        true => Condition::Keys(keys),
        false => Condition::Tokens(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let is = |s: &str| System::Is(s.into());
        let rows = [
            ("male", System::Any, Some("male")),
            ("http://s|c", is("http://s"), Some("c")),
            ("|c", System::None, Some("c")),
            ("http://s|", is("http://s"), None),
            ("a\\|b", System::Any, Some("a|b")),
            ("s|a\\,b", is("s"), Some("a,b")),
        ];
        for (text, system, code) in rows {
            let term = Term::parse(text).unwrap();
            assert_eq!((term.system, term.code.as_deref()), (system, code), "{text}");
        }
        for bad in ["", "|", "a|b|c"] {
            assert!(Term::parse(bad).is_err(), "{bad}");
        }
    }
}
