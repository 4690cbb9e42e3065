//! Rows of distributed tables are joined by equal handles.
//!
//! "the query contains a join that requires repartitioning": rows that lie beside each other have one handle.

use std::collections::BTreeMap;

use super::super::sql::{Block, Query, Relation, Token};

/// True where rows of two distributed tables meet of which nothing says that their handles are the same.
pub(super) fn is_broken(block: &Block) -> bool {
    let own: Vec<&str> = block
        .relations()
        .filter(|relation| relation.is_in_place())
        .map(|relation| &*relation.alias)
        .collect();
    let mut equal = Equal::default();
    block.conditions.iter().for_each(|condition| equal.read(condition));
    if own.iter().any(|alias| !equal.are(own[0], alias)) {
        return true;
    }
    // Queries within, that are asked for each row.
    let within = block.from.iter().filter(|relation| relation.is_lateral).filter_map(Relation::query);
    within.chain(&block.nested).any(|query| {
        let free = query.free();
        let outer: Vec<&str> = own.iter().copied().filter(|alias| free.contains(alias)).collect();
        !outer.is_empty() && query.blocks.iter().any(|inner| is_elsewhere(inner, &outer))
    })
}

/// True where a query within another reads distributed rows that need not have the handle of a row outside.
fn is_elsewhere(inner: &Block, outer: &[&str]) -> bool {
    let mut equal = Equal::default();
    inner.conditions.iter().for_each(|condition| equal.read(condition));
    inner.relations().any(|relation| {
        let is_beside = outer.iter().any(|alias| equal.are(alias, &relation.alias));
        match relation.query() {
            // What refers to the outer row may do so further in.
            Some(query) if !is_beside => query.blocks.iter().any(|block| is_elsewhere(block, outer)),
            _ => relation.is_in_place() && !is_beside,
        }
    })
}

/// Which handles are the same.
#[derive(Default)]
struct Equal(BTreeMap<String, String>);

impl Equal {
    /// Reads `a.handle = b.handle and a.handle = $1 ..`; of what is only so or otherwise, nothing.
    fn read(&mut self, condition: &[Token]) {
        if let [Token::Group(inner)] = condition {
            return self.read(inner);
        }
        if condition.iter().any(|token| token.is("or")) {
            return;
        }
        for part in condition.split(|token| token.is("and")) {
            match part {
                [Token::Group(inner)] => self.read(inner),
                _ => {
                    let sides: Vec<&[Token]> = part.split(|token| token.is_sign("=")).collect();
                    if let [Some(one), Some(other)] =
                        *sides.iter().map(|side| handle(side)).collect::<Vec<_>>()
                    {
                        let (one, other) = (self.find(one).to_owned(), self.find(other).to_owned());
                        self.0.insert(one, other);
                    }
                }
            }
        }
    }

    fn find<'a>(&'a self, name: &'a str) -> &'a str {
        match self.0.get(name) {
            Some(next) if next != name => self.find(next),
            _ => name,
        }
    }

    fn are(&self, one: &str, other: &str) -> bool {
        self.find(one) == self.find(other)
    }
}

/// The alias of `alias.handle`, the name of a parameter.
fn handle(side: &[Token]) -> Option<&str> {
    match side {
        [Token::Word(alias), dot, handle] if dot.is_sign(".") && handle.is("handle") => Some(alias),
        [Token::Parameter(name)] => Some(name),
        [Token::Parameter(name), cast, Token::Word(_)] if cast.is_sign("::") => Some(name),
        _ => None,
    }
}

impl Relation {
    fn query(&self) -> Option<&Query> {
        match &self.source {
            super::super::sql::Source::Query(query) => Some(query),
            _ => None,
        }
    }
}

#[test]
fn samples() {
    super::check(
        "handles",
        &[
            "select r.handle from ordered_entry e join resource r on r.date = e.value",
            "select r.handle from resource r, resource_history h where r.handle = h.handle or r.version = h.version",
            "select r.handle from resource r join resource_history h on r.patient = h.handle",
            "select r.handle from resource r cross join string_entry e",
            "select r.handle from resource r where exists (select from ordered_entry e where e.value = r.date)",
            "select r.handle, (select max(n.version) from resource_history n where n.version = r.version) from resource r",
            "select r.handle from resource r cross join lateral (select e.value from ordered_entry e where e.value = r.date) e",
            "select r.handle from resource r join ordered_entry e on e.handle = r.handle join string_entry s on s.key = e.key",
            "delete from ordered_entry e using resource r where r.patient = e.handle",
            "update resource r set version = h.version from resource_history h where h.handle = r.patient",
            "select r.handle from resource r where r.handle = $1 and exists (select from (select e.value from ordered_entry e where e.handle = $2 \
             and e.value = r.date) x)",
            "select e.handle from (select e.handle from string_entry e group by e.handle) e join (select e.handle from string_entry e) e1 on true",
        ],
        &[
            "select r.handle from ordered_entry e join resource r on r.handle = e.handle and r.date = e.value",
            "select r.handle from resource r, resource_history h where (r.handle = h.handle and r.version = h.version)",
            "select r.handle from resource r join resource_history h on h.handle = $1::int8 where r.handle = $1",
            "select r.handle from unnest($1) n(handle) join resource r on r.handle = n.handle join resource_history h on n.handle = h.handle",
            "select r.handle from resource r where r.date in (select e.value from ordered_entry e where e.key = $1)",
            "select r.handle, (select max(n.version) from resource_history n where n.handle = r.handle) from resource r",
            "select e.handle from (select e.handle from string_entry e group by e.handle) e join (select e.handle from string_entry e) e1 \
             on e1.handle = e.handle",
            "with m as materialized (select e.handle from ordered_entry e) select r.handle from m join resource r on r.date = m.handle",
            "select r.handle from resource r join distinct_text d on d.token = any(r.keys)",
            "select h.handle from resource_history h where (h.version > $1 or coalesce((select n.version from resource_history n \
             where n.handle = h.handle and n.version > h.version limit 1), (select n.version from resource n where n.handle = h.handle)) > $2)",
            "select 1 from resource r where r.type_id = $1 union all select 1 from resource r where r.type_id = $2",
        ],
    );
}
