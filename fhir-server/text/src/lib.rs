//! Text as people write it: what does not matter in names and addresses, and how names sound.
//!
//! Search compares by it, and so does whatever else tells people apart by their names: two rules would find two sets of
//! people. Rules and reasons: `fhir-server/decisions/0020-names-as-people-have-them.md`.
//!
//! **Invariants:** pure functions of the text. What they make of it is stored in indexes, so a change is a change of the
//! index's format.

mod letters;
mod normalize;
mod phonetic;
#[cfg(test)]
mod tests;

pub use normalize::{caseless, later_words, normalize, words};
pub use phonetic::{sound, sounds};
