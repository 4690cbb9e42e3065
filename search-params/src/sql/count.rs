//! How many resources match.

use super::residual::{entries, push_driver};
use super::window::Window;
use super::{Bind, Sql};
use crate::condition::Condition;

/// The number of matches; at most `limit` are counted when there is one.
pub fn count(type_id: i32, condition: &Condition, limit: Option<usize>) -> Sql {
    let mut sql = Sql::default().with_shape("count");
    if let (Condition::Codes(codes), None) = (condition, limit)
        && let [code] = codes.as_slice()
    {
        // Index-only on both sides: first codings are a column, further ones are entries.
        sql.push("select (select count(*) from resource r where r.primary_code = ").bind(Bind::Long(*code));
        sql.push(") + (select count(*) from ordered_entry e where e.key = ")
            .bind(Bind::Long(*code))
            .push(")");
        return sql;
    }
    let parts = match condition {
        Condition::All(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    if !parts.is_empty() && parts.iter().all(Condition::is_entry) {
        // Their keys are of the type: no row needs to be looked at.
        sql.push("select count(*) from (");
        for (i, part) in parts.iter().enumerate() {
            sql.push(if i == 0 { "(" } else { " intersect (" });
            entries(part, &mut sql);
            sql.push(")");
        }
        return count_rows(sql, limit);
    }
    let spans = Window::from_conditions(&condition.clone().parts()).spans();
    sql.push("select count(*) from (");
    for (i, span) in spans.iter().enumerate() {
        sql.push(if i == 0 { "" } else { " union all " });
        sql.push("select 1 from resource r where r.type_id = ").bind(Bind::Int(type_id));
        span.push("r.date", &mut sql);
        if *condition != Condition::All(Vec::new()) {
            sql.push(" and ");
            push_driver(condition, &mut sql);
        }
    }
    count_rows(sql, limit)
}

fn count_rows(mut sql: Sql, limit: Option<usize>) -> Sql {
    if let Some(limit) = limit {
        sql.limit(limit);
    }
    sql.push(") found");
    sql
}
