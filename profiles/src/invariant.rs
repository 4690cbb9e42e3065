//! A rule that data must keep: <https://hl7.org/fhir/R4/conformance-rules.html#constraints>

use serde::Deserialize;

/// One `constraint` of an ElementDefinition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Invariant {
    /// The element it is evaluated on; `None` means the type itself.
    pub element: Option<Box<str>>,
    /// `pat-1`. The same key may say different things on different types.
    pub key: Box<str>,
    /// Whether breaking it is an error.
    pub severity: Severity,
    /// What it says, for a person.
    pub human: Box<str>,
    /// What it says in FHIRPath.
    pub expression: Option<Box<str>>,
}

/// How bad a broken invariant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Severity {
    Error,
    Warning,
}
