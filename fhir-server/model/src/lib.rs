//! What FHIR *is*: the JSON tree, FHIRPath, errors, references, interactions.
//!
//! **Invariant:** pure. No I/O, no clock, no random source, no global state.

pub mod date;
pub mod decimal;
pub mod error;
pub mod fhirpath;
pub mod interaction;
pub mod json;
pub mod key;
pub mod reference;
pub mod status;
pub mod suggest;
pub mod types;
pub mod ucum;
pub mod url;
pub mod xml;

pub use error::{Error, Kind, Result};
pub use key::Key;
