//! Who may do what: principals and policies, which become a [`fhir_store::Scope`].
//!
//! **Invariant:** nothing outside this crate decides access. What is decided takes effect in the store, whose every
//! function asks for the scope.

mod account_guard;
pub mod accounts;
mod deny_all;
mod guard;
mod migrations;
mod open;
mod permission;
mod principal;
mod resource_class;
mod resource_rules;
mod rights;
pub mod role;

pub use account_guard::AccountGuard;
pub use accounts::{AccountOptions, Accounts};
pub use deny_all::DenyAll;
pub use fhir_credentials::{KeyDirectory, PasswordOptions};
pub use guard::{AccessRequest, Authenticated, Credentials, Guard};
pub use migrations::MIGRATIONS;
pub use open::Open;
pub use permission::{Permission, Permissions};
pub use principal::{Principal, SignedIn, forbidden, unauthorized};
pub use rights::{Membership, Rights, not_a_member};
