//! What became of the resources of a piece that was sent, and of all of them.

use fhir_model::{Error, Kind};

use super::outcome::error_text;
use super::piece::Piece;
use super::target::Answer;

/// What became of resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) written: u64,
    pub(super) unchanged: u64,
    pub(super) superseded: u64,
    pub(super) failed: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Counts) {
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.superseded += other.superseded;
        self.failed += other.failed;
    }

    /// One more that was answered. `is_conditional`: a search decided whether it is written.
    pub(super) fn answered(&mut self, answer: &Answer, is_conditional: bool) {
        match answer.status {
            200 if is_conditional => self.unchanged += 1,
            200..300 => self.written += 1,
            _ => self.failed += 1,
        }
    }
}

/// What came of a piece.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) counts: Counts,
    pub(super) errors: Vec<(String, String)>,
    /// A refused transaction: it may refer to what another file brings.
    pub(super) refused: Option<Refused>,
    /// Why nothing that follows could be written either.
    pub(super) stopped: Option<String>,
}

impl Sent {
    pub(super) fn fail(&mut self, name: String, error: &Error) {
        if stops(error) {
            self.stopped = Some(error_text(error));
        }
        self.errors.push((name, error_text(error)));
    }
}

/// Whether what failed so will fail for all other pieces, too.
pub(super) fn stops(error: &Error) -> bool {
    matches!(error.kind, Kind::Unavailable | Kind::Unauthorized | Kind::Forbidden)
}

/// A transaction that was refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) piece: Piece,
    pub(super) text: String,
    /// What it counts for when it stays refused.
    pub(super) counts: Counts,
}
