//! Cari's FHIR server: wires the rooms together and decides nothing.
//!
//! **Invariant:** no FHIR rule, no SQL and no access decision is made here. [`http`] turns bytes into requests,
//! [`reply`] turns replies into bytes, [`wiring`] makes one server of the parts.

mod backup;
mod check;
pub mod cli;
pub mod command;
mod demo;
mod export;
pub mod http;
pub mod load;
pub mod logging;
pub mod metrics;
pub mod reply;
mod upgrade;
pub mod wiring;
