//! SQL, parsed as far as the rules need it.

mod parse;
mod query;
mod token;

pub(super) use self::parse::parse;
pub(super) use self::query::{Block, Query, Relation, Source};
pub(super) use self::token::Token;
