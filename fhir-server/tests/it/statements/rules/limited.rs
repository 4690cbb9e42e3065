//! A query with a limit, joined to a distributed table.
//!
//! Its rows are sent to the coordinator, and from there to all nodes, before anything is joined: a budget of 2,000 rows with their
//! bodies makes a search ten times as slow.

use super::super::sql::{Block, Relation};

/// True where rows of a distributed table that were limited are joined to a distributed table.
pub(super) fn is_broken(block: &Block) -> bool {
    let is_limited = |relation: &Relation| relation.is_limited() && relation.is_distributed();
    block.from.iter().any(is_limited) && block.relations().any(Relation::is_in_place)
}

#[test]
fn samples() {
    super::check(
        "limited",
        &[
            "select r.* from (select e.handle from ordered_entry e order by e.value limit $1) e join resource r on r.handle = e.handle",
            "with m as materialized (select r.handle from resource r limit 5) select r.* from m join resource r on r.handle = m.handle",
            // Limited by what it reads.
            "with m as materialized (select r.handle from resource r), t as (select m.* from m order by m.handle limit 5), \
             u as (select t.handle from t) select r.* from u join resource r on r.handle = u.handle",
            "select r.* from resource r left join (select e.handle from ordered_entry e fetch first 5 rows only) e on true",
            "delete from resource_history h using (select r.handle from resource r limit 5) r where r.handle = h.handle",
            "update resource r set version = 1 from (select e.handle from string_entry e offset 1) e where e.handle = r.handle",
            "select r.* from ((select r.handle from resource r limit 5) union all (select r.handle from resource r limit 5)) x, resource r",
            "select r.* from resource r join (select h.handle from resource_history h union select h.handle from resource_history h \
             order by 1 limit 5) x on x.handle = r.handle",
        ],
        &[
            "with m as materialized (select e.handle from ordered_entry e) select r.* from m join resource r on r.handle = m.handle limit 5",
            "select x.* from (select r.handle from resource r limit 5) x",
            "select r.* from resource r where r.handle in (select e.handle from ordered_entry e order by e.value limit 5)",
            "select r.* from (select w.id from writer w limit 1) w join resource r on r.version = w.id",
            "select (select count(*) from (select r.handle from resource r limit 5) x), e.handle from ordered_entry e",
            "(select r.handle from resource r limit 5) union all (select r.handle from resource r limit 5)",
        ],
    );
}
