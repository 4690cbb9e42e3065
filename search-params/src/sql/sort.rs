//! The order of a page in SQL: sort values, keyset conditions, `order by`. Only columns of the row are ordered here; what
//! is not a column is read by a scan of its entries (`sql/index_scan.rs`) or sorted by the store.

use std::borrow::Cow;

use super::residual::ID;
use super::window::{Span, Window};
use super::{Bind, Sql};
use crate::cursor::{Cursor, SortValue};
use crate::order::{Key, Order, SortSource};
use crate::rows::DATE_MIN;

/// A part of an order, and where in it a page begins.
#[derive(Debug, Clone)]
pub(super) struct Sorted<'q> {
    pub(super) order: Cow<'q, Order>,
    pub(super) span: Span,
    /// The page begins after this cursor, in the direction of the page.
    after: Option<&'q Cursor>,
    /// The page is read against the sort order.
    backwards: bool,
    /// The sort values are columns `s0`, `s1` .. of a subquery of matches `m`, not of rows `r`.
    of_matches: bool,
    /// The order is written so that no index has it: a planner would scan that index past all that does not match.
    is_hidden: bool,
}

impl<'q> Sorted<'q> {
    pub(super) fn new(order: &'q Order, cursor: Option<&'q Cursor>) -> Sorted<'q> {
        Sorted {
            order: Cow::Borrowed(order),
            span: Span::default(),
            after: cursor.filter(|cursor| !cursor.is_end()),
            backwards: cursor.is_some_and(|c| c.backwards),
            of_matches: false,
            is_hidden: false,
        }
    }

    /// The same of matches `m` that have their sort values with them.
    pub(super) fn on_matches(&self) -> Sorted<'q> {
        Sorted { of_matches: true, span: Span::default(), ..self.clone() }
    }

    /// The same in parts that indexes have in order, one after the other, in the direction of the page. For the primary date these
    /// are where matches can be, and those without a date, which come last.
    pub(super) fn spans(&self, window: &Window) -> Vec<Sorted<'q>> {
        let first = self.order.keys().first().filter(|key| matches!(key.by, SortSource::Date));
        let Some(first) = first else { return vec![self.clone()] };
        let undated_last = !first.descending;
        let (dated, undated): (Vec<Span>, Vec<Span>) = match undated_last {
            true => window.dated_and_undated(),
            false => (window.spans(), Vec::new()),
        };
        let down = self.descending(first);
        let at = self.after.and_then(|at| at.sort_values.first());
        let in_undated = undated_last && at == Some(&first.missing());
        let mut dated: Vec<Sorted<'q>> = dated
            .into_iter()
            .filter_map(|span| match at {
                _ if in_undated => self.backwards.then(|| Sorted { after: None, ..self.within(span) }),
                // Parts before the page are not scanned at all.
                Some(SortValue::Number(date)) => Some(self.within(span.onwards(*date, down)?)),
                _ => Some(self.within(span)),
            })
            .collect();
        dated.sort_by_key(|part| part.span.from);
        if down {
            dated.reverse();
        }
        let order = || Cow::Owned(self.order.for_missing());
        let undated = undated.into_iter().filter_map(|span| match at {
            Some(_) if in_undated => Some(Sorted { order: order(), ..self.within(span) }),
            Some(_) if self.backwards => None,
            _ => Some(Sorted { order: order(), after: None, ..self.within(span) }),
        });
        if self.backwards {
            undated.chain(dated).collect()
        } else {
            dated.into_iter().chain(undated).collect()
        }
    }

    /// The same, of a part.
    pub(super) fn within(&self, span: Span) -> Sorted<'q> {
        Sorted { span, ..self.clone() }
    }

    /// The same, written so that no index has the order.
    pub(super) fn hidden(&self) -> Sorted<'q> {
        Sorted { is_hidden: true, ..self.clone() }
    }

    fn descending(&self, key: &Key) -> bool {
        key.descending != self.backwards
    }

    /// The handle breaks ties, in the direction of the first key.
    fn handle_descending(&self) -> bool {
        self.order.handle_descends() != self.backwards
    }

    /// The sort keys by which rows differ, each with its index in the order.
    fn differing(&self) -> impl Iterator<Item = (usize, &Key)> {
        let keys = self.order.keys().iter().enumerate();
        keys.filter(|(_, key)| !matches!(key.by, SortSource::Missing(_)))
    }

    /// `, <sort value> as s0, ..`.
    pub(super) fn push_values(&self, sql: &mut Sql) {
        for (i, key) in self.order.keys().iter().enumerate() {
            sql.push(", ");
            self.push_value(i, key, sql).push(&format!(" as s{i}"));
        }
    }

    fn handle(&self) -> &'static str {
        if self.of_matches { "m.handle" } else { "r.handle" }
    }

    /// The value of one key, which is a column.
    fn push_value<'s>(&self, i: usize, key: &Key, sql: &'s mut Sql) -> &'s mut Sql {
        match &key.by {
            _ if self.of_matches => sql.push(&format!("m.s{i}")),
            SortSource::Date if key.descending || (i == 0 && self.span.is_dated()) => sql.push("r.date"),
            SortSource::Date => sql
                .push("case when r.date = ")
                .bind(Bind::Long(DATE_MIN))
                .push(" then ")
                .bind(Bind::Long(i64::MAX))
                .push(" else r.date end"),
            SortSource::Updated => sql.push("r.updated_at"),
            SortSource::Missing(_) => push_sort_value(Some(&key.missing()), sql),
            SortSource::Boolean(key) => sql
                .push("case when r.keys @> ")
                .bind(Bind::Longs(vec![*key]))
                .push(" then 1::int8 else 0::int8 end"),
            _ => sql.push(ID).push(" collate \"C\""),
        }
    }

    /// ` and <the row is in this part>`.
    pub(super) fn push_span(&self, sql: &mut Sql) {
        self.span.push("r.date", sql);
    }

    /// ` and <the row is in this part, after the page before>`.
    pub(super) fn push_after(&self, sql: &mut Sql) {
        self.push_span(sql);
        let Some(at) = self.after else { return };
        let down = self.handle_descending();
        if self.differing().all(|(_, key)| self.descending(key) == down) {
            sql.push(" and (");
            for (i, key) in self.differing() {
                self.push_value(i, key, sql).push(", ");
            }
            sql.push(self.handle()).push(if down { ") < (" } else { ") > (" });
            for (i, _) in self.differing() {
                push_sort_value(at.sort_values.get(i), sql).push(", ");
            }
            sql.bind(Bind::Long(at.handle)).push(")");
            return;
        }
        // Mixed directions: after by the first key, or equal there and after by the rest.
        sql.push(" and (");
        for (i, key) in self.differing() {
            self.equal_before(i, at, sql);
            self.push_value(i, key, sql).push(if self.descending(key) { " < " } else { " > " });
            push_sort_value(at.sort_values.get(i), sql).push(" or ");
        }
        self.equal_before(usize::MAX, at, sql);
        sql.push(self.handle()).push(if down { " < " } else { " > " }).bind(Bind::Long(at.handle)).push(")");
    }

    fn equal_before(&self, until: usize, at: &Cursor, sql: &mut Sql) {
        for (i, key) in self.differing().take_while(|(i, _)| *i < until) {
            self.push_value(i, key, sql).push(" = ");
            push_sort_value(at.sort_values.get(i), sql).push(" and ");
        }
    }

    /// ` order by ..`.
    pub(super) fn push_order(&self, sql: &mut Sql) {
        if self.order.keys().is_empty() {
            return;
        }
        sql.push(" order by ");
        for (i, key) in self.differing() {
            self.push_value(i, key, sql).push(match key.is_number() && self.is_hidden {
                true => " + 0",
                false => "",
            });
            sql.push(if self.descending(key) { " desc, " } else { ", " });
        }
        sql.push(self.handle()).push(if self.is_hidden { " + 0" } else { "" });
        sql.push(if self.handle_descending() { " desc" } else { "" });
    }

    /// Both where the order is by primary date alone, which the entries `e` of further codings hold as their value.
    pub(super) fn push_entry_order(&self, sql: &mut Sql) {
        let down = self.handle_descending();
        self.span.push("e.value", sql);
        if let Some(at) = self.after {
            match at.sort_values.first() {
                Some(SortValue::Number(date))
                    if !matches!(self.order.keys(), [Key { by: SortSource::Missing(_), .. }]) =>
                {
                    sql.push(if down {
                        " and (e.value, e.handle) < ("
                    } else {
                        " and (e.value, e.handle) > ("
                    });
                    sql.bind(Bind::Long(*date)).push(", ").bind(Bind::Long(at.handle)).push(")");
                }
                _ => {
                    sql.push(if down { " and e.handle < " } else { " and e.handle > " });
                    sql.bind(Bind::Long(at.handle));
                }
            }
        }
        sql.push(if down { " order by e.value desc, e.handle desc" } else { " order by e.value, e.handle" });
    }
}

/// A cursor that was made for this order has all its sort values: a missing one is NULL, and no row compares to it.
fn push_sort_value<'s>(place: Option<&SortValue>, sql: &'s mut Sql) -> &'s mut Sql {
    match place {
        Some(SortValue::Number(n)) => sql.bind(Bind::Long(*n)),
        Some(SortValue::Text(t)) => sql.bind(Bind::Text(t.clone())),
        None => sql.push("null"),
    }
}

/// True when the whole order runs along one index of (something, column, handle).
pub(super) fn is_one_column(order: &Order) -> bool {
    matches!(order.keys(), [Key { by: SortSource::Date | SortSource::Updated, .. }])
}

/// True when an index of the type has the rows in the order of the first key.
pub(super) fn is_indexed(order: &Order) -> bool {
    matches!(order.keys(), [] | [Key { by: SortSource::Date | SortSource::Updated, .. }, ..])
}

/// True when the order is by primary date alone.
pub(super) fn is_by_date(order: &Order) -> bool {
    matches!(order.keys(), [Key { by: SortSource::Date, .. }])
}

/// True when the first key is the primary date: bounds on it are bounds on where matches are in the order.
pub(super) fn is_by_date_first(order: &Order) -> bool {
    matches!(order.keys(), [Key { by: SortSource::Date, .. }, ..])
}

/// The same of the time of the last change.
pub(super) fn is_by_updated(order: &Order) -> bool {
    matches!(order.keys(), [Key { by: SortSource::Updated, .. }, ..])
}
