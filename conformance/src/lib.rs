//! The conformance suite: pages of Markdown that any FHIR server can be run against, over HTTP alone.
//!
//! It imports nothing of this repository: what it knows of FHIR stands in its pages.

pub mod cli;
mod client;
mod durability;
mod examples;
mod expect;
mod found;
mod laws;
mod page;
mod path;
mod run;
mod slow;
mod suite;
mod template;

pub use suite::{Pages, Tally, run_pages};
