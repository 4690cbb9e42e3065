//! Texts for people: one catalogue, in all its languages.
//!
//! The texts are Fluent files, one a language (`locales/`): <https://projectfluent.org/fluent/guide/>
//!
//! **Invariants:** what a program reads (an OperationOutcome, a log line) is English and not from here. A text holds no
//! markup, so that translators cannot break a page and a page escapes it like all else.

mod catalogue;
mod language;

pub use catalogue::{Argument, Texts};
pub use language::Language;
