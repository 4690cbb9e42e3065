//! `reference` parameters: <https://hl7.org/fhir/R4/search.html#reference>
//!
//! A reference below one of the server's own base urls is the same as a relative one; a version in it does not matter
//! for equality; a canonical is found with and without its `|version` and its `#fragment`. What is contained is no
//! resource to refer to: it is found by chains (`embedded.rs`).

mod target;

use std::sync::Arc;

use fhir_model::json::Ref;
use fhir_model::{Error, Key, Result};
use fhir_profiles::Definitions;

pub use self::target::ParsedReference;
pub(crate) use self::target::target_type;
use self::target::{named_type, said_type};
use crate::bases::Bases;
use crate::canonical::{CanonicalUrl, beginnings};
use crate::condition::Condition;
use crate::index_hash::{Form, IndexHasher};
use crate::index_writer::IndexWriter;
use crate::param::{Index, Param, Role};
use crate::token;

/// A reference as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceTerm {
    /// `Patient/1`, relative or below a base of ours.
    Local(Key),
    /// `1`: of any type the parameter may point at.
    Id(String),
    /// Anything else: the full url or canonical.
    Uri(String),
}

impl ReferenceTerm {
    /// Parses a value; `type_name` from a `:[type]` modifier.
    ///
    /// # Errors
    ///
    /// `Value` when the text is a fragment (`#x`) or empty, or a reference to another type than `type_name`.
    pub fn parse(text: &str, type_name: Option<&str>, bases: &Bases) -> Result<ReferenceTerm> {
        let term = match ParsedReference::parse(text, bases) {
            None => {
                let text = format!(
                    "`{text}` is not a reference such as Patient/1, 1 or http://example.org/fhir/Patient/1"
                );
                return Err(Error::value(text));
            }
            Some(ParsedReference::Local(key)) => ReferenceTerm::Local(key),
            Some(ParsedReference::Uri(text)) if Key::is_id(&text) => ReferenceTerm::Id(text),
            Some(ParsedReference::Uri(text)) => ReferenceTerm::Uri(text),
        };
        match (term, type_name) {
            (ReferenceTerm::Id(id), Some(type_name)) => Ok(ReferenceTerm::Local(Key::new(type_name, id))),
            (ReferenceTerm::Local(key), Some(type_name)) if *key.type_name != *type_name => {
                Err(Error::value(format!("`{text}` is not a reference to a {type_name}")))
            }
            (term, _) => Ok(term),
        }
    }
}

pub(crate) fn index(value: Ref<'_>, type_name: &str, writer: &mut IndexWriter<'_>) {
    match type_name {
        "Reference" => {
            literal(value, writer);
            if let Some(identifier) = value.get("identifier") {
                logical(identifier, writer);
            }
            // What is contained, or only has a name, has no key, and is a value all the same.
            writer.indexed.any |=
                value.children().any(|member| !member.key_is("id") && !member.key_is("extension"));
        }
        // `Bundle.entry[0].resource`: the resource itself stands where a reference would.
        "Resource" => {
            let Some(kind) = value.get_str("resourceType") else { return };
            writer.indexed.embedded = true;
            writer.indexed.any = true;
            writer.indexed.targets.push((&*kind).into());
            if let Some(id) = value.get_str("id") {
                writer.equality(Form::Local, &[&kind, &id]);
            }
        }
        _ => {
            if let Some(text) = value.str() {
                canonical(&text, writer);
            }
        }
    }
}

/// By the text of a reference, and the type that it says beside it.
fn literal(value: Ref<'_>, writer: &mut IndexWriter<'_>) {
    let Some(text) = value.get_str("reference") else {
        return writer.indexed.targets.extend(said_type(value));
    };
    if text.starts_with('#') {
        writer.indexed.embedded = true;
        return writer.indexed.targets.extend(target_type(value, writer.container).map(Box::from));
    }
    // An entry of the same Bundle.
    let entry = writer.container.find(&text);
    writer.indexed.embedded = entry.is_some();
    target(&text, writer);
    let named = named_type(&text).filter(|name| (writer.numbers)(name).is_some());
    if named.is_some() {
        return;
    }
    let of_entry = || entry?.0.get_str("resourceType").map(Box::from);
    if let Some(said) = said_type(value).or_else(of_entry) {
        if let Some(ParsedReference::Uri(uri)) = ParsedReference::parse(&text, writer.bases) {
            writer.equality(Form::Uri, &[&said, &uri]);
        }
        writer.indexed.targets.push(said);
    }
}

/// As it is written, and without the fragment; with a version, by what it begins with, too.
fn canonical(text: &str, writer: &mut IndexWriter<'_>) {
    if text.starts_with('#') {
        writer.indexed.embedded = true;
        writer.indexed.any = true;
        return;
    }
    target(text, writer);
    let parts = CanonicalUrl::parse(text);
    let resource = parts.resource();
    if *resource != *text {
        target(&resource, writer);
    }
    let Some(version) = parts.version else { return };
    match ParsedReference::parse(parts.url, writer.bases) {
        // Not as if it were named without a version: that is another thing to follow.
        Some(ParsedReference::Uri(url)) => writer.equality(Form::Version, &[&url, ""]),
        _ => target(parts.url, writer),
    }
    for beginning in beginnings(version) {
        writer.equality(Form::Version, &[parts.url, beginning]);
    }
}

fn target(text: &str, writer: &mut IndexWriter<'_>) {
    match ParsedReference::parse(text, writer.bases) {
        Some(ParsedReference::Local(key)) => {
            writer.indexed.any = true;
            writer.indexed.targets.push(key.type_name.clone());
            if writer.index.role == Role::Patient
                && *key.type_name == *"Patient"
                && writer.rows.patient.is_none()
            {
                let number = (writer.numbers)("Patient").unwrap_or(0);
                writer.rows.patient = Some(writer.hasher.handle(number, &key.id));
            } else {
                writer.equality(Form::Local, &[&key.type_name, &key.id]);
            }
        }
        Some(ParsedReference::Uri(uri)) => {
            writer.equality(Form::Uri, &[&uri]);
            writer.indexed.targets.extend(named_type(&uri).map(Box::from));
        }
        None => {}
    }
}

/// Each form twice: of a reference to whatever type, and of one to its own type, which is empty where it says none.
fn logical(identifier: Ref<'_>, writer: &mut IndexWriter<'_>) {
    let (system, value) = (identifier.get_str("system"), identifier.get_str("value"));
    let type_name = writer.indexed.targets.first().cloned().unwrap_or_default();
    let hasher = writer.hasher;
    let mut leave = |form, parts: &[&str]| {
        writer.equality(form, parts);
        writer.equality(form, &[&[&*type_name], parts].concat());
    };
    if let Some(system) = &system {
        leave(Form::IdentifierSystem, &[system]);
    }
    if let Some(value) = &value {
        let value = &token::cased(value, hasher);
        leave(Form::IdentifierValue, &[value]);
        leave(Form::IdentifierSystemValue, &[system.as_deref().unwrap_or_default(), value]);
    }
    writer.indexed.of_any_type |= type_name.is_empty() && (system.is_some() || value.is_some());
}

pub(crate) fn condition(
    term: &ReferenceTerm,
    param: &Param,
    hasher: &IndexHasher,
    definitions: &Definitions,
) -> Condition {
    let mut any = Vec::new();
    let mut local = |type_name: &str, id: &str| {
        if param.only_target.as_deref().is_some_and(|only| only != type_name) {
            return;
        }
        for index in &param.indexes {
            if index.role == Role::Patient && type_name == "Patient" {
                let number = definitions.type_number("Patient").unwrap_or(0);
                any.push(Condition::Patient(vec![hasher.handle(number, id)]));
            } else {
                any.push(Condition::Keys(vec![hasher.key(
                    param.type_number,
                    &index.name,
                    Form::Local,
                    &[type_name, id],
                )]));
            }
        }
    };
    match term {
        ReferenceTerm::Local(key) => local(&key.type_name, &key.id),
        ReferenceTerm::Id(id) => match &param.only_target {
            Some(only) => local(only, id),
            // Where a definition names no targets any type is one.
            None if param.targets.is_empty() => definitions.numbered().for_each(|t| local(t, id)),
            None => param.targets.iter().for_each(|t| local(t, id)),
        },
        ReferenceTerm::Uri(uri) => any.push(Condition::Keys(by_uri(uri, param, hasher, definitions))),
    }
    Condition::Any(any)
}

/// The keys of what refers elsewhere.
fn by_uri(uri: &str, param: &Param, hasher: &IndexHasher, definitions: &Definitions) -> Vec<i64> {
    let key = |i: &Index, form, parts: &[&str]| hasher.key(param.type_number, &i.name, form, parts);
    let indexes = || param.indexes.iter();
    let named = named_type(uri).filter(|name| definitions.type_number(name).is_some());
    match (param.only_target.as_deref(), named) {
        // The url of a Group is none of `patient`, though it stands among the same values.
        (Some(only), Some(named)) if only != named => Vec::new(),
        // One that names no type is of the type that the reference says beside it.
        (Some(only), None) => indexes().map(|i| key(i, Form::Uri, &[only, uri])).collect(),
        _ => {
            // "a canonical without a version": any.
            let urls = indexes().filter(|i| i.has_canonicals() && !uri.contains('|'));
            let versions = urls.map(|i| key(i, Form::Version, &[uri, ""]));
            indexes().map(|i| key(i, Form::Uri, &[uri])).chain(versions).collect()
        }
    }
}

/// What names one of these canonical urls, each as it is written: `url`, `url|1.2`.
pub(crate) fn by_canonical(urls: &[String], param: &Param, hasher: &IndexHasher) -> Condition {
    let indexes = || param.indexes.iter().filter(|i| i.has_canonicals());
    let key = |i: &Index, url: &str| hasher.key(param.type_number, &i.name, Form::Uri, &[url]);
    Condition::Keys(urls.iter().flat_map(|url| indexes().map(|i| key(i, url))).collect())
}

/// `:below` and `:above` of canonicals: `url|1.2` is below `url|1`. `text` has a version.
pub(crate) fn by_version(text: &str, below: bool, param: &Param, hasher: &IndexHasher) -> Condition {
    let Some((url, version)) = text.split_once('|') else { return Condition::never() };
    let mut keys = Vec::new();
    for index in &param.indexes {
        let key = |form, parts: &[&str]| hasher.key(param.type_number, &index.name, form, parts);
        match below {
            // A url that holds a bar itself is below itself, too.
            true => keys.extend([key(Form::Version, &[url, version]), key(Form::Uri, &[text])]),
            false => keys.extend(beginnings(version).map(|v| key(Form::Uri, &[&format!("{url}|{v}")]))),
        }
    }
    Condition::Keys(keys)
}

/// `:identifier`: by the identifier within the reference. A parameter of one type asks for references to that type, and for
/// those that do not say to which: they can be.
pub(crate) fn by_identifier(term: &token::TokenTerm, param: &Param, hasher: &IndexHasher) -> Condition {
    let code = term.code.as_deref().map(|code| token::cased(code, hasher));
    let (form, parts) = match (&term.system, code.as_deref()) {
        (token::System::Any, code) => (Form::IdentifierValue, vec![code.unwrap_or("")]),
        (token::System::None, code) => (Form::IdentifierSystemValue, vec!["", code.unwrap_or("")]),
        (token::System::Is(system), Some(code)) => (Form::IdentifierSystemValue, vec![system.as_str(), code]),
        (token::System::Is(system), None) => (Form::IdentifierSystem, vec![system.as_str()]),
    };
    let ways: Vec<Vec<&str>> = match param.only_target.as_deref() {
        Some(only) => [only, ""].map(|type_name| [&[type_name], parts.as_slice()].concat()).to_vec(),
        None => vec![parts],
    };
    let of_index = |index: &Arc<Index>| {
        let key = |parts: &Vec<&str>| hasher.key(param.type_number, &index.name, form, parts);
        ways.iter().map(key).collect::<Vec<_>>()
    };
    Condition::Keys(param.indexes.iter().flat_map(of_index).collect())
}
