//! The interactions against a real database, by the words of the specification.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says so when something is not as it should be"
)]

mod app;
mod batch;
mod capabilities;
mod conditional;
mod conditional_references;
mod delete;
mod history;
mod integrity;
mod late_rows;
mod links;
mod patch;
mod races;
mod read;
mod references;
mod replay;
mod scopes;
mod search;
mod search_parameters;
mod synthea;
mod transaction;
mod warnings;
mod write;
