//! Where a value of a resource leads to.

use fhir_model::reference::Reference;
use fhir_model::types::Types;
use fhir_model::{Key, url};
use fhir_profiles::Definitions;
use fhir_search::Bases;

/// The urls of a server, and what it makes of others.
pub(crate) struct Links<'a> {
    pub(crate) root: &'a str,
    pub(crate) base: &'a str,
    pub(crate) bases: &'a Bases,
    pub(crate) definitions: &'a Definitions,
}

/// A link's target, fit to be escaped into an `href`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A page of this server or a place in this one.
    Here(String),
    /// Another server, by http or https.
    Elsewhere(String),
}

/// Longest url that becomes a link.
const URL_BYTES_MAX: usize = 2000;

/// Resource types a canonical may name at most for all of them to be searched.
const TYPES_MAX: usize = 8;

/// Canonicals that the specification itself defines, which are explained at their own address.
const SPECIFICATION: &str = "http://hl7.org/fhir/";

impl Links<'_> {
    /// Of `Reference.reference`.
    pub(crate) fn reference(&self, text: &str) -> Option<Target> {
        if let Some(id) = text.strip_prefix('#') {
            return Key::is_id(id).then(|| Target::Here(format!("#{}", contained_id(id))));
        }
        match Reference::parse(text) {
            Reference::Conditional(name, criteria)
                if self.definitions.is_resource(name) && text.len() <= URL_BYTES_MAX =>
            {
                let pairs = url::pairs(criteria).ok()?;
                Some(Target::Here(format!("{}/{name}?{}", self.root, url::query(&pairs))))
            }
            Reference::Relative(_) => self.below(text),
            _ => self.url(text),
        }
    }

    /// Of a `url` or `uri`: absolute, or relative to the base as that of an Attachment.
    pub(crate) fn url(&self, text: &str) -> Option<Target> {
        if text.len() > URL_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        // The links of an answer begin with its own base, by whatever name it was called.
        let own = text
            .strip_prefix(self.base)
            .and_then(|rest| rest.strip_prefix(['/', '?']).map(|path| (rest, path)));
        if let Some((rest, _)) = own {
            return Some(Target::Here(format!("{}{rest}", self.root)));
        }
        if text == self.base {
            return Some(Target::Here(format!("{}/", self.root)));
        }
        if let Some(path) = self.bases.below(text) {
            return Some(Target::Here(format!("{}/{path}", self.root)));
        }
        let after = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        match after {
            Some(host) if host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') => {
                Some(Target::Elsewhere(text.to_owned()))
            }
            Some(_) => None,
            None => self.below(text),
        }
    }

    /// Of a canonical: a search by its url for what it may name.
    pub(crate) fn canonical(&self, text: &str, targets: &[Box<str>]) -> Option<Target> {
        let bare = text.split('#').next().unwrap_or(text);
        let (plain, version) =
            bare.split_once('|').map_or((bare, None), |(url, version)| (url, Some(version)));
        let is_link = matches!(self.url(plain), Some(Target::Elsewhere(_)));
        if plain.starts_with(SPECIFICATION) && is_link {
            return Some(Target::Elsewhere(plain.to_owned()));
        }
        let mut pairs = vec![("url".to_owned(), plain.to_owned())];
        pairs.extend(version.map(|version| ("version".to_owned(), version.to_owned())));
        let types: Vec<&str> = targets.iter().map(|name| &**name).collect();
        match types.as_slice() {
            _ if text.len() > URL_BYTES_MAX => None,
            [one] if self.definitions.is_resource(one) => {
                Some(Target::Here(format!("{}/{one}?{}", self.root, url::query(&pairs))))
            }
            [_, _, ..]
                if types.len() <= TYPES_MAX && types.iter().all(|one| self.definitions.is_resource(one)) =>
            {
                pairs.insert(0, ("_type".to_owned(), types.join(",")));
                Some(Target::Here(format!("{}/?{}", self.root, url::query(&pairs))))
            }
            _ => self.url(plain),
        }
    }

    /// `Patient/1` or a version of it, on this server.
    fn below(&self, text: &str) -> Option<Target> {
        let Reference::Relative(key) = Reference::parse(text) else { return None };
        let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._".contains(&b));
        (is_plain && self.definitions.is_resource(&key.type_name))
            .then(|| Target::Here(format!("{}/{text}", self.root)))
    }
}

/// What a contained resource is called on a page: its own id could be that of a part of the page.
pub(crate) fn contained_id(id: &str) -> String {
    format!("contained-{id}")
}
