//! `for update` and its like: one row, by its handle.
//!
//! "could not run distributed query with FOR UPDATE/SHARE commands" where rows of several nodes may be locked.

use super::super::sql::{Block, Relation, Source, Token};
use super::conjuncts;

/// True where rows of a distributed table are locked that need not be one.
pub(super) fn is_broken(block: &Block) -> bool {
    block.locks.iter().any(|of| {
        let is_locked = |relation: &&Relation| of.is_empty() || of.contains(&relation.alias);
        let mut locked = block.from.iter().filter(is_locked);
        locked.any(|relation| relation.is_in_place() && !is_one_row(block, relation))
    })
}

/// True where the conditions that must all hold have `alias.handle = $1`.
fn is_one_row(block: &Block, relation: &Relation) -> bool {
    let is_only = block.from.len() == 1;
    let is_table = matches!(relation.source, Source::Table(_));
    let mut all = block.conditions.iter().flat_map(|condition| conjuncts(condition));
    is_table && all.any(|condition| is_handle_of_parameter(condition, is_only, &relation.alias))
}

fn is_handle_of_parameter(condition: &[Token], is_only: bool, alias: &str) -> bool {
    let Some(at) = condition.iter().position(|token| token.is_sign("=")) else { return false };
    let (one, other) = (&condition[..at], &condition[at + 1..]);
    let is_handle = |side: &[Token]| match side {
        [of, dot, handle] => of.is(alias) && dot.is_sign(".") && handle.is("handle"),
        [handle] => is_only && handle.is("handle"),
        _ => false,
    };
    let is_value = |side: &[Token]| match side {
        [Token::Parameter(_)] => true,
        [Token::Parameter(_), cast, Token::Word(_)] => cast.is_sign("::"),
        _ => false,
    };
    is_handle(one) && is_value(other) || is_value(one) && is_handle(other)
}

#[test]
fn samples() {
    super::check(
        "lock",
        &[
            "select r.handle, r.version from resource r where r.handle = any($1::int8[]) order by r.handle for update",
            "select r.handle from resource r where r.handle = any($1::int8[]) order by r.handle for no key update",
            "select r.handle from resource r join unnest($1::int8[], $2::int4[]) as n(handle, version) on r.handle = n.handle \
             order by r.handle for key share of r",
            "with need as materialized (select r.handle from resource r where r.type_id = $1 for share) select count(*) from need",
            "select h.handle from resource_history h where h.handle = $1 or h.version = $2 for update",
            "select h.handle from resource_history h where h.handle <> $1 for update",
            "select r.handle from resource r, resource_history h where h.handle = $1 for update of r, h nowait",
            "select r.handle from resource r where (r.handle = $1) is not true for update",
            "select r.handle from resource r where r.handle = r.patient for update",
            "select r.handle from resource r for update",
        ],
        &[
            "select r.handle from resource r where r.handle = $1::int8 for update",
            "select handle from resource where $1 = handle and version = $2 for no key update",
            "select r.* from resource r, w where (r.handle = $1::int8 and r.version = $2::int4) and (select count(*) from w) = $3 \
             for no key update of r",
            "select j.id from job j where j.run_at < $1 order by j.run_at limit $2 for update skip locked",
            "select v.version from search_version v where v.id = 1 for update",
            // What is locked is the row of the writer.
            "select w.id from writer w join resource r on r.handle = w.id for share of w",
        ],
    );
}
