//! What FHIR *is*: the JSON tree, FHIRPath, errors, references, interactions.
//!
//! **Invariant:** pure. No I/O, no clock, no random source, no global state.

pub mod date;
pub mod decimal;
pub mod error;
pub mod fhirpath;
pub mod json;
pub mod key;
pub mod types;
pub mod xml;

pub use error::{Error, Kind, Result};
pub use key::Key;
