//! The access-path picker: which statement answers a search.
//!
//! PostgreSQL's planner is not left to choose between walking a sorted index and a GIN: its estimates for several
//! common tokens are off by orders of magnitude. Drivers are tried in order of expected rarity; a common token is
//! first looked for along the sort order within a budget, and only when that does not fill the page by the GIN.

use super::residual::{handles, push, push_driver};
use super::sort::{
    By, Key, directions, is_by_date, is_one_column, keys, push_after, push_entry_order, push_order,
};
use super::{Bind, Sql};
use crate::condition::Condition;
use crate::cursor::Cursor;
use crate::keyer::Keyer;
use crate::query::Query;
use crate::registry::Registry;

/// Rows that are read at once with their bodies.
const HANDLES_FEW: usize = 500;
/// Patients whose dates are walked one by one before the type as a whole is.
const PATIENTS_FEW: usize = 500;
/// Rows walked along the sort order before the GIN is asked.
const WALK_BUDGET: usize = 2000;

/// The columns of a match, as the store reads them.
pub(super) const COLUMNS: &str =
    "r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end, r.packed";

/// The statements of a search, tried in order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The statements.
    pub steps: Vec<Step>,
    /// Sort values each row carries after its columns: true where it is a text, false where a number.
    pub places: Vec<bool>,
    /// How rows follow one another: descending or not, for each sort value and for the handle at the end.
    pub directions: Vec<bool>,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Step {
    /// What driver it uses, for explanations and tests.
    pub shape: &'static str,
    /// The statement.
    pub sql: Sql,
    /// False: it is the answer only when it fills the page.
    pub complete: bool,
}

/// The statements of a page of `limit` matches. The condition is that of the query, with nothing left to resolve.
pub fn page(query: &Query, condition: Condition, registry: &Registry, keyer: &Keyer, limit: usize) -> Plan {
    let number = registry.number(&query.type_name).unwrap_or(0);
    let keys = keys(query, keyer);
    let places = keys.iter().map(|k| !k.is_number()).collect();
    let directions = directions(&keys, query.cursor.as_ref());
    let shape = Shape {
        type_id: i32::from(number),
        columns: COLUMNS,
        parts: match condition {
            Condition::All(parts) => parts,
            one => vec![one],
        },
        keys,
        cursor: query.cursor.as_ref(),
        limit,
    };
    Plan { steps: shape.steps(), places, directions }
}

/// Where resources of a type are that meet a condition, at most `limit`, in no particular order: handle, id, patient.
pub fn places(type_number: u16, condition: Condition, limit: usize) -> Plan {
    let parts = match condition {
        Condition::All(parts) => parts,
        one => vec![one],
    };
    let keys = vec![Key { descending: true, by: By::Date }];
    let columns = "r.handle, r.id, r.patient";
    let shape = Shape { type_id: type_number.into(), columns, parts, keys, cursor: None, limit };
    Plan { steps: shape.steps(), places: vec![false], directions: vec![true, true] }
}

/// All matches, at most `limit`, in no particular order: conditional interactions.
pub fn matching(
    query: &Query,
    condition: Condition,
    registry: &Registry,
    keyer: &Keyer,
    limit: usize,
) -> Plan {
    let mut plain = query.clone();
    plain.sort.clear();
    plain.cursor = None;
    page(&plain, condition, registry, keyer, limit)
}

/// The number of matches; at most `limit` are counted when there is one.
pub fn count(query: &Query, condition: &Condition, registry: &Registry, limit: Option<usize>) -> Sql {
    let number = registry.number(&query.type_name).unwrap_or(0);
    let mut sql = Sql::default();
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
    sql.push("select count(*) from (select 1 from resource r where r.type_id = ")
        .bind(Bind::Int(number.into()));
    if *condition != Condition::All(Vec::new()) {
        sql.push(" and ");
        push_driver(condition, &mut sql);
    }
    if let Some(limit) = limit {
        sql.limit(limit);
    }
    sql.push(") found");
    sql
}

fn push_and(parts: &[Condition], sql: &mut Sql) {
    for part in parts {
        if *part != Condition::All(Vec::new()) {
            sql.push(" and ");
            push(part, sql);
        }
    }
}

struct Shape<'q> {
    type_id: i32,
    columns: &'static str,
    parts: Vec<Condition>,
    keys: Vec<Key>,
    cursor: Option<&'q Cursor>,
    limit: usize,
}

/// How well a condition drives a search: lower is better.
fn rank(part: &Condition, by_date: bool) -> Option<u8> {
    match part {
        Condition::Ids(..) => Some(0),
        Condition::Patient(one) if one.len() == 1 => Some(1),
        Condition::Keys(_) => Some(2),
        Condition::Handles(few) if few.len() <= HANDLES_FEW => Some(2),
        // A reference of several possible forms: each is looked up in its index.
        Condition::Any(each) if !each.is_empty() && each.iter().all(is_reference) => Some(2),
        Condition::Patient(_) => Some(3),
        Condition::TextPrefix(..) | Condition::TextContains(..) | Condition::Near(..) => Some(3),
        Condition::Codes(one) if one.len() == 1 && by_date => Some(4),
        Condition::Any(each) if !each.is_empty() && each.iter().all(is_text) => Some(5),
        Condition::Tokens(_) | Condition::Codes(_) | Condition::Handles(_) => Some(6),
        _ => None,
    }
}

fn is_reference(part: &Condition) -> bool {
    matches!(part, Condition::Patient(_) | Condition::Keys(_))
}

fn is_text(part: &Condition) -> bool {
    matches!(part, Condition::TextPrefix(..) | Condition::TextContains(..))
}

impl Shape<'_> {
    fn steps(&self) -> Vec<Step> {
        let by_date = is_by_date(&self.keys);
        let ranked = self.parts.iter().enumerate().filter_map(|(i, p)| Some((rank(p, by_date)?, i)));
        let Some((rank, driver)) = ranked.min() else { return vec![self.walk(None)] };
        let rest: Vec<Condition> =
            self.parts.iter().enumerate().filter(|(i, _)| *i != driver).map(|(_, p)| p.clone()).collect();
        let Some(driver) = self.parts.get(driver) else { return vec![self.walk(None)] };
        match (rank, driver) {
            (0, _) => vec![self.driven("id", driver, &rest, true)],
            (1, _) => vec![self.patient()],
            (2, _) => vec![self.driven("gin", driver, &rest, true)],
            (3, Condition::Patient(patients)) => self.patients(patients, &rest, by_date),
            (3 | 5, _) => vec![self.strings(driver, &rest)],
            (4, Condition::Codes(codes)) => vec![self.code(codes.first().copied().unwrap_or(0), &rest)],
            // A common token: along the order first, when there is an index to walk.
            _ if is_one_column(&self.keys) => {
                vec![self.walk(Some(WALK_BUDGET)), self.driven("gin", driver, &rest, false)]
            }
            _ => vec![self.driven("gin", driver, &rest, false)],
        }
    }

    fn select(&self, sql: &mut Sql) {
        sql.push("select ").push(self.columns);
        for (i, key) in self.keys.iter().enumerate() {
            sql.push(", ");
            key.push(i, sql);
            sql.push(&format!(" as s{i}"));
        }
    }

    fn joins(&self, sql: &mut Sql) {
        for (i, key) in self.keys.iter().enumerate() {
            key.push_join(i, sql);
        }
    }

    /// ` and <after the cursor> order by .. limit ..`.
    fn tail(&self, sql: &mut Sql) {
        push_after(&self.keys, self.cursor, sql);
        self.order(sql);
    }

    fn order(&self, sql: &mut Sql) {
        push_order(&self.keys, self.cursor, sql);
        sql.limit(self.limit);
    }

    fn done(shape: &'static str, sql: Sql) -> Step {
        Step { shape, sql, complete: true }
    }

    /// Along the order of an index of the type, filtering; within a budget when there is one.
    fn walk(&self, budget: Option<usize>) -> Step {
        let mut sql = Sql::default();
        if !self.keys.iter().all(Key::is_column) {
            return self.gathered(&self.parts);
        }
        self.select(&mut sql);
        match budget {
            None => {
                sql.push(" from resource r where r.type_id = ").bind(Bind::Int(self.type_id));
                push_and(&self.parts, &mut sql);
                self.tail(&mut sql);
                Self::done("walk", sql)
            }
            Some(budget) => {
                sql.push(" from (select r.* from resource r where r.type_id = ")
                    .bind(Bind::Int(self.type_id));
                push_after(&self.keys, self.cursor, &mut sql);
                push_order(&self.keys, self.cursor, &mut sql);
                sql.limit(budget).push(") r where true");
                push_and(&self.parts, &mut sql);
                self.order(&mut sql);
                Step { shape: "budgeted walk", sql, complete: false }
            }
        }
    }

    /// Along the dates of one patient: one index holds patient, type and date, and its estimates are good, so that
    /// the statement can say what it means.
    fn patient(&self) -> Step {
        if !self.keys.iter().all(Key::is_column) {
            return self.gathered(&self.parts);
        }
        Step { shape: "patient", ..self.walk(None) }
    }

    /// Of several patients: along the dates of each. Very many of them are everywhere, so the type is walked first.
    fn patients(&self, patients: &[i64], rest: &[Condition], by_date: bool) -> Vec<Step> {
        let each = Condition::Patient(patients.to_vec());
        let all = match by_date {
            true => self.of_each_patient(patients, rest),
            false => self.driven("patients", &each, rest, false),
        };
        match patients.len() > PATIENTS_FEW && is_one_column(&self.keys) {
            true => vec![self.walk(Some(WALK_BUDGET)), all],
            false => vec![all],
        }
    }

    fn of_each_patient(&self, patients: &[i64], rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        self.select(&mut sql);
        sql.push(" from (select of.* from unnest(").bind(Bind::Longs(patients.to_vec()));
        sql.push(") as p(handle) cross join lateral (select r.* from resource r where r.patient = p.handle");
        sql.push(" and r.type_id = ").bind(Bind::Int(self.type_id));
        push_and(rest, &mut sql);
        self.tail(&mut sql);
        sql.push(") of) r");
        self.order(&mut sql);
        Self::done("patients", sql)
    }

    /// Driven by one condition on columns of the row. `few`: its matches are few enough to carry their bodies.
    fn driven(&self, shape: &'static str, driver: &Condition, rest: &[Condition], few: bool) -> Step {
        let mut sql = Sql::default();
        let sides = !self.keys.iter().all(Key::is_column);
        if few && !sides {
            sql.push("with r as materialized (select r.* from resource r where ");
            push_driver(driver, &mut sql);
            sql.push(") ");
            self.select(&mut sql);
            sql.push(" from r where r.type_id = ").bind(Bind::Int(self.type_id));
            push_and(rest, &mut sql);
            self.tail(&mut sql);
            return Self::done(shape, sql);
        }
        sql.push("with m as materialized (select r.handle from resource r where ");
        push_driver(driver, &mut sql);
        // A test of truth is not looked up: the whole type's index would be read for what the driver says already.
        sql.push(" and (r.type_id = ").bind(Bind::Int(self.type_id)).push(") is true");
        push_and(rest, &mut sql);
        sql.push(") ");
        self.over_matches(sql, shape)
    }

    /// All matches gathered, then sorted by what is beside the row.
    fn gathered(&self, parts: &[Condition]) -> Step {
        let mut sql = Sql::default();
        sql.push("with m as materialized (select r.handle from resource r where r.type_id = ");
        sql.bind(Bind::Int(self.type_id));
        push_and(parts, &mut sql);
        sql.push(") ");
        self.over_matches(sql, "gathered")
    }

    fn over_matches(&self, mut sql: Sql, shape: &'static str) -> Step {
        self.select(&mut sql);
        sql.push(" from m join resource r on r.handle = m.handle");
        self.joins(&mut sql);
        sql.push(" where true");
        self.tail(&mut sql);
        Self::done(shape, sql)
    }

    /// Driven by text entries.
    fn strings(&self, driver: &Condition, rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        let alternatives = match driver {
            Condition::Any(each) => each.as_slice(),
            one => std::slice::from_ref(one),
        };
        sql.push("with m as materialized (");
        for (i, each) in alternatives.iter().enumerate() {
            sql.push(if i == 0 { "" } else { " union " });
            handles(each, &mut sql);
        }
        // One text entry can be there for several parts of one name.
        sql.push(if alternatives.len() == 1 { " group by e.handle) " } else { ") " });
        self.select(&mut sql);
        sql.push(" from m join resource r on r.handle = m.handle");
        self.joins(&mut sql);
        sql.push(" where r.type_id = ").bind(Bind::Int(self.type_id));
        push_and(rest, &mut sql);
        self.tail(&mut sql);
        Self::done("strings", sql)
    }

    /// Along the dates of one code: first codings by the column, further ones by their entries.
    fn code(&self, code: i64, rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        self.select(&mut sql);
        sql.push(" from ((select r.* from resource r where r.primary_code = ").bind(Bind::Long(code));
        push_and(rest, &mut sql);
        self.tail(&mut sql);
        // An entry holds the date and the handle of its row, so that its index is in the order of the dates, too.
        sql.push(") union all (select r.* from ordered_entry e join resource r on r.handle = e.handle where e.key = ");
        sql.bind(Bind::Long(code));
        push_and(rest, &mut sql);
        push_entry_order(&self.keys, self.cursor, &mut sql);
        sql.limit(self.limit);
        sql.push(")) r");
        self.order(&mut sql);
        Self::done("code", sql)
    }
}
