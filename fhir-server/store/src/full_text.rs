//! Full text: what an index of words offers, which `fhir-fulltext` implements.
//!
//! The index follows the change feed, so it knows everything up to a position; `search/full_text.rs` adds what came after it.

use std::time::Duration;

use fhir_model::Result;
use fhir_search::TenantId;
use fhir_search::query::TextQuery;

use crate::feed::FeedPosition;

/// What an index found.
#[derive(Debug, Clone, Default)]
pub struct TextHits {
    /// Handles of resources and their scores, best first.
    pub hits: Vec<(i64, f32)>,
    /// Changes up to this position were taken into account.
    pub position: FeedPosition,
}

/// A full text index. Its work is done on threads that may block.
pub trait FullText: Send + Sync {
    /// What has these words, of a type of a tenant.
    ///
    /// # Errors
    ///
    /// `Value` when the words cannot be parsed as an expression, `Internal` when the index cannot be read.
    fn find(&self, tenant: TenantId, type_name: &str, ask: &TextQuery) -> Result<TextHits>;

    /// Whether a body has these words: what [`FullText::find`] would say of it.
    ///
    /// # Errors
    ///
    /// `Value` when the words cannot be parsed as an expression, `Internal` when the body is not JSON.
    fn matches(&self, ask: &TextQuery, body: &[u8]) -> Result<bool>;

    /// The position in the change feed up to which it is complete.
    fn position(&self) -> FeedPosition;

    /// Time since the index was last complete; `None` when it never was.
    fn lag(&self) -> Option<Duration>;
}
