//! The resource store: the only crate that talks to PostgreSQL for resources.
//!
//! One narrow row per current version, history beside it, index entries from `fhir-search` in the same transaction.
//!
//! **Invariants:** nothing is readable or writable without a [`Scope`]; what is acknowledged is durable and indexed;
//! no advisory locks, LISTEN, triggers or sequences; no state that matters lives in this process.

mod body;
mod codec;
mod commit_clock;
mod distinct;
mod distribution;
mod effect;
mod everything;
mod export;
mod feed;
mod full_text;
mod handle_generator;
mod history;
mod late_visibility;
mod long_search;
mod migrations;
mod open;
mod options;
mod parameters;
mod pipelined;
mod read;
mod read_source;
mod reindex;
mod restored;
mod scope;
mod scoped;
mod search;
mod secrets;
mod standby;
mod store;
mod tenants;
pub mod terminology;
#[cfg(feature = "testing")]
pub mod testing;
mod version;
mod visibility;
mod write;
mod writers;

pub use commit_clock::CommitTimestamp;
pub use distribution::{Distribution, distribute, distribution};
pub use effect::{ColumnType, Effect, EffectTable, EffectValue, Effects, WriteChange};
pub use everything::{EverythingFilter, Member};
pub use feed::{Change, FeedPosition};
pub use fhir_database::{Clock, Endpoint, Position, SchemaState, Standby};
pub use full_text::{FullText, TextHits};
pub use history::{History, HistoryPage, HistoryTarget};
pub use migrations::{MIGRATIONS, migrate, schema};
pub use open::NO_STANDBY;
pub use options::{LongSearches, Options, ReindexOptions, StandbyOptions};
pub use read_source::{ReadSource, StandbyRead};
pub use reindex::{ReindexJob, ReindexState};
pub use restored::mark_restored;
pub use scope::{Rule, Rules, Scope, ScopedStore, TypeRules};
pub use search::{Count, Explained, Page};
pub use standby::StandbyOutcome;
pub use store::Store;
pub use version::{Method, ResourceState, Version};
pub use write::{Claim, Commit, Precondition, Write};
