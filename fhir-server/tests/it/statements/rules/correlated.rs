//! A query over distributed rows that refers to a row outside which is not distributed.
//!
//! "correlated subqueries are not supported when the FROM clause contains a set returning function", "a CTE or subquery", "a reference
//! table": where no relation is distributed there is no node to ask. A join, or `= any(..)`, says the same.

use super::super::sql::{Block, Query, Relation};

/// True where a query within an expression reads distributed rows and refers to what is none.
pub(super) fn is_broken(block: &Block) -> bool {
    let is_in_place = block.relations().any(Relation::is_in_place);
    let refers = |query: &&Query| {
        let free = query.free();
        block.relations().any(|relation| free.contains(&*relation.alias))
    };
    !is_in_place && block.nested.iter().filter(refers).any(Query::is_distributed)
}

#[test]
fn samples() {
    super::check(
        "correlated",
        &[
            "select t.id from unnest($1::int4[]) as t(id) where exists (select from resource r where r.type_id = t.id)",
            "select t.id, (select r.handle from resource r where r.type_id = t.id limit 1) from unnest($1::int4[]) as t(id)",
            "select p.*, case when p.version > 1 then (select n.method = 4 from resource_history n where n.handle = p.handle) end \
             from (select r.* from resource r order by r.handle limit 5) p",
            "with m as materialized (select r.handle from resource r) select (select max(h.version) from resource_history h \
             where h.handle = m.handle) from m",
            "select d.value from distinct_text d where exists (select from resource r where d.token = any(r.keys))",
            // From within another query.
            "select t.id from unnest($1) t(id) where t.id in (select x.n from (select r.type_id as n from resource r where r.date = t.id) x)",
        ],
        &[
            "select t.id from unnest($1::int4[]) as t(id) where t.id in (select r.type_id from resource r)",
            "select (select max(h.version) from resource_history h where h.handle = r.handle) from resource r, unnest(r.keys) k",
            "select t.id from unnest($1) t(id) where exists (select from tenant n where n.number = t.id)",
            "select t.id from unnest($1) t(id) where exists (select from resource t where t.type_id = $2)",
            "select (select count(*) from resource r where r.primary_code = $1) + (select count(*) from ordered_entry e where e.key = $1)",
            "update resource r set version = (select max(h.version) from resource_history h where h.handle = r.handle)",
        ],
    );
}
