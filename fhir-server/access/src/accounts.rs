//! Accounts: who has one, how they sign in, which organisations they are of.
//!
//! The functions stand in the modules below, each of one subject with its SQL. All of them are of one [`Accounts`], which every
//! process of a server has; what one changes, the others know within a second (`rights_cache.rs`).

pub mod challenges;
pub mod codes;
pub mod domains;
mod failures;
pub mod invitations;
mod known_rights;
pub mod login_name;
pub mod members;
pub mod organization_list;
mod organization_update;
pub mod organizations;
mod rights_cache;
pub mod second_factor;
mod service;
pub mod sessions;
pub mod sign_in;
mod token_cache;
pub mod users;

pub use self::service::{AccountOptions, Accounts};
