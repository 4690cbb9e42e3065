//! What a search is answered by: statements, and what the rows of each are to the answer.

use super::Sql;

/// The statements of a search, tried in order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The statements.
    pub steps: Vec<Step>,
    /// Sort values each row carries after its columns: true where it is a text, false where a number.
    pub sort_texts: Vec<bool>,
}

impl Plan {
    /// Of one statement, whose rows have no sort values.
    pub fn single(sql: Sql) -> Plan {
        Plan { steps: vec![Step { sql, then: Then::Done }], sort_texts: Vec::new() }
    }
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Step {
    /// The statement.
    pub sql: Sql,
    /// What its rows are to the answer.
    pub then: Then,
}

/// What the rows of a step are to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// All of it.
    Done,
    /// All of it when they fill the page; otherwise the next step is asked in its stead.
    OrElse,
    /// Its beginning: those of the next step come after them, while the page is not full.
    And,
    /// All of it, unless a first row without a handle says that there are too many to look at; then the next step is asked
    /// in its stead.
    IfFew,
}
