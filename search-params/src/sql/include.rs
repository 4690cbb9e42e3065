//! What reverse includes add, and where resources of any type are.

use super::plan::COLUMNS;
use super::{Bind, Sql};
use crate::include::Referring;

/// Resources that refer to others, `limit` if there are so many, or some more; the columns of a match, then the type. One
/// that does so in two ways comes twice.
pub fn referring(to: &Referring, limit: usize) -> Sql {
    let mut sql = Sql::default();
    arms(
        to,
        &mut sql,
        &|sql| {
            sql.push("select ").push(COLUMNS).push(", r.type_id");
        },
        &|sql| {
            // Not every number of resources that are there already is to be a statement of its own.
            sql.limit(limit.next_power_of_two());
        },
    );
    sql
}

/// Where the resources are that refer to others, in the order of their rows and after one of them, at most `limit` of
/// either way: handle, type, id.
pub fn referring_rows(to: &Referring, after: i64, limit: usize) -> Sql {
    let mut sql = Sql::default();
    arms(
        to,
        &mut sql,
        &|sql| {
            sql.push("select r.handle, r.type_id, r.id");
        },
        &|sql| {
            sql.push(" and r.handle > ").bind(Bind::Long(after)).push(" order by r.handle").limit(limit);
        },
    );
    sql
}

/// Where resources are, by their possible handles: handle, type, id.
pub fn located(handles: Vec<i64>) -> Sql {
    let mut sql = Sql::default();
    sql.push("select r.handle, r.type_id, r.id from resource r where r.handle = any(");
    sql.bind(Bind::Longs(handles)).push(")");
    sql
}

/// Types that have resources, of those with these numbers.
pub fn present(types: Vec<i32>) -> Sql {
    let mut sql = Sql::default();
    sql.push("select t.n from unnest(").bind(Bind::Ints(types));
    sql.push(") t(n) cross join lateral (select 1 from resource r where r.type_id = t.n limit 1) r");
    sql
}

type Part<'p> = &'p dyn Fn(&mut Sql);

/// By the patient column, by keys, or both.
fn arms(to: &Referring, sql: &mut Sql, select: Part<'_>, tail: Part<'_>) {
    let both = !to.by_patient.is_empty() && !to.keys.is_empty();
    sql.push(if both { "(" } else { "" });
    if !to.by_patient.is_empty() {
        select(sql);
        sql.push(" from resource r where ");
        one_of("r.patient", &to.patients, sql);
        sql.push(" and ");
        match to.by_patient.as_slice() {
            [one] => sql.push("r.type_id = ").bind(Bind::Int(*one)),
            many => sql.push("r.type_id = any(").bind(Bind::Ints(many.to_vec())).push(")"),
        };
        tail(sql);
    }
    sql.push(if both { ") union all (" } else { "" });
    if !to.keys.is_empty() || !both && to.by_patient.is_empty() {
        select(sql);
        sql.push(" from resource r where r.keys ");
        sql.push(if to.keys.len() == 1 { "@> " } else { "&& " }).bind(Bind::Longs(to.keys.clone()));
        tail(sql);
    }
    sql.push(if both { ")" } else { "" });
}

fn one_of(column: &str, values: &[i64], sql: &mut Sql) {
    match values {
        [one] => sql.push(column).push(" = ").bind(Bind::Long(*one)),
        many => sql.push(column).push(" = any(").bind(Bind::Longs(many.to_vec())).push(")"),
    };
}
