//! What a newcomer writes that is not wrong and finds nothing: said in a warning, as the answer alone looks as if there were
//! nothing to find.

use fhir_model::types::Types;
use fhir_model::ucum::CanonicalUnit;
use fhir_model::{Key, suggest};
use fhir_profiles::code_system::Content;

use super::Parser;
use crate::param::Param;
use crate::parameters::ParameterKind;
use crate::quantity::{self, UCUM};
use crate::query::{Modifier, SearchTerm};
use crate::reference;
use crate::token::{self, System};

/// Systems of other publishers that are in most data.
const SYSTEMS: &[&str] = &[
    "http://loinc.org",
    "http://snomed.info/sct",
    UCUM,
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://hl7.org/fhir/sid/icd-10",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://hl7.org/fhir/sid/icd-9-cm",
    "http://hl7.org/fhir/sid/cvx",
    "http://hl7.org/fhir/sid/ndc",
    "http://hl7.org/fhir/sid/us-npi",
    "http://hl7.org/fhir/sid/us-ssn",
    "http://www.ama-assn.org/go/cpt",
    "http://www.whocc.no/atc",
    "http://dicom.nema.org/resources/ontology/DCM",
];

/// Most codes that a hint lists.
const CODES_MAX: usize = 10;

impl Parser<'_> {
    /// Says of a value of a parameter why it will hardly find what is meant, if there is a reason: in any case where it
    /// cannot be meant so, and when nothing is found where it can (ICD-10 has codes that end with `*`).
    pub(super) fn hint(&mut self, param: &Param, modifier: &Modifier, value: &str, term: &SearchTerm) {
        let guess = match term {
            SearchTerm::Token(term) => text_hint(value).or_else(|| system_hint(term)),
            SearchTerm::Reference(_) => text_hint(value),
            SearchTerm::Quantity(term) => unit_hint(term),
            SearchTerm::Text(_) if *modifier == Modifier::None => text_hint(value),
            _ => None,
        };
        if let Some(guess) = guess {
            return self.guess(format!("`{}`: {guess}", param.code));
        }
        let mistake = match term {
            SearchTerm::Token(term) if *modifier != Modifier::Identifier => self.code_hint(param, term),
            SearchTerm::Reference(term) => self.reference_hint(param, term),
            _ => None,
        };
        if let Some(mistake) = mistake {
            self.warn(format!("`{}`: {mistake}", param.code));
        }
    }

    /// The same of a value of `_id`.
    pub(super) fn hint_of_id(&mut self, id: &str) {
        if !Key::is_id(id) {
            self.warn(format!("`_id`: `{id}` is no id, which is what follows the type: `1` of `Patient/1`"));
        }
    }

    /// A code that a closed list of codes does not have.
    fn code_hint(&self, param: &Param, term: &token::TokenTerm) -> Option<String> {
        let code = term.code.as_deref()?;
        let [index] = param.indexes.as_slice() else { return None };
        let implied = index.implied_system.as_deref()?;
        if let System::Is(system) = &term.system
            && **system != *implied
        {
            return Some(format!("its codes are those of `{implied}`, not of `{system}`"));
        }
        let system = self.registry.definitions().code_system(implied).ok().flatten()?;
        if system.content != Content::Complete || system.concept(code).is_some() {
            return None;
        }
        let codes = || system.concepts.iter().map(|concept| &*concept.code);
        let all: Vec<&str> = codes().take(CODES_MAX + 1).collect();
        let known = match all.len() {
            ..=CODES_MAX => format!("; they are {}", all.join(", ")),
            _ => suggest::hint(code, codes()),
        };
        Some(format!("`{code}` is none of its codes{known}"))
    }

    fn reference_hint(&self, param: &Param, term: &reference::ReferenceTerm) -> Option<String> {
        let definitions = self.registry.definitions();
        let is_type = |name: &str| definitions.is_resource(name);
        match term {
            reference::ReferenceTerm::Local(key) if !is_type(&key.type_name) => {
                let near = suggest::hint(&key.type_name, definitions.resource_types());
                Some(format!("`{}` is not a resource type{near}", key.type_name))
            }
            reference::ReferenceTerm::Local(key) if !param.leads_to(&key.type_name) => {
                Some(format!("it never refers to a {}", key.type_name))
            }
            // What is written like a reference here, and is none.
            reference::ReferenceTerm::Uri(text) if !param.is_canonical() && !text.contains(':') => {
                let (type_name, _) = text.split_once('/').unwrap_or((text, ""));
                let near = suggest::nearest(type_name, definitions.resource_types());
                let near = near.map(|name| format!(": did you mean `{name}/..`?")).unwrap_or_default();
                Some(format!(
                    "`{text}` is no reference such as Patient/1 or http://example.org/fhir/Patient/1{near}"
                ))
            }
            _ => None,
        }
    }
}

/// Signs that mean nothing, though they do elsewhere.
fn text_hint(value: &str) -> Option<String> {
    if let Some(at) = value.find("%7C").or_else(|| value.find("%7c")).or_else(|| value.find("%2C")) {
        let code = value.get(at..at + 3).unwrap_or_default();
        return Some(format!("the value holds `{code}`, as if it had been encoded twice"));
    }
    let ends = value.len() > 1 && value.ends_with('*');
    ends.then(|| {
        "`*` stands for itself: texts are found by what they begin with, with `:contains` anywhere; codes and \
         identifiers are given whole"
            .to_owned()
    })
}

/// A system that is another only by a slip of the hand, or that stands alone.
fn system_hint(term: &token::TokenTerm) -> Option<String> {
    match (&term.system, term.code.as_deref()) {
        (System::Is(system), _) => {
            let known = known_system(system)?;
            Some(format!("the system `{system}` is not the one that is known as `{known}`"))
        }
        (System::Any, Some(code)) if code.starts_with("http://") || code.starts_with("https://") => {
            Some(format!("`{code}` was taken for a code; any code of a system is written `{code}|`"))
        }
        _ => None,
    }
}

/// The well-known system that differs by its scheme, a slash at its end or `www.` alone.
fn known_system(system: &str) -> Option<&'static str> {
    let is_unusual =
        system.starts_with("https:") || system.ends_with('/') || system.starts_with("http://www.");
    if !is_unusual || SYSTEMS.contains(&system) {
        return None;
    }
    let plain = |url: &str| -> Option<String> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        Some(rest.strip_prefix("www.").unwrap_or(rest).trim_end_matches('/').to_lowercase())
    };
    let asked = plain(system)?;
    SYSTEMS.iter().find(|known| plain(known).as_deref() == Some(&asked)).copied()
}

/// A unit that is not converted.
fn unit_hint(term: &quantity::QuantityTerm) -> Option<String> {
    match &term.unit {
        quantity::Unit::Coded(system, code) if *system == *UCUM => {
            CanonicalUnit::parse(code).is_none().then(|| {
                format!(
                    "`{code}` is not a UCUM unit that is known here: only what has this very code is found"
                )
            })
        }
        quantity::Unit::Coded(system, _) => known_system(system)
            .map(|known| format!("the system `{system}` is not the one that is known as `{known}`")),
        _ => None,
    }
}

/// True for parameters of which a value is a yes or a no.
pub(super) fn is_truth(param: &Param) -> bool {
    let is_boolean = |types: &[Box<str>]| matches!(types, [one] if **one == *"boolean");
    param.kind == ParameterKind::Token
        && !param.indexes.is_empty()
        && param.indexes.iter().all(|index| index.truth || is_boolean(&index.types))
}
