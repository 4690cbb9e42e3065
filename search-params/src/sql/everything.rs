//! The compartment of one patient from end to end, for `$everything`; and resources of any type by their keys.

use fhir_model::Key;

use super::plan::COLUMNS;
use super::residual::push;
use super::{Bind, Sql};
use crate::condition::Condition;
use crate::include::refers_to;
use crate::index_hash::IndexHasher;
use crate::param::Role;
use crate::registry::Registry;
use crate::rows::DATE_MIN;

/// What puts resources into the compartment of one patient:
/// <https://hl7.org/fhir/R4/compartmentdefinition-patient.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compartment {
    /// The patient's handle.
    patient: i64,
    /// Types that are in it when their patient column says so.
    by_column: Vec<i32>,
    /// Keys of references to the patient, of all types: types are part of a key.
    by_keys: Vec<i64>,
    /// Types whose primary date is not one of care: the birth of a relative.
    undated: Vec<i32>,
}

/// Which part of a compartment is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Numbers of the types; `None` means all.
    pub types: Option<Vec<i32>>,
    /// Changed at this time or later, in microseconds.
    pub since: Option<i64>,
    /// First and last microsecond of care; resources without a date are always wanted.
    pub care: Option<(i64, i64)>,
    /// After this position: type, primary date, handle.
    pub after: Option<(i32, i64, i64)>,
}

impl Compartment {
    /// The compartment of a patient.
    pub fn new(patient: &Key, registry: &Registry, hasher: &IndexHasher) -> Compartment {
        let number = |type_name: &str| hasher.type_id(registry.number(type_name).unwrap_or(0));
        let mut found = Compartment {
            patient: hasher.handle(registry.number("Patient").unwrap_or(0), &patient.id),
            by_column: vec![],
            by_keys: vec![],
            undated: vec![],
        };
        for this in registry.compartments().get("Patient").into_iter().flat_map(|c| c.resource_types()) {
            let Ok(search) = registry.for_type(this) else { continue };
            let codes = registry.compartments().for_resource("Patient", this).unwrap_or_default();
            for param in codes.iter().filter_map(|code| search.param(code)) {
                found.add(number(this), refers_to(param, &[patient.clone().into()], registry, hasher));
            }
            let born = search.param("birthdate");
            if born.is_some_and(|p| p.indexes.iter().any(|i| i.role == Role::PrimaryDate)) {
                found.undated.push(number(this));
            }
        }
        found.by_column.dedup();
        found
    }

    fn add(&mut self, type_number: i32, condition: Condition) {
        match condition {
            Condition::Any(each) => each.into_iter().for_each(|one| self.add(type_number, one)),
            Condition::Patient(_) => self.by_column.push(type_number),
            Condition::Keys(keys) => self.by_keys.extend(keys),
            _ => {}
        }
    }
}

/// The next resources of a compartment without the patient, by type, primary date and handle; the columns of a match,
/// then type and date.
pub fn compartment(of: &Compartment, part: &Part, scope: &Condition, limit: usize) -> Sql {
    let mut sql = Sql::default();
    sql.push("select ").push(COLUMNS).push(", r.type_id, r.date from ((select r.* from resource r where ");
    by_column(of, &mut sql);
    sql.push(" and r.handle <> ").bind(Bind::Long(of.patient));
    narrow(of, part, scope, limit, &mut sql);
    sql.push(") union all (select r.* from resource r where r.keys && ")
        .bind(Bind::Longs(of.by_keys.clone()));
    // What the first half has already. A null is no answer to `not`.
    sql.push(" and (");
    by_column(of, &mut sql);
    sql.push(") is not true");
    narrow(of, part, scope, limit, &mut sql);
    sql.push(")) r");
    order(limit, &mut sql);
    sql
}

/// Current resources of any type by their handles; the columns of a match, then the type.
pub fn current(handles: Vec<i64>, scope: &Condition) -> Sql {
    let mut sql = Sql::default();
    sql.push("select ").push(COLUMNS).push(", r.type_id from resource r where r.handle = any(");
    sql.bind(Bind::Longs(handles)).push(") and ");
    push(scope, &mut sql);
    sql
}

/// The same in the order of their rows.
pub fn current_in_order(handles: Vec<i64>, scope: &Condition) -> Sql {
    let mut sql = current(handles, scope);
    sql.push(" order by r.handle");
    sql
}

fn by_column(of: &Compartment, sql: &mut Sql) {
    sql.push("r.patient = ").bind(Bind::Long(of.patient));
    // `is true` hides the predicate from the planner, so that the scan stays on the patient index, in its order.
    sql.push(" and (r.type_id = any(").bind(Bind::Ints(of.by_column.clone())).push(")) is true");
}

fn narrow(of: &Compartment, part: &Part, scope: &Condition, limit: usize, sql: &mut Sql) {
    sql.push(" and ");
    push(scope, sql);
    if let Some(types) = &part.types {
        sql.push(" and (r.type_id = any(").bind(Bind::Ints(types.clone())).push(")) is true");
    }
    if let Some(since) = part.since {
        sql.push(" and r.updated_at >= ").bind(Bind::Long(since));
    }
    if let Some((first, last)) = part.care {
        sql.push(" and ((r.date <= ").bind(Bind::Long(last));
        sql.push(" and coalesce(r.date_high, r.date + 999999) >= ").bind(Bind::Long(first));
        sql.push(") or (r.date = ").bind(Bind::Long(DATE_MIN)).push(" and r.date_high is null)");
        sql.push(" or r.type_id = any(").bind(Bind::Ints(of.undated.clone())).push("))");
    }
    if let Some((type_id, date, handle)) = part.after {
        sql.push(" and (r.type_id, r.date, r.handle) > (").bind(Bind::Int(type_id));
        sql.push(", ").bind(Bind::Long(date)).push(", ").bind(Bind::Long(handle)).push(")");
    }
    order(limit, sql);
}

fn order(limit: usize, sql: &mut Sql) {
    // The same order, written so that no index has it: the planner would scan that index past every other patient's resources.
    sql.push(" order by r.type_id::int8, r.date, r.handle").limit(limit);
}
