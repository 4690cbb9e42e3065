//! `token` parameters: <https://hl7.org/fhir/R4/search.html#token>
//!
//! Three equality keys for a coding: its code in any system, its system and code, its system. A code without a
//! system of its own (`Patient.gender`) has one key; the system its binding implies is settled when a query comes.
//!
//! Case does not matter to tokens that are texts: strings such as `Questionnaire.version`, and what is behind a
//! ContactPoint. To codes and identifiers it does, unless the setting `fold_codes` says otherwise. What is compared without
//! its case has forms of its own, so that an index with values of both kinds mixes up neither.

mod term;

use std::borrow::Cow;
use std::sync::Arc;

use fhir_model::json::Ref;
use fhir_text::{caseless, normalize};

pub use self::term::{CodeSet, CodedToken, OfType, System, TokenTerm};
use crate::condition::Condition;
use crate::index_hash::{Form, IndexHasher};
use crate::index_writer::IndexWriter;
use crate::param::{Index, Param, Role};
use crate::windows::asked_part;

impl OfType {
    /// The condition of an identifier by its type.
    pub(crate) fn condition(&self, param: &Param, hasher: &IndexHasher) -> Condition {
        let (code, value) = (cased(&self.code, hasher), cased(&self.value, hasher));
        let parts = [self.system.as_str(), &*code, &*value];
        let keys = param.indexes.iter().map(|i| hasher.key(param.type_number, &i.name, Form::OfType, &parts));
        Condition::Keys(keys.collect())
    }
}

pub(crate) fn index(value: Ref<'_>, type_name: &str, writer: &mut IndexWriter<'_>) {
    match type_name {
        "CodeableConcept" => {
            text(value.get_str("text"), writer);
            for coding in value.get("coding").into_iter().flat_map(Ref::items) {
                self::coding(type_name, coding.get_str("system"), coding.get_str("code"), writer);
                text(coding.get_str("display"), writer);
            }
        }
        "Coding" => {
            coding(type_name, value.get_str("system"), value.get_str("code"), writer);
            text(value.get_str("display"), writer);
        }
        "Identifier" => {
            coding(type_name, value.get_str("system"), value.get_str("value"), writer);
            index_identifier_type(value, writer);
            text(value.get("type").and_then(|kind| kind.get_str("text")), writer);
        }
        "ContactPoint" => coding(type_name, value.get_str("system"), value.get_str("value"), writer),
        _ => {
            let text = value.str().or_else(|| value.bool().map(|_| value.raw().into()));
            if let Some(code) = text.filter(|t| !t.is_empty()) {
                let (code, case) = as_compared(code, is_text(type_name), writer.hasher);
                writer.equality(case.code(), &[&code]);
                // Among values that have systems (`extension.value`), it is one that has none.
                if !writer.index.plain {
                    writer.equality(case.system_code(), &["", &code]);
                }
            }
        }
    }
}

/// For `:text`: few different ones are had by many, so they are kept once, and resources have their keys.
fn text(text: Option<Cow<'_, str>>, writer: &mut IndexWriter<'_>) {
    let Some(text) = text else { return };
    let folded = normalize(&text);
    // What is asked for is no longer.
    let folded = asked_part(&folded);
    if folded.is_empty() {
        return;
    }
    writer.indexed.any = true;
    if !writer.index.part {
        writer.equality(Form::Text, &[folded]);
        let token = writer.key(Form::Text, &[folded]);
        writer.distinct(Form::Text, folded, token);
    }
}

/// For `:of-type`: each coding of the identifier's type, with the value.
fn index_identifier_type(identifier: Ref<'_>, writer: &mut IndexWriter<'_>) {
    let Some(kind) = identifier.get("type") else { return };
    let Some(value) = identifier.get_str("value") else { return };
    for coding in kind.get("coding").into_iter().flat_map(Ref::items) {
        if let (Some(system), Some(code)) = (coding.get_str("system"), coding.get_str("code")) {
            let (code, value) = (cased(&code, writer.hasher), cased(&value, writer.hasher));
            writer.equality(Form::OfType, &[&system, &code, &value]);
        }
    }
}

/// Whether case matters to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Matters,
    Folded,
}

impl Case {
    fn code(self) -> Form {
        if self == Case::Folded { Form::FoldedCode } else { Form::Code }
    }

    fn system_code(self) -> Form {
        if self == Case::Folded { Form::FoldedSystemCode } else { Form::SystemCode }
    }
}

/// True for types whose values are texts, where tokens are compared whole, but without their case.
fn is_text(type_name: &str) -> bool {
    matches!(type_name, "string" | "markdown" | "ContactPoint")
}

/// A code as it is compared.
fn as_compared<'c>(code: Cow<'c, str>, is_text: bool, hasher: &IndexHasher) -> (Cow<'c, str>, Case) {
    match is_text || hasher.fold_codes() {
        true => (Cow::Owned(caseless(&code).into_owned()), Case::Folded),
        false => (code, Case::Matters),
    }
}

/// A code or identifier that is compared in the same form whatever the setting.
pub(crate) fn cased<'c>(code: &'c str, hasher: &IndexHasher) -> Cow<'c, str> {
    if hasher.fold_codes() { caseless(code) } else { Cow::Borrowed(code) }
}

fn coding(
    type_name: &str,
    system: Option<Cow<'_, str>>,
    code: Option<Cow<'_, str>>,
    writer: &mut IndexWriter<'_>,
) {
    let system = system.as_deref();
    if let Some(code) = code {
        let (code, case) = as_compared(code, is_text(type_name), writer.hasher);
        writer.equality(case.code(), &[&code]);
        writer.equality(case.system_code(), &[system.unwrap_or(""), &code]);
        if writer.index.role == Role::PrimaryCode {
            primary(writer.key(case.system_code(), &[system.unwrap_or(""), &code]), writer);
        }
    }
    if let Some(system) = system.filter(|_| writer.index.systems) {
        writer.equality(Form::System, &[system]);
    }
}

/// The first coding is a column, so that its matches are ordered by date; further ones become ordered entries once
/// the date is known.
fn primary(key: i64, writer: &mut IndexWriter<'_>) {
    match writer.rows.primary_code {
        None => writer.rows.primary_code = Some(key),
        Some(first) if first != key => writer.rows.further_codes.push(key),
        Some(_) => {}
    }
}

/// `:text`: what begins with it.
pub(crate) fn by_text(text: &str, param: &Param, hasher: &IndexHasher) -> Condition {
    let key = |i: &Arc<Index>| hasher.key(param.type_number, &i.name, Form::Text, &[]);
    let text = normalize(text);
    let each = param.indexes.iter().map(|i| Condition::Distinct(key(i), text.clone().into_owned()));
    Condition::Any(each.collect())
}

impl CodedToken {
    /// The condition, once systems and codes are known.
    pub fn condition<'c>(
        &self,
        codes: impl Iterator<Item = (&'c str, &'c str)>,
        hasher: &IndexHasher,
    ) -> Condition {
        let term = |(system, code): (&str, &str)| TokenTerm {
            system: if system.is_empty() { System::None } else { System::Is(system.to_owned()) },
            code: Some(code.to_owned()),
        };
        Condition::Any(
            codes.map(|c| index_condition(&term(c), self.type_number, &self.indexes, hasher)).collect(),
        )
    }
}

/// The condition of a token as it is.
pub(crate) fn condition(term: &TokenTerm, param: &Param, hasher: &IndexHasher) -> Condition {
    index_condition(term, param.type_number, &param.indexes, hasher)
}

fn index_condition(
    term: &TokenTerm,
    type_number: u16,
    indexes: &[Arc<Index>],
    hasher: &IndexHasher,
) -> Condition {
    if let ([index], System::Is(system), Some(code)) = (indexes, &term.system, &term.code)
        && index.role == Role::PrimaryCode
    {
        let (code, case) = as_compared(Cow::Borrowed(code), false, hasher);
        let key = hasher.key(type_number, &index.name, case.system_code(), &[system, &code]);
        return Condition::Codes(vec![key]);
    }
    let mut keys = Vec::new();
    for index in indexes {
        let key = |form, parts: &[&str]| hasher.key(type_number, &index.name, form, parts);
        let Some(code) = &term.code else {
            if let System::Is(system) = &term.system {
                keys.push(key(Form::System, &[system]));
            }
            continue;
        };
        for is_text in kinds(index) {
            let (code, case) = match index.truth {
                // What stands there is not what is in the data.
                true => (Cow::Borrowed(code.as_str()), Case::Matters),
                false => as_compared(Cow::Borrowed(code), is_text, hasher),
            };
            match &term.system {
                System::Any => keys.push(key(case.code(), &[&code])),
                // Codes, booleans, strings: the data holds no system, so the binding's counts, or none.
                System::None if index.plain => keys.push(key(case.code(), &[&code])),
                System::Is(system) if index.plain => {
                    if index.implied_system.as_deref().is_none_or(|s| s == system) {
                        keys.push(key(case.code(), &[&code]));
                    }
                }
                System::None => keys.push(key(case.system_code(), &["", &code])),
                System::Is(system) => keys.push(key(case.system_code(), &[system, &code])),
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
    match indexes.iter().all(|i| i.identifies) {
        true => Condition::Keys(keys),
        false => Condition::Tokens(keys),
    }
}

/// Whether values of an index are texts: some may be, and others not.
fn kinds(index: &Index) -> impl Iterator<Item = bool> {
    let texts = index.types.iter().filter(|name| is_text(name)).count();
    let each = [(true, texts > 0), (false, texts < index.types.len() || index.types.is_empty())];
    each.into_iter().filter_map(|(is_text, are_there)| are_there.then_some(is_text))
}
