//! Writing: one transaction per call, index rows with it, all or nothing.
//!
//! One write is one statement, in which everything hangs on the row that decides (a data-modifying CTE). Several
//! are one transaction with one statement per table, and so is one that replaces a version on a distributed database.

mod commit;
pub(crate) mod index_only;
#[cfg(feature = "testing")]
mod late;
mod locks;
mod many;
mod one;
mod preconditions;
mod prepared;
mod row_statements;
mod rows;
mod turns;
mod write_failure;

use fhir_model::Key;
use fhir_model::json::Doc;

pub(crate) use self::commit::CLAIM;
pub(crate) use self::prepared::PreparedWrite;
pub(crate) use self::write_failure::WriteFailure;
use crate::version::{Method, ResourceState};

/// One change of one resource.
#[derive(Debug)]
pub struct Write {
    /// The resource.
    pub key: Key,
    /// The state that was read: the commit is stale when it is no longer true.
    pub before: ResourceState,
    /// Number of the new version: that of `before` and 1.
    pub version: u32,
    /// The HTTP method that makes the version.
    pub method: Method,
    /// The final body, with id and meta; `None` deletes the resource.
    pub doc: Option<Doc>,
    /// What else must be true when it is committed.
    pub preconditions: Vec<Precondition>,
}

/// The criteria of a conditional write, and when somebody last wrote under them. Taken before the search whose
/// answer the write relies on, checked in the commit: of two writers under the same criteria, the second is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    key: i64,
    seen: Option<i64>,
}

/// Something that must be true when a write is committed. Where it is not, the commit is [`Commit::Stale`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nobody wrote under the same criteria since the claim was taken.
    Claim(Claim),
    /// The resource is current in this version.
    Unchanged(Key, u32),
    /// The resource is current, whatever its version.
    Present(Key),
    /// There is no such resource; there may have been one.
    Absent(Key),
    /// No current resource refers to this one, but those that the same commit takes away or changes. It is known of
    /// databases that index references (`IndexSettings::references`).
    Unreferenced(Key),
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It is durable.
    Done,
    /// Something changed since it was read: nothing was written; read again and decide again.
    Stale,
}
