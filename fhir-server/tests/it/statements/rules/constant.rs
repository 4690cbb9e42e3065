//! `left join .. on a.handle = b.handle and false`: no constant beside the equality of handles.
//!
//! The planner leaves of it the constant alone, and then nothing says that the rows lie beside each other: "complex joins are only
//! supported when all distributed tables are co-located and joined on their distribution columns". What is recorded does not
//! tell `true`, which does no harm, from `false`.

use super::super::sql::{Block, Token};
use super::conjuncts;

/// True where distributed tables are joined on a constant besides.
pub(super) fn is_broken(block: &Block) -> bool {
    let joined = block.relations().filter(|relation| relation.is_in_place()).count();
    let mut all = block.join_conditions.iter().flat_map(|condition| conjuncts(condition));
    joined > 1 && all.any(is_constant)
}

fn is_constant(condition: &[Token]) -> bool {
    match condition {
        [Token::Parameter(_)] => true,
        [Token::Word(word)] => word == "true" || word == "false",
        [Token::Parameter(_), cast, Token::Word(_)] => cast.is_sign("::"),
        _ => false,
    }
}

#[test]
fn samples() {
    super::check(
        "constant",
        &[
            "select e.value from string_entry e left join resource r on r.handle = e.handle and false where e.key = $1",
            "select e.value from string_entry e left join resource r on r.handle = e.handle and $4 where e.key = $1",
            "select e.value from string_entry e left join resource r on (r.handle = e.handle and ($4::bool)) where e.key = $1",
            "select e.value from string_entry e join resource r on true where r.handle = e.handle",
        ],
        &[
            "select e.value from string_entry e left join resource r on r.handle = e.handle and $4 = any(r.keys)",
            "select e.value from string_entry e left join resource r on r.handle = e.handle where e.key = $1 and false",
            "select e.value from string_entry e cross join lateral (select 1 from resource r where r.handle = e.handle) r",
            "select e.value from string_entry e left join lateral (select 1 from resource r where r.handle = e.handle) r on true",
            "select r.handle from resource r left join unnest($1::int8[]) n(handle) on $2",
            "with m as materialized (select e.handle from string_entry e) select r.handle from m join resource r on true",
        ],
    );
}
