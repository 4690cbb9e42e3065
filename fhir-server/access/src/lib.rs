//! Who may do what: principals and policies, which become a [`fhir_store::Scope`].
//!
//! **Invariant:** nothing outside this crate decides access. What is decided takes effect in the store, whose every
//! function asks for the scope.

mod deny_all;
mod open;

pub use deny_all::DenyAll;
pub use open::Open;
