//! Tokens as they are asked for.

use std::sync::Arc;

use fhir_model::Result;

use crate::param::{Index, Param};
use crate::text::split_bar;

/// A token as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTerm {
    /// The system.
    pub system: System,
    /// The code; `None` means any code of the system (`system|`).
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

impl TokenTerm {
    /// Parses `code`, `system|code`, `|code` or `system|`.
    ///
    /// # Errors
    ///
    /// `Value` when the text has more than one bar, or neither system nor code.
    pub fn parse(text: &str) -> Result<TokenTerm> {
        let parts = split_bar(text);
        let empty = || {
            fhir_model::Error::value(format!(
                "`{text}` is not a token: code, system|code, |code or system|; a bar within a value is written \\|"
            ))
        };
        match parts.as_slice() {
            [code] if !code.is_empty() => Ok(TokenTerm { system: System::Any, code: Some(code.clone()) }),
            [system, code] => {
                let code = Some(code.clone()).filter(|c| !c.is_empty());
                let system = match system.is_empty() {
                    true => System::None,
                    false => System::Is(system.clone()),
                };
                if code.is_none() && system == System::None {
                    Err(empty())
                } else {
                    Ok(TokenTerm { system, code })
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
    ///
    /// # Errors
    ///
    /// `Value` when one of the three is missing.
    pub fn parse(text: &str) -> Result<OfType> {
        match <[String; 3]>::try_from(split_bar(text)) {
            Ok([system, code, value]) if ![&system, &code, &value].iter().any(|t| t.is_empty()) => {
                Ok(OfType { system, code, value })
            }
            _ => {
                let text = format!(
                    "`:of-type` takes system|code|value, all three, not `{text}`: such as \
                     http://terminology.hl7.org/CodeSystem/v2-0203|MR|12345; a bar within a value is written \\|"
                );
                Err(fhir_model::Error::value(text))
            }
        }
    }
}

impl TokenTerm {
    /// For `:above` and `:below`: a code with its system, which may be implied.
    pub(crate) fn in_hierarchy(self, param: &Param) -> Result<TokenTerm> {
        let implied = match param.indexes.as_slice() {
            [index] => index.implied_system.as_deref(),
            _ => None,
        };
        let system = match (self.system, implied) {
            (System::Any, Some(implied)) => System::Is(implied.to_owned()),
            (system, _) => system,
        };
        match (&system, &self.code) {
            (System::Is(_), Some(_)) => Ok(TokenTerm { system, code: self.code }),
            _ => Err(fhir_model::Error::value(
                "`:above` and `:below` need the system of the code: system|code",
            )),
        }
    }
}

/// Codes that terminology knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeSet {
    /// Those of a value set: its url, or its reference here.
    ValueSet(String),
    /// A code and what is below it.
    Below(TokenTerm),
    /// A code and what is above it.
    Above(TokenTerm),
}

/// A token parameter, asked for codes that terminology knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedToken {
    /// Which codes.
    pub codes: CodeSet,
    pub(super) type_number: u16,
    pub(super) indexes: Vec<Arc<Index>>,
}

impl CodedToken {
    pub(crate) fn new(codes: CodeSet, param: &Param) -> CodedToken {
        CodedToken { codes, type_number: param.type_number, indexes: param.indexes.clone() }
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
            let term = TokenTerm::parse(text).unwrap();
            assert_eq!((term.system, term.code.as_deref()), (system, code), "{text}");
        }
        for bad in ["", "|", "a|b|c"] {
            assert!(TokenTerm::parse(bad).is_err(), "{bad}");
        }
    }
}
