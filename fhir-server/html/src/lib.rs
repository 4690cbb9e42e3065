//! Pages for people: what the API answers in JSON, as HTML that a browser shows without a script.
//!
//! **Invariants:** pure: an answer and a request in, text out; no I/O, no clock. Nothing is shown that is not in the answer.
//! Whatever comes from a request or a resource is escaped, and a link leads to this server, or by http or https to another.
//! A page has a bounded size whatever the answer's.

mod bundle;
mod form;
mod json;
mod layout;
mod links;
mod narrative;
mod outcome;
mod resource;
mod summary;
#[cfg(test)]
mod tests;
mod view;

use fhir_i18n::Language;
use fhir_model::json::{Doc, JsonLimits};
use fhir_profiles::Definitions;
use fhir_search::{Bases, Registry};

pub use form::{FORM, criteria};
pub use layout::security_policy;

use crate::view::View;

/// The icon of all pages, an SVG.
pub const ICON: &str = include_str!("icon.svg");

/// The server that the pages are of.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// FHIR's types, by which values become links.
    pub definitions: &'a Definitions,
    /// What can be searched by.
    pub registry: &'a Registry,
    /// The urls that are this server's own.
    pub bases: &'a Bases,
    /// What it is called.
    pub software: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The largest page of a search.
    pub count_max: usize,
}

impl std::fmt::Debug for Site<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Site({} {})", self.software, self.version)
    }
}

/// One request of a browser.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The base url as the answer has it: `http://127.0.0.1:8080/fhir/R4`.
    pub base: &'a str,
    /// Its path, with which links begin: `/fhir/R4`.
    pub root: &'a str,
    /// The path below the base, encoded as it came, without a slash before it.
    pub path: &'a str,
    /// What follows the `?`, encoded as it came.
    pub query: &'a str,
    /// The url alone says what is shown, so that it can be asked for again in another format.
    pub is_get: bool,
    /// The reader's.
    pub language: Language,
    /// What the log knows the request by.
    pub request_id: &'a str,
}

/// The page of an answer: a resource, a Bundle, an error.
pub fn page(site: &Site<'_>, visit: &Visit<'_>, status: u16, body: &[u8]) -> String {
    let view = View::new(site, visit);
    let Ok(doc) = Doc::parse(body, JsonLimits::NONE) else { return outcome::bare(&view, status) };
    let root = doc.root();
    match root.get_str("resourceType").as_deref() {
        Some("OperationOutcome") if status >= 400 => outcome::page(&view, status, root),
        Some("Bundle") => bundle::page(&view, root),
        _ => resource::page(&view, root),
    }
}

/// The page at `/`: what this server is, and where to go on.
pub fn front(site: &Site<'_>, visit: &Visit<'_>) -> String {
    layout::front(&View::new(site, visit))
}
