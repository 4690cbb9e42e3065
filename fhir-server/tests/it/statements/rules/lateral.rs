//! `lateral`: no limit within, and none after a function that returns rows.
//!
//! "Limit clause is currently unsupported when a lateral subquery references a column from a table function": a plain join, or
//! `= any(..)`, says the same.

use super::super::sql::{Block, Source};

/// True where a lateral query over distributed rows has a limit, or stands after a function that returns rows.
pub(super) fn is_broken(block: &Block) -> bool {
    let mut has_function = false;
    block.from.iter().any(|relation| {
        has_function |= matches!(relation.source, Source::Function(_));
        relation.is_lateral && relation.is_distributed() && (has_function || relation.is_limited())
    })
}

#[test]
fn samples() {
    super::check(
        "lateral",
        &[
            "select l.* from unnest($1::int4[]) as t(id) cross join lateral (select r.handle from resource r \
             where r.type_id = t.id order by r.updated_at limit 1) l",
            "select t.n from unnest($1::int4[]) t(n) cross join lateral (select 1 from resource r where r.type_id = t.n) r",
            "select x.handle from unnest($1) k(key) join lateral (select r.handle from resource r where r.keys @> array[k.key]) x on true",
            "select 1 from ordered_entry e left join lateral (select r.id from resource r where r.handle = e.handle limit 1) r on true",
            // Within another, after two arms, with a limit of each.
            "select v.* from (select l.* from unnest($1) t(id) cross join lateral ((select r.handle from resource r limit 1) \
             union all (select h.handle from resource_history h limit 1)) l) v",
            "select 1 from resource where handle in (select x.handle from unnest($1) k(key), lateral (select r.handle from resource r \
             where r.patient = k.key) x)",
        ],
        &[
            "select r.handle from unnest($1::int4[]) as t(id) join resource r on r.type_id = t.id",
            "select r.handle from resource r cross join lateral (select e.value from ordered_entry e where e.handle = r.handle) e",
            // Rows of a table that every node has.
            "select d.token from unnest($1) k(key) cross join lateral (select d.token from distinct_text d where d.key = k.key limit 1) d",
            "select r.handle from resource r cross join lateral (select 1 from unnest(r.keys) k limit 1) k",
            "select 'lateral (select from resource limit 1)' from unnest($1) t(id)",
        ],
    );
}
