//! Steps of chains and reverse chains. No statement joins one resource to another: what one step found is bound to the next.

use super::residual::{push, push_driver};
use super::{Bind, Placement, Plan, Sql};
use crate::condition::Condition;

/// The patients of all resources of a type that meet a condition, each once, at most `limit`.
pub fn patients(type_id: i32, condition: &Condition, limit: usize) -> Sql {
    let mut sql = Sql::default().with_shape("referred patients");
    sql.push("select distinct r.patient from resource r where r.type_id = ").bind(Bind::Int(type_id));
    sql.push(" and r.patient is not null and ");
    push_driver(condition, &mut sql);
    sql.limit(limit);
    sql
}

/// What the id of a row begins with that is none of [`row_keys`](super::row_keys), as no id does. The type follows of which some
/// resources have a reference to one within themselves.
pub const EMBEDDED: char = ':';

/// The same plan, whose answer has a row with [`EMBEDDED`] besides for each of the types that one of these keys of distinct
/// texts has among its texts. It is asked with the rest, as a statement of its own would cost every chain a tenth.
pub fn with_embedded(plan: Plan, keys: &[i64], types: &[&str]) -> Plan {
    let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
    let mut plan = plan;
    for step in &mut plan.steps {
        let sql = &mut step.sql;
        sql.text.insert(0, '(');
        sql.push(") union all (select 0::int8, ").bind(Bind::Text(EMBEDDED.to_string()));
        sql.push(" || t.value, null::int8, null::int8 from distinct_text t where t.key = any(");
        sql.bind(Bind::Longs(keys.to_vec())).push(") and t.value = any(").bind(Bind::Texts(types.clone()));
        sql.push("))");
    }
    plan
}

/// How a resource is referred to: by the patient column, or by equality keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `r.patient`
    Patient,
    /// `r.keys`
    Keys,
}

/// Which of these (handles of patients, or keys) a resource of a type refers to that meets a condition. For each it stops
/// at the first one, where all are in one place.
pub fn held(placement: Placement, by: By, marks: Vec<i64>, type_id: i32, condition: &Condition) -> Sql {
    let mut sql = Sql::default().with_shape("referrers");
    if placement == Placement::Distributed {
        match by {
            By::Patient => {
                sql.push("select distinct r.patient from resource r where r.patient = any(");
                sql.bind(Bind::Longs(marks)).push(")");
            }
            By::Keys => {
                sql.push("select distinct t.mark from unnest(").bind(Bind::Longs(marks));
                sql.push(") as t(mark) join resource r on r.keys @> array[t.mark]");
            }
        }
        sql.push(match by {
            By::Patient => " and r.type_id = ",
            By::Keys => " where r.type_id = ",
        });
        sql.bind(Bind::Int(type_id)).push(" and ");
        push(condition, &mut sql);
        return sql;
    }
    sql.push("select t.mark from unnest(").bind(Bind::Longs(marks));
    sql.push(") as t(mark) cross join lateral (select 1 from resource r where ");
    sql.push(match by {
        By::Patient => "r.patient = t.mark",
        By::Keys => "r.keys @> array[t.mark]",
    });
    sql.push(" and r.type_id = ").bind(Bind::Int(type_id)).push(" and ");
    push(condition, &mut sql);
    sql.push(" limit 1) one");
    sql
}
