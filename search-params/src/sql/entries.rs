//! The order of what is beside the row, walked along its entries.

use super::plan::COLUMNS;
use super::residual::push;
use super::{Bind, Sql};
use crate::condition::Condition;
use crate::cursor::{Cursor, Place};
use crate::order::{By, Entries, Key, TEXT_CHARS_MAX};

/// A walk along the entries of a key, in its direction or against it.
#[derive(Debug, Clone)]
pub struct Walk<'q> {
    key: &'q Key,
    entries: &'q Entries,
    backwards: bool,
    /// Where it begins: after this row, or with the rows that are alike.
    from: Option<&'q Cursor>,
}

impl<'q> Walk<'q> {
    /// None when the key has no entries.
    pub fn of(key: &'q Key, from: Option<&'q Cursor>, backwards: bool) -> Option<Walk<'q>> {
        match &key.by {
            By::Numbers(entries) | By::Texts(entries) => Some(Walk { key, entries, backwards, from }),
            _ => None,
        }
    }

    /// What tells that a row has entries.
    pub fn present(&self) -> Condition {
        self.entries.present()
    }

    /// Rows with the least (or greatest) entries of those that meet a condition: the columns of a match, none of which has
    /// a value where it does not; then value and row of the entry. So many entries are looked at.
    pub fn sql(&self, condition: &Condition, looked_at: usize) -> Sql {
        let down = self.key.descending != self.backwards;
        let order =
            if down { " order by e.value desc, e.handle desc" } else { " order by e.value, e.handle" };
        let mut sql = Sql::default().of_shape("entries");
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

    fn begin(&self, down: bool, sql: &mut Sql) {
        match self.from.and_then(|at| at.places.first()) {
            Some(Place::Number(value)) => {
                sql.push(if down { " and e.value <= " } else { " and e.value >= " }).bind(Bind::Long(*value));
            }
            Some(Place::Text(text)) if !down => {
                sql.push(" and e.value >= ").bind(Bind::Text(text.clone()));
            }
            Some(Place::Text(text)) => {
                // A text that was cut stands for all that begin so.
                let cut = text.chars().count() >= TEXT_CHARS_MAX;
                let last = if cut { format!("{text}\u{10FFFF}") } else { text.clone() };
                sql.push(" and e.value <= ").bind(Bind::Text(last));
            }
            None => {}
        }
        // Beyond those that are alike, where that is known: entries are in the order of their rows, too.
        if let Some(at) = self.from.filter(|at| self.is_exact(at)) {
            let (value, handle) = (at.places.first(), at.handle);
            sql.push(if down { " and (e.value, e.handle) < (" } else { " and (e.value, e.handle) > (" });
            match value {
                Some(Place::Number(n)) => sql.bind(Bind::Long(*n)),
                Some(Place::Text(t)) => sql.bind(Bind::Text(t.clone())),
                None => sql.push("null"),
            };
            sql.push(", ").bind(Bind::Long(handle)).push(")");
        }
    }

    /// True when the entry of a place is the place itself, and nothing but the row comes after it in the order.
    fn is_exact(&self, at: &Cursor) -> bool {
        let whole = match at.places.first() {
            Some(Place::Text(text)) => text.chars().count() < TEXT_CHARS_MAX,
            _ => true,
        };
        whole && at.places.len() == 1
    }
}
