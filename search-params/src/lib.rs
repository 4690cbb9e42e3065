//! FHIR R4 search: parameters as data, one file per type, text in, SQL out, extraction.
//!
//! <https://hl7.org/fhir/R4/search.html>
//!
//! **Invariants:** only this crate builds search SQL, and every value in it is bound. No I/O, no clock.

pub mod bases;
mod canonical;
pub mod code_quantity_index;
mod compartment_condition;
pub mod compartments;
pub mod compile;
pub mod composite;
pub mod condition;
pub mod cursor;
pub mod custom;
pub mod date;
pub mod embedded;
mod evaluate;
pub mod filter;
mod holds;
pub mod include;
pub mod index_hash;
mod index_value;
mod index_writer;
pub mod local_references;
pub mod long_search;
mod modifiers;
pub mod near;
pub mod number;
pub mod order;
pub mod param;
pub mod parameters;
mod parse;
pub mod path;
pub mod prefix;
mod prefix_hash;
pub mod quantity;
pub mod query;
pub mod reference;
pub mod registry;
pub mod rows;
mod settings;
pub mod sql;
mod string;
pub mod tenant;
mod text;
pub mod token;
mod uri;
mod windows;

pub use bases::Bases;
pub use compartment_condition::compartment_condition;
pub use parse::ParseCx;
pub use query::Query;
pub use registry::Registry;
pub use settings::IndexSettings;
pub use tenant::TenantId;
