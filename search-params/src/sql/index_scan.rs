//! Index-order scans: rows in the order of values that are entries, not columns.

use super::plan::COLUMNS;
use super::residual::{one_of, push};
use super::{Bind, Placement, Sql};
use crate::condition::Condition;
use crate::cursor::{Cursor, SortValue};
use crate::order::{Entries, Key, SortSource, TEXT_CHARS_MAX};

/// A scan of the entries of a sort key, in its direction or against it.
#[derive(Debug, Clone)]
pub struct IndexScan<'q> {
    key: &'q Key,
    entries: &'q Entries,
    backwards: bool,
    /// Where it begins: after this row, or at the first row with an equal value.
    from: Option<&'q Cursor>,
}

impl<'q> IndexScan<'q> {
    /// A scan of the entries of a sort key. Returns `None` when the key has no entries.
    pub fn new(key: &'q Key, from: Option<&'q Cursor>, backwards: bool) -> Option<IndexScan<'q>> {
        match &key.by {
            SortSource::Numbers(entries) | SortSource::Texts(entries) => {
                Some(IndexScan { key, entries, backwards, from })
            }
            _ => None,
        }
    }

    /// The condition that a row has entries.
    pub fn present(&self) -> Condition {
        self.entries.present()
    }

    /// Rows with the least (or greatest) entries of those that meet a condition: the columns of a match, none of which has
    /// a value where it does not; then value and row of the entry. So many entries are looked at.
    pub fn sql(&self, placement: Placement, condition: &Condition, looked_at: usize) -> Sql {
        if placement == Placement::Distributed {
            return self.distributed(condition, looked_at);
        }
        let down = self.key.descending != self.backwards;
        let order =
            if down { " order by e.value desc, e.handle desc" } else { " order by e.value, e.handle" };
        let mut sql = Sql::default().with_shape("entries");
        let several = self.entries.keys.len() > 1;
        sql.push("select r.*, e.value, e.handle from (");
        sql.push(if several { "select e.value, e.handle from (" } else { "" });
        for (i, key) in self.entries.keys.iter().enumerate() {
            sql.push(if i == 0 { "" } else { " union all " }).push(if several { "(" } else { "" });
            sql.push("select e.value, e.handle from ");
            sql.push(if self.key.is_number() { "ordered_entry" } else { "string_entry" });
            sql.push(" e where e.key = ").bind(Bind::Long(*key));
            sql.push(" and (e.rank & ").bind(Bind::Int(self.key.rank().into())).push(") <> 0");
            self.begin(down, &mut sql);
            sql.push(order).limit(looked_at).push(if several { ")" } else { "" });
        }
        if several {
            sql.push(") e").push(order).limit(looked_at);
        }
        sql.push(") e left join lateral (select ").push(COLUMNS);
        sql.push(" from resource r where r.handle = e.handle and ");
        push(condition, &mut sql);
        sql.push(") r on true").push(order);
        sql
    }

    /// The same where each node looks at its own entries: rows join them there, before the first are taken.
    fn distributed(&self, condition: &Condition, looked_at: usize) -> Sql {
        let down = self.key.descending != self.backwards;
        let mut sql = Sql::default().with_shape("entries");
        sql.push("select ").push(COLUMNS).push(", e.value, e.handle from ");
        sql.push(if self.key.is_number() { "ordered_entry" } else { "string_entry" });
        sql.push(" e left join resource r on r.handle = e.handle");
        if *condition != Condition::default() {
            sql.push(" and ");
            push(condition, &mut sql);
        }
        sql.push(" where ");
        one_of("e.key", &self.entries.keys, &mut sql);
        sql.push(" and (e.rank & ").bind(Bind::Int(self.key.rank().into())).push(") <> 0");
        self.begin(down, &mut sql);
        sql.push(if down { " order by e.value desc, e.handle desc" } else { " order by e.value, e.handle" });
        sql.limit(looked_at);
        sql
    }

    fn begin(&self, down: bool, sql: &mut Sql) {
        match self.from.and_then(|at| at.sort_values.first()) {
            Some(SortValue::Number(value)) => {
                sql.push(if down { " and e.value <= " } else { " and e.value >= " }).bind(Bind::Long(*value));
            }
            Some(SortValue::Text(text)) if !down => {
                sql.push(" and e.value >= ").bind(Bind::Text(text.clone()));
            }
            Some(SortValue::Text(text)) => {
                // A text that was cut stands for all that begin so.
                let cut = text.chars().count() >= TEXT_CHARS_MAX;
                let last = if cut { format!("{text}\u{10FFFF}") } else { text.clone() };
                sql.push(" and e.value <= ").bind(Bind::Text(last));
            }
            None => {}
        }
        // Beyond those that are alike, where that is known: entries are in the order of their rows, too.
        if let Some(at) = self.from.filter(|at| self.is_exact(at)) {
            let (value, handle) = (at.sort_values.first(), at.handle);
            sql.push(if down { " and (e.value, e.handle) < (" } else { " and (e.value, e.handle) > (" });
            match value {
                Some(SortValue::Number(n)) => sql.bind(Bind::Long(*n)),
                Some(SortValue::Text(t)) => sql.bind(Bind::Text(t.clone())),
                None => sql.push("null"),
            };
            sql.push(", ").bind(Bind::Long(handle)).push(")");
        }
    }

    /// True when the entry's value is the sort value itself, and ties are broken by the handle alone.
    fn is_exact(&self, at: &Cursor) -> bool {
        let whole = match at.sort_values.first() {
            Some(SortValue::Text(text)) => text.chars().count() < TEXT_CHARS_MAX,
            _ => true,
        };
        whole && at.sort_values.len() == 1
    }
}
