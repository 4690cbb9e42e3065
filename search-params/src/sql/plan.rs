//! The access-path picker: which statement answers a search.
//!
//! PostgreSQL's planner is not left to choose between an index-order scan and a GIN: its estimates for several
//! common tokens are off by orders of magnitude. Drivers are tried in order of expected rarity; a common token is
//! first looked for along the sort order within a budget, and only when that does not fill the page by the GIN.

use super::rank::{HANDLES_FEW, is_token, may_start_with, rank};
use super::residual::{entries, first_entries, push, push_driver};
use super::sort::{Sorted, is_by_date, is_indexed, is_one_column};
use super::step::{Plan, Step, Then};
use super::window::Window;
use super::{Bind, Placement, Sql};
use crate::condition::Condition;
use crate::order::Order;
use crate::query::Query;

/// At most so many patients are scanned by date one by one before the type as a whole is.
const PATIENTS_FEW: usize = 500;
/// Rows that an index-order scan reads before the GIN is used.
const SCAN_BUDGET: usize = 2000;

/// The columns of a match, as the store reads them.
pub(super) const COLUMNS: &str =
    "r.handle, r.version, r.updated_at, r.method, r.id, case when r.packed is null then r.json end, r.packed";

/// The statements of a page of `limit` matches in an order of columns. The condition is that of the query, with nothing
/// left to resolve.
pub fn page(
    placement: Placement,
    query: &Query,
    type_id: i32,
    condition: Condition,
    order: &Order,
    limit: usize,
) -> Plan {
    let shape = Shape {
        placement,
        type_id,
        columns: COLUMNS,
        parts: condition.parts(),
        sorted: Sorted::new(order, query.cursor.as_ref()),
        limit,
    };
    Plan { steps: shape.steps(), sort_texts: order.keys().iter().map(|key| !key.is_number()).collect() }
}

/// Where resources of a type are that meet a condition, at most `limit`, in no particular order: handle, id, patient.
pub fn row_keys(placement: Placement, type_id: i32, condition: Condition, limit: usize) -> Plan {
    let order = Order::newest();
    let sorted = Sorted::new(&order, None);
    let columns = "r.handle, r.id, r.patient";
    let shape = Shape { placement, type_id, columns, parts: condition.parts(), sorted, limit };
    Plan { steps: shape.steps(), sort_texts: vec![false] }
}

/// All matches, at most `limit`, in no particular order: conditional interactions.
pub fn matching(
    placement: Placement,
    query: &Query,
    type_id: i32,
    condition: Condition,
    limit: usize,
) -> Plan {
    let plain = Query { cursor: None, ..query.clone() };
    page(placement, &plain, type_id, condition, &Order::newest(), limit)
}

/// All matches, at most `limit`, as they come. The last step alone finds all of them.
pub fn unordered(placement: Placement, type_id: i32, condition: Condition, limit: usize) -> Plan {
    let order = Order::none();
    let sorted = Sorted::new(&order, None);
    let parts = condition.parts();
    let shape = Shape { placement, type_id, columns: COLUMNS, parts, sorted, limit };
    let mut plan = Plan { steps: shape.steps(), sort_texts: Vec::new() };
    for step in &mut plan.steps {
        step.sql = std::mem::take(&mut step.sql).with_shape("filter-then-sort");
    }
    plan
}

/// Rows that meet a condition on entries or tokens, at most `limit` for each of its alternatives.
pub fn first_rows(condition: &Condition, limit: usize) -> Plan {
    let mut sql = Sql::default().with_shape("few");
    first_entries(condition, limit, &mut sql);
    Plan::single(sql)
}

/// A statement that gives a row when a key has more than `texts` texts.
pub fn texts_beyond(key: i64, texts: usize) -> Plan {
    let mut sql = Sql::default();
    sql.push("select e.handle from string_entry e where e.key = ").bind(Bind::Long(key));
    sql.push(" offset ").push(&texts.to_string()).limit(1);
    Plan::single(sql.with_shape("texts"))
}

fn push_and(parts: &[Condition], sql: &mut Sql) {
    for part in parts {
        if *part != Condition::All(Vec::new()) {
            sql.push(" and ");
            push(part, sql);
        }
    }
}

#[derive(Clone)]
pub(super) struct Shape<'q> {
    placement: Placement,
    pub(super) type_id: i32,
    columns: &'static str,
    pub(super) parts: Vec<Condition>,
    pub(super) sorted: Sorted<'q>,
    limit: usize,
}

impl Shape<'_> {
    fn steps(&self) -> Vec<Step> {
        match self.placement {
            Placement::Single => self.single(),
            Placement::Distributed => self.distributed(),
        }
    }

    /// The part that is expected to be the rarest: how rare, and which.
    pub(super) fn rarest(&self) -> Option<(u8, usize)> {
        let rank = |part| rank(part, &self.sorted.order);
        self.parts.iter().enumerate().filter_map(|(i, part)| Some((rank(part)?, i))).min()
    }

    fn single(&self) -> Vec<Step> {
        let by_date = is_by_date(&self.sorted.order);
        let Some((rank, driver)) = self.rarest() else {
            return match is_indexed(&self.sorted.order) {
                true => self.for_spans(&|part| vec![part.index_order_scan("index-order scan")]),
                false => vec![self.filter_then_sort()],
            };
        };
        let rest: Vec<Condition> =
            self.parts.iter().enumerate().filter(|(i, _)| *i != driver).map(|(_, p)| p.clone()).collect();
        let Some(driver) = self.parts.get(driver) else { return Vec::new() };
        let one_column = is_one_column(&self.sorted.order);
        match (rank, driver) {
            (0, _) => vec![self.driven("id", driver, &rest)],
            (1, _) => self.for_spans(&|part| vec![part.index_order_scan("patient")]),
            (2, Condition::Keys(_) | Condition::Any(_)) => {
                let many = |part: &Shape<'_>| part.many("gin", driver, &rest);
                let mut steps = vec![self.driven_if_few(driver, &rest)];
                steps.extend(match one_column {
                    true => self.for_spans(&|part| vec![part.budgeted_scan(), many(part)]),
                    false => vec![many(self)],
                });
                steps
            }
            (2, _) => vec![self.driven("gin", driver, &rest)],
            (3, Condition::Patient(patients)) => self.patients(patients, &rest, by_date),
            (3 | 5, _) => vec![self.values(driver, &rest)],
            (4, Condition::Codes(codes)) => {
                let code = codes.first().copied().unwrap_or(0);
                match rest.iter().any(|part| is_token(part) || may_start_with(part)) {
                    true => self.for_spans(&|part| {
                        vec![part.budgeted_code(code, &rest), part.ranked_step(rank, driver, &rest)]
                    }),
                    false => self.for_spans(&|part| vec![part.code(code, &rest)]),
                }
            }
            (6, Condition::Codes(codes)) if by_date && rest.is_empty() => {
                self.for_spans(&|part| vec![part.codes(codes)])
            }
            // What may not be selective: an index-order scan first, when an index has the order.
            _ if one_column || rank > 6 && is_indexed(&self.sorted.order) => {
                self.for_spans(&|part| vec![part.budgeted_scan(), part.ranked_step(rank, driver, &rest)])
            }
            _ => vec![self.ranked_step(rank, driver, &rest)],
        }
    }

    fn ranked_step(&self, rank: u8, driver: &Condition, rest: &[Condition]) -> Step {
        match (rank, self.parts.iter().position(may_start_with)) {
            (7, _) => self.updated(),
            (8, _) => self.windowed(),
            // Entries are looked up by what texts begin with: whoever asks that knows that tokens beside it are common.
            (_, Some(at)) => {
                let mut rest = self.parts.clone();
                self.values(&rest.remove(at), &rest)
            }
            _ => self.many_rows(driver, rest),
        }
    }

    /// The steps of each part of the order that an index has, one part after the other.
    pub(super) fn for_spans(&self, steps: &dyn Fn(&Shape<'_>) -> Vec<Step>) -> Vec<Step> {
        let spans = self.sorted.spans(&Window::from_conditions(&self.parts));
        let last = spans.len().saturating_sub(1);
        let each = spans.into_iter().enumerate().flat_map(|(i, sorted)| {
            let part = Shape { sorted, ..self.clone() };
            let mut steps = match (self.placement, part.sorted.span.long) {
                (Placement::Single, Some(_)) => vec![part.long()],
                _ => steps(&part),
            };
            if let (true, Some(step)) = (i < last, steps.last_mut()) {
                step.then = Then::And;
            }
            steps
        });
        each.collect()
    }

    pub(super) fn select(&self, sql: &mut Sql) {
        sql.push("select ").push(self.columns);
        self.sorted.push_values(sql);
    }

    /// ` and <after the cursor> order by .. limit ..`.
    pub(super) fn tail(&self, sql: &mut Sql) {
        self.sorted.push_after(sql);
        self.order(sql);
    }

    fn order(&self, sql: &mut Sql) {
        self.sorted.push_order(sql);
        sql.limit(self.limit);
    }

    pub(super) fn done(shape: &'static str, sql: Sql) -> Step {
        Step { sql: sql.with_shape(shape), then: Then::Done }
    }

    /// Along the order of an index of the type, filtering.
    fn index_order_scan(&self, shape: &'static str) -> Step {
        let mut sql = Sql::default();
        self.select(&mut sql);
        sql.push(" from resource r where r.type_id = ").bind(Bind::Int(self.type_id));
        push_and(&self.parts, &mut sql);
        self.tail(&mut sql);
        Self::done(shape, sql)
    }

    /// All of a type that match, and then sorted by what no index has in order.
    fn filter_then_sort(&self) -> Step {
        let mut sql = Sql::default();
        self.matches(&mut sql);
        sql.push(" from resource r where r.type_id = ").bind(Bind::Int(self.type_id));
        push_and(&self.parts, &mut sql);
        self.top("filter-then-sort", sql)
    }

    /// Those of a part that has long ranges only: they are few.
    fn long(&self) -> Step {
        let mut sql = Sql::default();
        self.matches(&mut sql);
        self.within(&mut sql);
        self.top("long", sql)
    }

    /// Those whose primary date can be right, for an order by something else.
    fn windowed(&self) -> Step {
        let mut sql = Sql::default();
        for (i, span) in Window::from_conditions(&self.parts).spans().into_iter().enumerate() {
            let part = Shape { sorted: self.sorted.within(span), ..self.clone() };
            match i {
                0 => part.matches(&mut sql),
                _ => {
                    sql.push(" union all select r.handle");
                    part.sorted.push_values(&mut sql);
                }
            }
            part.within(&mut sql);
        }
        self.top("dates", sql)
    }

    fn within(&self, sql: &mut Sql) {
        sql.push(" from resource r where r.type_id = ").bind(Bind::Int(self.type_id));
        self.sorted.push_span(sql);
        push_and(&self.parts, sql);
    }

    /// Those that were changed within bounds, for an order by something else.
    fn updated(&self) -> Step {
        let mut sql = Sql::default();
        self.matches(&mut sql);
        self.within(&mut sql);
        self.top("updated", sql)
    }

    /// Begins a statement with where matches are and what they are sorted by. It goes on with what they are.
    fn matches(&self, sql: &mut Sql) {
        sql.push("with m as materialized (select r.handle");
        self.sorted.push_values(sql);
    }

    /// Ends it with the first of them, and their bodies. Nothing says before that only the first are wanted: PostgreSQL
    /// would rather scan an index in order and filter, which for rare matches reads all of it.
    fn top(&self, shape: &'static str, mut sql: Sql) -> Step {
        let sorted = self.sorted.on_matches();
        sql.push("), t as (select m.* from m where true");
        sorted.push_after(&mut sql);
        sorted.push_order(&mut sql);
        sql.limit(self.limit).push(") select ").push(self.columns);
        for i in 0..self.sorted.order.keys().len() {
            sql.push(&format!(", m.s{i}"));
        }
        sql.push(" from t m join resource r on r.handle = m.handle");
        sorted.push_order(&mut sql);
        Self::done(shape, sql)
    }

    /// Along the order of an index of the type, as far as a budget of rows reaches.
    fn budgeted_scan(&self) -> Step {
        let mut sql = Sql::default();
        self.select(&mut sql);
        sql.push(" from (select r.* from resource r where r.type_id = ").bind(Bind::Int(self.type_id));
        self.sorted.push_after(&mut sql);
        self.sorted.push_order(&mut sql);
        sql.limit(SCAN_BUDGET).push(") r where true");
        push_and(&self.parts, &mut sql);
        self.order(&mut sql);
        Step { sql: sql.with_shape("budgeted scan"), then: Then::OrElse }
    }

    /// Of several patients: a scan by date for each. Very many patients have matches everywhere, so the type is scanned first.
    fn patients(&self, patients: &[i64], rest: &[Condition], by_date: bool) -> Vec<Step> {
        let each = Condition::Patient(patients.to_vec());
        let all = |part: &Shape<'_>| match by_date {
            true => part.each_patient(patients, rest),
            false => part.many("patients", &each, rest),
        };
        match patients.len() > PATIENTS_FEW && is_one_column(&self.sorted.order) {
            true => self.for_spans(&|part| vec![part.budgeted_scan(), all(part)]),
            false if by_date => self.for_spans(&|part| vec![all(part)]),
            false => vec![all(self)],
        }
    }

    fn each_patient(&self, patients: &[i64], rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        self.select(&mut sql);
        sql.push(" from (select of.* from unnest(").bind(Bind::Longs(patients.to_vec()));
        sql.push(") as p(handle) cross join lateral (select r.* from resource r where r.patient = p.handle");
        sql.push(" and r.type_id = ").bind(Bind::Int(self.type_id));
        push_and(rest, &mut sql);
        self.tail(&mut sql);
        sql.push(") of) r");
        self.sorted.push_order(&mut sql);
        sql.limit(self.limit);
        Self::done("patients", sql)
    }

    /// Driven by one condition on columns of the row whose matches are few enough to carry their bodies.
    fn driven(&self, shape: &'static str, driver: &Condition, rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        sql.push("with r as materialized (select r.* from resource r where ");
        push_driver(driver, &mut sql);
        sql.push(") ");
        self.driven_rows(rest, &mut sql);
        Self::done(shape, sql)
    }

    /// The same where they are expected to be few, as long as they are: everybody can be of one organization.
    fn driven_if_few(&self, driver: &Condition, rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        sql.push("with r as materialized (select r.* from resource r where ");
        push_driver(driver, &mut sql);
        sql.limit(HANDLES_FEW + 1).push(") (");
        self.select(&mut sql);
        sql.push(
            " from (select (n.r).* from (select null::resource as r) n) r where (select count(*) from r) > ",
        );
        sql.push(&HANDLES_FEW.to_string()).push(") union all (");
        self.driven_rows(rest, &mut sql);
        sql.push(")");
        Step { sql: sql.with_shape("gin"), then: Then::IfFew }
    }

    fn driven_rows(&self, rest: &[Condition], sql: &mut Sql) {
        self.select(sql);
        sql.push(" from r where r.type_id = ").bind(Bind::Int(self.type_id));
        push_and(rest, sql);
        self.tail(sql);
    }

    /// Driven by a condition whose matches may be many.
    fn many(&self, shape: &'static str, driver: &Condition, rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        self.matches(&mut sql);
        sql.push(" from resource r where ");
        push_driver(driver, &mut sql);
        // A test of truth is not looked up: the whole type's index would be read for what the driver says already.
        sql.push(" and (r.type_id = ").bind(Bind::Int(self.type_id)).push(") is true");
        push_and(rest, &mut sql);
        self.sorted.push_span(&mut sql);
        self.top(shape, sql)
    }

    /// Driven by what may be common. All tokens that must be there are looked up together, so that those that never meet
    /// cost what the rarest of them does.
    fn many_rows(&self, driver: &Condition, rest: &[Condition]) -> Step {
        if !is_token(driver) {
            return self.many("handles", driver, rest);
        }
        let (tokens, rest): (Vec<&Condition>, Vec<&Condition>) =
            self.parts.iter().partition(|part| is_token(part));
        let cloned = |parts: Vec<&Condition>| parts.into_iter().cloned().collect::<Vec<_>>();
        self.many("gin", &Condition::All(cloned(tokens)), &cloned(rest))
    }

    /// Driven by entries.
    fn values(&self, driver: &Condition, rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        sql.push("with m as materialized (");
        entries(driver, &mut sql);
        sql.push(") ");
        self.select(&mut sql);
        sql.push(" from m join resource r on r.handle = m.handle");
        sql.push(" where r.type_id = ").bind(Bind::Int(self.type_id));
        push_and(rest, &mut sql);
        self.tail(&mut sql);
        Self::done("values", sql)
    }

    /// Along the dates of one code: first codings by the column, further ones by their entries.
    fn code(&self, code: i64, rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        self.select(&mut sql);
        sql.push(" from (");
        self.code_rows(code, rest, self.limit, &mut sql);
        sql.push(") r");
        self.order(&mut sql);
        Self::done("code", sql)
    }

    /// The same within a budget of rows, where other conditions decide which of them match.
    fn budgeted_code(&self, code: i64, rest: &[Condition]) -> Step {
        let mut sql = Sql::default();
        self.select(&mut sql);
        // Where one of the two is longer than the budget, the other goes further back: only so many of both are in order.
        sql.push(" from (select r.* from (");
        self.code_rows(code, &[], SCAN_BUDGET, &mut sql);
        sql.push(") r");
        self.sorted.push_order(&mut sql);
        sql.limit(SCAN_BUDGET).push(") r where true");
        push_and(rest, &mut sql);
        self.order(&mut sql);
        Step { sql: sql.with_shape("budgeted code"), then: Then::OrElse }
    }

    fn code_rows(&self, code: i64, rest: &[Condition], limit: usize, sql: &mut Sql) {
        sql.push("(select r.* from resource r where r.primary_code = ").bind(Bind::Long(code));
        push_and(rest, sql);
        self.sorted.push_after(sql);
        self.sorted.push_order(sql);
        // An entry holds the date and the handle of its row, so that its index is in the order of the dates, too. That it does
        // is said: then both are merged as they come.
        sql.limit(limit);
        sql.push(") union all (select r.* from ordered_entry e join resource r on r.handle = e.handle");
        sql.push(" and r.date = e.value where e.key = ");
        sql.bind(Bind::Long(code));
        push_and(rest, sql);
        self.sorted.push_entry_order(sql);
        sql.limit(limit).push(")");
    }

    /// Along the dates of each of several codes; a row that has two of them is met twice.
    fn codes(&self, codes: &[i64]) -> Step {
        let mut sql = Sql::default();
        sql.push("with m as materialized (select distinct x.handle, x.date as s0 from unnest(");
        sql.bind(Bind::Longs(codes.to_vec()));
        sql.push(") as k(key) cross join lateral ((select r.handle, r.date from resource r where r.primary_code = k.key");
        self.sorted.push_after(&mut sql);
        self.sorted.push_order(&mut sql);
        sql.limit(self.limit);
        sql.push(") union all (select e.handle, e.value from ordered_entry e where e.key = k.key");
        self.sorted.push_entry_order(&mut sql);
        sql.limit(self.limit).push(")) x");
        self.top("codes", sql)
    }
}
