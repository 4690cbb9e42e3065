//! What a statement may not do that is to run on a PostgreSQL distributed by `handle`: one rule a file, with statements that
//! break it and others that nearly do.
//!
//! What is refused, and what makes a backend die, was tried on Citus 13.

mod constant;
mod correlated;
mod handles;
mod lateral;
mod limited;
mod lock;
mod slice;
mod volatile;

use super::sql::{Block, Query, Token, parse};

/// A rule that a statement breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// Which rule.
    pub(super) rule: String,
    /// The part of the statement that breaks it, without its conditions.
    pub(super) part: String,
}

/// A rule on one block of a statement: true when the block breaks it.
type Rule = fn(&Block) -> bool;

/// The rules by their names.
const RULES: &[(&str, Rule)] = &[
    ("constant", constant::is_broken),
    ("correlated", correlated::is_broken),
    ("handles", handles::is_broken),
    ("lateral", lateral::is_broken),
    ("limited", limited::is_broken),
    ("lock", lock::is_broken),
    ("slice", slice::is_broken),
    ("volatile", volatile::is_broken),
];

/// The rules that a statement breaks, each once for a part.
pub(super) fn broken(sql: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    look(&parse(sql), &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn look(query: &Query, found: &mut Vec<Finding>) {
    for block in &query.blocks {
        let broken = RULES.iter().filter(|(_, is_broken)| is_broken(block));
        found.extend(broken.map(|(rule, _)| Finding { rule: (*rule).to_owned(), part: block.to_string() }));
        block.queries().for_each(|query| look(query, found));
    }
    query.ctes.iter().for_each(|cte| look(&cte.query, found));
}

/// The parts of a condition that must all hold.
fn conjuncts(condition: &[Token]) -> Vec<&[Token]> {
    match condition {
        [Token::Group(inner)] => conjuncts(inner),
        _ if condition.iter().any(|token| token.is("or") || token.is("between")) => Vec::new(),
        _ => match condition.iter().any(|token| token.is("and")) {
            true => condition.split(|token| token.is("and")).flat_map(conjuncts).collect(),
            false => vec![condition],
        },
    }
}

/// Asserts that statements break a rule and others do not.
#[cfg(test)]
fn check(rule: &str, bad: &[&str], good: &[&str]) {
    let breaks = |sql: &str| broken(sql).iter().any(|finding| finding.rule == rule);
    for sql in bad {
        assert!(breaks(sql), "passes `{rule}`: {sql}\n{:#?}", parse(sql));
    }
    for sql in good {
        assert!(!breaks(sql), "breaks `{rule}`: {sql}\n{:#?}", broken(sql));
    }
}
