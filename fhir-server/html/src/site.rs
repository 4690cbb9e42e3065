//! The server that pages show, and the request of the browser that asked for one.

use fhir_i18n::Language;
use fhir_profiles::Definitions;
use fhir_search::{Bases, Registry};

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
