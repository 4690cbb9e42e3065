//! What reverse includes add, and where resources of any type are.

use super::plan::COLUMNS;
use super::residual::{one_of, push};
use super::{Bind, Sql};
use crate::condition::Condition;
use crate::include::Referring;

/// Resources that refer to others, of either way `limit` if there are so many, or some more; the columns of a match, then
/// the type. One that does so in both ways comes twice.
pub fn referring(to: &Referring, scope: &Condition, limit: usize) -> Sql {
    // Not every number of resources that are there already is to be a statement of its own.
    let limit = limit.next_power_of_two();
    let mut sql = Sql::default().with_shape("referring");
    let by_patient = |sql: &mut Sql| {
        sql.push("select ").push(COLUMNS).push(", r.type_id");
        push_by_patient(to, scope, sql);
        sql.limit(limit);
    };
    // An array of what was found, not a join, which could be one with the whole table.
    let by_keys = |sql: &mut Sql| {
        sql.push("select ").push(COLUMNS).push(", r.type_id from resource r where r.handle = any(array(");
        sql.push("select distinct x.handle");
        push_by_keys(to, scope, sql);
        sql.limit(limit).push("))");
    };
    both(to, by_patient, by_keys, &mut sql);
    sql
}

/// Where the resources are that refer to others, in the order of their rows and after one of them, at most `limit` of
/// either way: handle, type, id.
pub fn referring_rows(to: &Referring, scope: &Condition, after: i64, limit: usize) -> Sql {
    let mut sql = Sql::default().with_shape("referring");
    let by_patient = |sql: &mut Sql| {
        sql.push("select r.handle, r.type_id, r.id");
        push_by_patient(to, scope, sql);
        sql.push(" and r.handle > ").bind(Bind::Long(after)).push(" order by r.handle").limit(limit);
    };
    let by_keys = |sql: &mut Sql| {
        sql.push("select distinct x.handle, x.type_id, x.id");
        push_by_keys(to, scope, sql);
        sql.push(" where x.handle > ").bind(Bind::Long(after)).push(" order by x.handle").limit(limit);
    };
    both(to, by_patient, by_keys, &mut sql);
    sql
}

/// Where resources are that have one of these keys: handle, type, id.
pub fn rows_with_keys(keys: Vec<i64>, scope: &Condition, limit: usize) -> Sql {
    let mut sql = Sql::default().with_shape("canonical");
    sql.push("select distinct x.handle, x.type_id, x.id");
    push_by_keys(&Referring { keys, ..Referring::default() }, scope, &mut sql);
    sql.limit(limit);
    sql
}

/// Where resources are, by their possible handles: handle, type, id.
pub fn rows_by_handle(handles: Vec<i64>, scope: &Condition) -> Sql {
    let mut sql = Sql::default().with_shape("referred");
    sql.push("select r.handle, r.type_id, r.id from resource r where r.handle = any(");
    sql.bind(Bind::Longs(handles)).push(") and ");
    push(scope, &mut sql);
    sql
}

/// Types that have resources, of those with these numbers.
pub fn types_with_resources(types: Vec<i32>, scope: &Condition) -> Sql {
    let mut sql = Sql::default();
    sql.push("select t.n from unnest(").bind(Bind::Ints(types));
    sql.push(") t(n) cross join lateral (select 1 from resource r where r.type_id = t.n and ");
    push(scope, &mut sql);
    // The order is that of an index, so that it is used.
    sql.push(" order by r.updated_at limit 1) r");
    sql
}

/// A row when there is a resource of a type.
pub fn one_of_type(type_id: i32, scope: &Condition) -> Sql {
    let mut sql = Sql::default();
    sql.push("select r.type_id from resource r where r.type_id = ").bind(Bind::Int(type_id)).push(" and ");
    push(scope, &mut sql);
    sql.limit(1);
    sql
}

fn both(to: &Referring, by_patient: impl Fn(&mut Sql), by_keys: impl Fn(&mut Sql), sql: &mut Sql) {
    match (to.by_patient.is_empty(), to.keys.is_empty()) {
        (true, _) => by_keys(sql),
        (false, true) => by_patient(sql),
        (false, false) => {
            sql.push("(");
            by_patient(sql);
            sql.push(") union all (");
            by_keys(sql);
            sql.push(")");
        }
    }
}

fn push_by_patient(to: &Referring, scope: &Condition, sql: &mut Sql) {
    sql.push(" from resource r where ");
    one_of("r.patient", &to.patients, sql);
    sql.push(" and ");
    match to.by_patient.as_slice() {
        [one] => sql.push("r.type_id = ").bind(Bind::Int(*one)),
        many => sql.push("r.type_id = any(").bind(Bind::Ints(many.to_vec())).push(")"),
    };
    sql.push(" and ");
    push(scope, sql);
}

/// Each key is looked up by itself: for a list of many PostgreSQL would add up what it knows of none of them, and read
/// the whole table.
fn push_by_keys(to: &Referring, scope: &Condition, sql: &mut Sql) {
    sql.push(" from unnest(").bind(Bind::Longs(to.keys.clone()));
    sql.push(") k(key) cross join lateral (select r.handle, r.type_id, r.id from resource r");
    sql.push(" where r.keys @> array[k.key] and ");
    push(scope, sql);
    sql.push(") x");
}
