//! FHIRPath over FHIR's real definitions: the official cases, and every expression that the definitions themselves hold.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say what went wrong by panicking")]

mod definitions;
mod official;
