//! Full text search, `_text` and `_content`: <https://hl7.org/fhir/R4/search.html#content>
//!
//! A tantivy index beside the process, derived from the database: it follows the change feed, keeps the place it has
//! reached in its own commits, and is made anew when it is lost. What it says are candidates; the store asks the
//! database for what changed since that place, so that answers are exact however far behind the index is.
//!
//! **Invariants:** nothing is in it that is not in the database; nothing is decided by it; it can be deleted at any time.

mod expression;
mod follow;
mod index;
mod texts;
mod words;

pub use follow::consumer;
pub use index::Index;
