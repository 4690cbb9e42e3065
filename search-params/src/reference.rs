//! `reference` parameters: <https://hl7.org/fhir/R4/search.html#reference>
//!
//! A reference below one of the server's own base urls is the same as a relative one; a version in it does not matter
//! for equality; a canonical is found with and without its `|version` and its `#fragment`. What is contained is no
//! resource to refer to: it is found by chains (`embedded.rs`).

use std::borrow::Cow;
use std::sync::Arc;

use fhir_model::json::Ref;
use fhir_model::{Error, Key, Result};
use fhir_profiles::Definitions;

use crate::bases::Bases;
use crate::canonical::{CanonicalUrl, beginnings};
use crate::condition::Condition;
use crate::embedded::Container;
use crate::keyer::{Form, Keyer};
use crate::registry::{Index, Param, Role};
use crate::sink::Sink;
use crate::token;

/// A reference as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// `Patient/1`, relative or below a base of ours.
    Local(Key),
    /// `1`: of any type the parameter may point at.
    Id(String),
    /// Anything else: the full url or canonical.
    Uri(String),
}

/// What the text of a reference points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A resource of this server.
    Local(Key),
    /// Somewhere else.
    Uri(String),
}

impl Target {
    /// Reads `Type/id`, `Type/id/_history/v`, an absolute url or a urn; nothing for `#contained`.
    pub fn parse(text: &str, bases: &Bases) -> Option<Target> {
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let mut parts = bases.below(text).unwrap_or(text).split('/');
        if let (Some(type_name), Some(id), history) = (parts.next(), parts.next(), parts.next())
            && matches!(history, None | Some("_history"))
            && is_type(type_name)
            && Key::is_id(id)
        {
            return Some(Target::Local(Key::new(type_name, id)));
        }
        Some(Target::Uri(text.to_owned()))
    }
}

fn is_type(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(|b| b.is_ascii_alphabetic())
}

impl Term {
    /// Parses a value; `type_name` from a `:[type]` modifier.
    pub fn parse(text: &str, type_name: Option<&str>, bases: &Bases) -> Result<Term> {
        let term = match Target::parse(text, bases) {
            None => {
                let text = format!(
                    "`{text}` is not a reference such as Patient/1, 1 or http://example.org/fhir/Patient/1"
                );
                return Err(Error::value(text));
            }
            Some(Target::Local(key)) => Term::Local(key),
            Some(Target::Uri(text)) if Key::is_id(&text) => Term::Id(text),
            Some(Target::Uri(text)) => Term::Uri(text),
        };
        match (term, type_name) {
            (Term::Id(id), Some(type_name)) => Ok(Term::Local(Key::new(type_name, id))),
            (Term::Local(key), Some(type_name)) if *key.type_name != *type_name => {
                Err(Error::value(format!("`{text}` is not a reference to a {type_name}")))
            }
            (term, _) => Ok(term),
        }
    }
}

pub(crate) fn index(value: Ref<'_>, type_name: &str, sink: &mut Sink<'_>) {
    match type_name {
        "Reference" => {
            literal(value, sink);
            if let Some(identifier) = value.get("identifier") {
                logical(identifier, sink);
            }
            // What is contained, or only has a name, has no key, and is a value all the same.
            sink.found.any |=
                value.children().any(|member| !member.key_is("id") && !member.key_is("extension"));
        }
        // `Bundle.entry[0].resource`: the resource itself stands where a reference would.
        "Resource" => {
            let Some(kind) = value.get_str("resourceType") else { return };
            sink.found.embedded = true;
            sink.found.any = true;
            sink.found.targets.push((&*kind).into());
            if let Some(id) = value.get_str("id") {
                sink.equality(Form::Local, &[&kind, &id]);
            }
        }
        _ => {
            if let Some(text) = value.str() {
                canonical(&text, sink);
            }
        }
    }
}

/// By the text of a reference, and the type that it says beside it.
fn literal(value: Ref<'_>, sink: &mut Sink<'_>) {
    let Some(text) = value.get_str("reference") else {
        return sink.found.targets.extend(said_type(value));
    };
    if text.starts_with('#') {
        sink.found.embedded = true;
        return sink.found.targets.extend(target_type(value, sink.container).map(Box::from));
    }
    // An entry of the same Bundle.
    let entry = sink.container.find(&text);
    sink.found.embedded = entry.is_some();
    target(&text, sink);
    let named = named_type(&text).filter(|name| (sink.numbers)(name).is_some());
    if named.is_some() {
        return;
    }
    let of_entry = || entry?.0.get_str("resourceType").map(Box::from);
    if let Some(said) = said_type(value).or_else(of_entry) {
        if let Some(Target::Uri(uri)) = Target::parse(&text, sink.bases) {
            sink.equality(Form::Uri, &[&said, &uri]);
        }
        sink.found.targets.push(said);
    }
}

/// As it is written, and without the fragment; with a version, by what it begins with, too.
fn canonical(text: &str, sink: &mut Sink<'_>) {
    if text.starts_with('#') {
        sink.found.embedded = true;
        sink.found.any = true;
        return;
    }
    target(text, sink);
    let parts = CanonicalUrl::parse(text);
    let resource = parts.resource();
    if *resource != *text {
        target(&resource, sink);
    }
    let Some(version) = parts.version else { return };
    match Target::parse(parts.url, sink.bases) {
        // Not as if it were named without a version: that is another thing to follow.
        Some(Target::Uri(url)) => sink.equality(Form::Version, &[&url, ""]),
        _ => target(parts.url, sink),
    }
    for beginning in beginnings(version) {
        sink.equality(Form::Version, &[parts.url, beginning]);
    }
}

fn target(text: &str, sink: &mut Sink<'_>) {
    match Target::parse(text, sink.bases) {
        Some(Target::Local(key)) => {
            sink.found.any = true;
            sink.found.targets.push(key.type_name.clone());
            if sink.index.role == Role::Patient && *key.type_name == *"Patient" && sink.rows.patient.is_none()
            {
                let number = (sink.numbers)("Patient").unwrap_or(0);
                sink.rows.patient = Some(sink.keyer.handle(number, &key.id));
            } else {
                sink.equality(Form::Local, &[&key.type_name, &key.id]);
            }
        }
        Some(Target::Uri(uri)) => {
            sink.equality(Form::Uri, &[&uri]);
            sink.found.targets.extend(named_type(&uri).map(Box::from));
        }
        None => {}
    }
}

/// The type of what a Reference leads to: that of the resource within the same document, the one that its text names, or
/// the one that it says beside it. `None`, where it says none.
pub(crate) fn target_type<'d>(reference: Ref<'d>, within: &Container<'d>) -> Option<Cow<'d, str>> {
    let text = reference.get_str("reference");
    if let Some((resource, _)) = text.as_deref().and_then(|text| within.find(text)) {
        return resource.get_str("resourceType");
    }
    let named = text.as_deref().and_then(named_type).map(|name| name.to_owned().into());
    named.or_else(|| said_type(reference).map(|said| String::from(said).into()))
}

/// `Reference.type`: a name, or the url of the definition of a type.
fn said_type(reference: Ref<'_>) -> Option<Box<str>> {
    let said = reference.get_str("type")?;
    Some(said.strip_prefix("http://hl7.org/fhir/StructureDefinition/").unwrap_or(&said).into())
}

/// The type that the url of a resource names: `Patient` in `http://them/fhir/Patient/1/_history/2`.
fn named_type(text: &str) -> Option<&str> {
    let mut parts = text.split("/_history/").next()?.rsplit('/');
    let (_, type_name) = (parts.next()?, parts.next()?);
    is_type(type_name).then_some(type_name)
}

/// Each form twice: of a reference to whatever type, and of one to its own type, which is empty where it says none.
fn logical(identifier: Ref<'_>, sink: &mut Sink<'_>) {
    let (system, value) = (identifier.get_str("system"), identifier.get_str("value"));
    let type_name = sink.found.targets.first().cloned().unwrap_or_default();
    let keyer = sink.keyer;
    let mut leave = |form, parts: &[&str]| {
        sink.equality(form, parts);
        sink.equality(form, &[&[&*type_name], parts].concat());
    };
    if let Some(system) = &system {
        leave(Form::IdentifierSystem, &[system]);
    }
    if let Some(value) = &value {
        let value = &token::cased(value, keyer);
        leave(Form::IdentifierValue, &[value]);
        leave(Form::IdentifierSystemValue, &[system.as_deref().unwrap_or_default(), value]);
    }
    sink.found.of_any_type |= type_name.is_empty() && (system.is_some() || value.is_some());
}

pub(crate) fn condition(term: &Term, param: &Param, keyer: &Keyer, definitions: &Definitions) -> Condition {
    let mut any = Vec::new();
    let mut local = |type_name: &str, id: &str| {
        if param.only_target.as_deref().is_some_and(|only| only != type_name) {
            return;
        }
        for index in &param.indexes {
            if index.role == Role::Patient && type_name == "Patient" {
                let number = definitions.type_number("Patient").unwrap_or(0);
                any.push(Condition::Patient(vec![keyer.handle(number, id)]));
            } else {
                any.push(Condition::Keys(vec![keyer.key(
                    param.type_number,
                    &index.name,
                    Form::Local,
                    &[type_name, id],
                )]));
            }
        }
    };
    match term {
        Term::Local(key) => local(&key.type_name, &key.id),
        Term::Id(id) => match &param.only_target {
            Some(only) => local(only, id),
            // Where a definition names no targets any type is one.
            None if param.targets.is_empty() => definitions.numbered().for_each(|t| local(t, id)),
            None => param.targets.iter().for_each(|t| local(t, id)),
        },
        Term::Uri(uri) => any.push(Condition::Keys(by_uri(uri, param, keyer, definitions))),
    }
    Condition::Any(any)
}

/// The keys of what refers elsewhere.
fn by_uri(uri: &str, param: &Param, keyer: &Keyer, definitions: &Definitions) -> Vec<i64> {
    let key = |i: &Index, form, parts: &[&str]| keyer.key(param.type_number, &i.name, form, parts);
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
pub(crate) fn by_canonical(urls: &[String], param: &Param, keyer: &Keyer) -> Condition {
    let indexes = || param.indexes.iter().filter(|i| i.has_canonicals());
    let key = |i: &Index, url: &str| keyer.key(param.type_number, &i.name, Form::Uri, &[url]);
    Condition::Keys(urls.iter().flat_map(|url| indexes().map(|i| key(i, url))).collect())
}

/// `:below` and `:above` of canonicals: `url|1.2` is below `url|1`. `text` has a version.
pub(crate) fn by_version(text: &str, below: bool, param: &Param, keyer: &Keyer) -> Condition {
    let Some((url, version)) = text.split_once('|') else { return Condition::never() };
    let mut keys = Vec::new();
    for index in &param.indexes {
        let key = |form, parts: &[&str]| keyer.key(param.type_number, &index.name, form, parts);
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
pub(crate) fn by_identifier(term: &token::Term, param: &Param, keyer: &Keyer) -> Condition {
    let code = term.code.as_deref().map(|code| token::cased(code, keyer));
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
        let key = |parts: &Vec<&str>| keyer.key(param.type_number, &index.name, form, parts);
        ways.iter().map(key).collect::<Vec<_>>()
    };
    Condition::Keys(param.indexes.iter().flat_map(of_index).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let local = |t: &str, i: &str| Some(Target::Local(Key::new(t, i)));
        let uri = |t: &str| Some(Target::Uri(t.into()));
        let rows = [
            ("Patient/1", local("Patient", "1")),
            ("Patient/1/_history/3", local("Patient", "1")),
            ("http://us/fhir/Patient/1", local("Patient", "1")),
            ("https://us.org/Patient/1/_history/2", local("Patient", "1")),
            ("http://them/fhir/Patient/1", uri("http://them/fhir/Patient/1")),
            ("http://usfhir/Patient/1", uri("http://usfhir/Patient/1")),
            ("urn:uuid:0", uri("urn:uuid:0")),
            ("#p1", None),
            ("1", uri("1")),
        ];
        let bases = Bases::new(["http://us/fhir", "https://us.org"]);
        for (text, target) in rows {
            assert_eq!(Target::parse(text, &bases), target, "{text}");
        }
    }
}
