//! Cari's FHIR server: wires the rooms together and decides nothing.
//!
//! **Invariant:** no FHIR rule, no SQL and no access decision is made here. [`modules`] lists the features,
//! [`wiring`] makes one server of the parts.

mod access;
mod accounts;
mod backup;
mod beside;
mod check;
pub mod cli;
pub mod command;
mod demo;
mod export;
pub mod load;
pub mod logging;
pub mod modules;
mod rate_limits;
mod serving;
mod settings;
mod stop_signal;
mod upgrade;
mod volume;
pub mod wiring;
