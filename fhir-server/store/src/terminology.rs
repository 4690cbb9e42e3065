//! What terminology says of codes, as far as searches ask: which are in a value set, above or below a code.
//!
//! <https://hl7.org/fhir/R4/search.html#token>. Value sets and code systems that are stored here come before those that
//! FHIR publishes. A terminology service can take this over: see [`Terminology`].

mod expand;
mod resources;
mod stored;

use std::future::Future;
use std::pin::Pin;

use fhir_model::{Error, Kind, Result};
use fhir_profiles::{CodeSystem, ValueSet};

pub use self::stored::StoredTerminology;

/// Most codes that one condition asks for.
pub(crate) const CODES_MAX: usize = 10_000;

/// A code with its system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// The system.
    pub system: String,
    /// The code.
    pub code: String,
}

/// An answer that takes time.
pub type TerminologyFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Where value sets and code systems are found.
pub trait Definitions: Sync {
    /// The code system of a url (with `|version` or without).
    fn code_system<'a>(&'a self, url: &'a str) -> TerminologyFuture<'a, Definition<'a, CodeSystem>>;

    /// A value set: by url (with `|version` or without), or by reference (`ValueSet/1`).
    fn value_set<'a>(&'a self, url: &'a str) -> TerminologyFuture<'a, Definition<'a, ValueSet>>;
}

/// Who knows about codes. At most [`CODES_MAX`](Kind::TooCostly) of them are of use to a search.
pub trait Terminology: Send + Sync {
    /// The codes of a value set: by url (with `|version` or without), or by reference (`ValueSet/1`).
    fn expand<'a>(
        &'a self,
        known: &'a dyn Definitions,
        value_set: &'a str,
    ) -> TerminologyFuture<'a, Vec<Code>>;

    /// A code and all below it.
    fn below<'a>(&'a self, known: &'a dyn Definitions, code: &'a Code) -> TerminologyFuture<'a, Vec<Code>>;

    /// A code and all above it.
    fn above<'a>(&'a self, known: &'a dyn Definitions, code: &'a Code) -> TerminologyFuture<'a, Vec<Code>>;
}

/// A resource that is stored here, or one that FHIR publishes.
pub enum Definition<'s, T> {
    /// It is stored here.
    Stored(Box<T>),
    /// FHIR publishes it.
    Published(&'s T),
}

impl<T> Definition<'_, T> {
    /// The resource itself.
    pub fn get(&self) -> &T {
        match self {
            Definition::Stored(one) => one,
            Definition::Published(one) => one,
        }
    }
}

pub(crate) fn too_many() -> Error {
    let text = format!("more than {CODES_MAX} codes are asked for at once");
    Error::new(Kind::TooCostly, text)
}
