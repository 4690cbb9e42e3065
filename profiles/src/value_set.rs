//! Value sets: <https://hl7.org/fhir/R4/valueset.html>

use serde::Deserialize;

/// A value set: what it is composed of, and its expansion where FHIR publishes one.
#[derive(Debug, Deserialize)]
pub struct ValueSet {
    /// Canonical URL; empty where a resource has none.
    #[serde(default)]
    pub url: Box<str>,
    /// The version that is here.
    pub version: Option<Box<str>>,
    /// For a computer.
    pub name: Option<Box<str>>,
    /// For a person.
    pub title: Option<Box<str>>,
    /// `active`, `draft`, `retired` ...
    pub status: Option<Box<str>>,
    /// Whose codes they are, where that is said.
    pub copyright: Option<Box<str>>,
    /// What is in it.
    #[serde(default)]
    pub compose: Compose,
    /// All its codes, as published.
    pub expansion: Option<Expansion>,
}

/// What a value set is made of.
#[derive(Debug, Default, Deserialize)]
pub struct Compose {
    /// A code is in when any of these has it ...
    #[serde(default)]
    pub include: Vec<Include>,
    /// ... and none of these.
    #[serde(default)]
    pub exclude: Vec<Include>,
    /// Whether inactive codes are in.
    pub inactive: Option<bool>,
}

/// Codes of one system, or of other value sets, or what both have in common.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Include {
    /// The code system.
    pub system: Option<Box<str>>,
    /// Its version.
    pub version: Option<Box<str>>,
    /// Just these codes; empty: all that the filters let through.
    #[serde(default)]
    pub concept: Vec<Reference>,
    /// All of these must hold.
    #[serde(default)]
    pub filter: Vec<Filter>,
    /// Canonicals of value sets, all of which must have the code; some carry `|version`.
    #[serde(default)]
    pub value_set: Vec<Box<str>>,
}

/// A code named in a `compose`.
#[derive(Debug, Deserialize)]
pub struct Reference {
    /// The code.
    pub code: Box<str>,
    /// Its text here, where that differs from the code system's.
    pub display: Option<Box<str>>,
}

/// A condition on concepts: <https://hl7.org/fhir/R4/valueset-filter-operator.html>
#[derive(Debug, Deserialize)]
pub struct Filter {
    /// A property of the code system (`concept` is the code itself).
    pub property: Box<str>,
    /// `is-a`, `=`, `in`, `regex` ...
    pub op: Box<str>,
    /// What it is compared with.
    pub value: Box<str>,
}

/// The codes of a value set.
#[derive(Debug, Deserialize)]
pub struct Expansion {
    /// The uppermost ones.
    #[serde(default)]
    pub contains: Vec<Contains>,
}

/// One code of an expansion, with those below it.
#[derive(Debug, Deserialize)]
pub struct Contains {
    /// Its system.
    pub system: Option<Box<str>>,
    /// None for a heading that is no code.
    pub code: Option<Box<str>>,
    /// Its text.
    pub display: Option<Box<str>>,
    /// True when it is there for its children only.
    #[serde(default, rename = "abstract")]
    pub is_abstract: bool,
    /// True when it should no longer be used.
    #[serde(default)]
    pub inactive: bool,
    /// The codes below it.
    #[serde(default)]
    pub contains: Vec<Contains>,
}
