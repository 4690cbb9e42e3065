//! The order of a page: sort keys, keyset conditions, `order by`.
//!
//! Missing values sort as the least value, so every key has a value and a page link can say where a page ended.

use super::residual::ID;
use super::{Bind, Sql};
use crate::cursor::{Cursor, Place};
use crate::keyer::{Form, Keyer};
use crate::parameters::ParameterKind;
use crate::query::{Query, Sort, Subject};
use crate::registry::{Param, Role};
use crate::rows::CONTINUED;

/// Texts are sorted by this much of their beginning, in code points, so that a page link, which holds the texts a page
/// ends with, stays a link. Those that begin alike are in the order of their rows, as equal ones are.
const TEXT_CHARS_MAX: usize = 256;

/// What a text is sorted by.
pub fn sorted_part(text: &str) -> &str {
    let end = text.char_indices().nth(TEXT_CHARS_MAX).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// One key of the order.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) descending: bool,
    pub(super) by: By,
}

/// What a key is made of.
#[derive(Debug, Clone)]
pub(super) enum By {
    /// `r.date`: indexed with type, code and patient.
    Date,
    /// `r.updated_at`: indexed with the type.
    Updated,
    /// The id.
    Id,
    /// The least or greatest ordered entry under these keys.
    Ordered(Vec<i64>),
    /// The least or greatest text entry under these keys.
    Strings(Vec<i64>),
    /// The least or greatest text at these paths of the body; that of a packed one is a text entry under the key.
    Body(Vec<String>, i64),
    /// Whether this equality key is there.
    Truth(i64),
}

/// The keys of a query's order. Without `_sort`: newest primary date first.
pub(super) fn keys(query: &Query, keyer: &Keyer) -> Vec<Key> {
    if query.sort.is_empty() {
        return vec![Key { descending: true, by: By::Date }];
    }
    query.sort.iter().map(|sort| Key { descending: sort.descending, by: by(sort, keyer) }).collect()
}

fn by(sort: &Sort, keyer: &Keyer) -> By {
    match &sort.by {
        Subject::LastUpdated => By::Updated,
        Subject::Param(param) => by_param(param, keyer),
        // The id; nothing else is sorted by.
        _ => By::Id,
    }
}

fn by_param(param: &Param, keyer: &Keyer) -> By {
    if param.indexes.iter().any(|i| i.role == Role::PrimaryDate) {
        return By::Date;
    }
    let under = |form| {
        let each = param.indexes.iter().map(|i| keyer.key(param.type_number, &i.name, form, &[]));
        each.collect::<Vec<i64>>()
    };
    if let [index] = param.indexes.as_slice()
        && index.truth
    {
        return By::Truth(keyer.key(param.type_number, &index.name, Form::Code, &["true"]));
    }
    match param.kind {
        ParameterKind::Date => By::Ordered(under(Form::Ordered)),
        // A range is sorted by its lower end.
        ParameterKind::Number | ParameterKind::Quantity => {
            By::Ordered([under(Form::Ordered), under(Form::Span)].concat())
        }
        ParameterKind::String => By::Strings(under(Form::Folded)),
        _ => By::Body(param.json_paths(), param.text_key(keyer)),
    }
}

impl Key {
    /// True when the value is a column of the row.
    pub(super) fn is_column(&self) -> bool {
        matches!(self.by, By::Date | By::Updated | By::Id | By::Truth(_))
    }

    /// The SQL expression of the key; `i` numbers the side join.
    pub(super) fn push(&self, i: usize, sql: &mut Sql) {
        match &self.by {
            By::Date => sql.push("r.date"),
            By::Updated => sql.push("r.updated_at"),
            By::Id => sql.push(ID).push(" collate \"C\""),
            By::Truth(key) => sql
                .push("case when r.keys @> ")
                .bind(Bind::Longs(vec![*key]))
                .push(" then 1::int8 else 0::int8 end"),
            By::Ordered(_) => sql.push(&format!("coalesce(x{i}.v, ")).bind(Bind::Long(i64::MIN)).push(")"),
            By::Strings(_) => {
                sql.push(&format!("left(coalesce(x{i}.v, ''), {TEXT_CHARS_MAX}) collate \"C\""))
            }
            By::Body(..) => {
                sql.push(&format!("left(coalesce(y{i}.v, x{i}.v, ''), {TEXT_CHARS_MAX}) collate \"C\""))
            }
        };
    }

    /// The side join that gathers the key's values for the matches in `m`.
    pub(super) fn push_join(&self, i: usize, sql: &mut Sql) {
        let edge = if self.descending { "max" } else { "min" };
        match &self.by {
            By::Date | By::Updated | By::Id | By::Truth(_) => {}
            By::Ordered(keys) => push_entries(&format!("x{i}"), "ordered_entry", edge, keys, sql),
            By::Strings(keys) => push_entries(&format!("x{i}"), "string_entry", edge, keys, sql),
            By::Body(paths, key) => {
                sql.push(&format!(
                    " left join lateral (select {edge}((j.v #>> '{{}}') collate \"C\") as v from ("
                ));
                if paths.is_empty() {
                    // What the parameter finds are no texts: extensions themselves.
                    sql.push("select null::jsonb as v");
                }
                for (n, path) in paths.iter().enumerate() {
                    sql.push(if n == 0 { "" } else { " union all " });
                    sql.push("select jsonb_path_query(r.json, (").bind(Bind::Text(path.clone()));
                    sql.push(")::jsonpath) as v");
                }
                sql.push(&format!(") j) x{i} on true"));
                push_entries(&format!("y{i}"), "string_entry", edge, std::slice::from_ref(key), sql);
            }
        }
    }
}

/// Joins the least or greatest entry of each match.
fn push_entries(name: &str, table: &str, edge: &str, keys: &[i64], sql: &mut Sql) {
    sql.push(&format!(" left join (select e.handle, {edge}(e.value) as v from {table} e where e.key = any("));
    sql.bind(Bind::Longs(keys.to_vec())).push(")");
    if table == "string_entry" {
        // A long text is sorted by its beginning, not by its later windows.
        sql.push(" and (e.rank & ").bind(Bind::Int(CONTINUED.into())).push(") = 0");
    }
    sql.push(" and e.handle in (select m.handle from m) group by e.handle) ");
    sql.push(&format!("{name} on {name}.handle = r.handle"));
}

/// True when the whole order runs along one index of (something, column, handle).
pub(super) fn is_one_column(keys: &[Key]) -> bool {
    matches!(keys, [Key { by: By::Date | By::Updated, .. }])
}

/// True when the order is by primary date alone.
pub(super) fn is_by_date(keys: &[Key]) -> bool {
    matches!(keys, [Key { by: By::Date, .. }])
}

/// Directions as walked: a `previous` page is walked the other way.
fn descending(key: &Key, cursor: Option<&Cursor>) -> bool {
    key.descending != cursor.is_some_and(|c| c.backwards)
}

/// Ties are settled by the handle, in the direction of the first key.
fn handle_descending(keys: &[Key], cursor: Option<&Cursor>) -> bool {
    keys.first().is_some_and(|k| descending(k, cursor))
}

/// How rows follow one another: descending or not, by each key and then by the handle.
pub(super) fn directions(keys: &[Key], cursor: Option<&Cursor>) -> Vec<bool> {
    let mut all: Vec<bool> = keys.iter().map(|key| descending(key, cursor)).collect();
    all.push(handle_descending(keys, cursor));
    all
}

/// ` and <the row comes after the cursor>`.
pub(super) fn push_after(keys: &[Key], cursor: Option<&Cursor>, sql: &mut Sql) {
    let Some(at) = cursor.filter(|cursor| !cursor.is_end()) else { return };
    let down = handle_descending(keys, cursor);
    let place = |place: &Place| match place {
        Place::Number(n) => Bind::Long(*n),
        Place::Text(t) => Bind::Text(t.clone()),
    };
    if keys.iter().all(|k| descending(k, cursor) == down) {
        sql.push(" and (");
        for (i, key) in keys.iter().enumerate() {
            key.push(i, sql);
            sql.push(", ");
        }
        sql.push(if down { "r.handle) < (" } else { "r.handle) > (" });
        for value in &at.places {
            sql.bind(place(value)).push(", ");
        }
        sql.bind(Bind::Long(at.handle)).push(")");
        return;
    }
    // Mixed directions: after by the first key, or equal there and after by the rest.
    sql.push(" and (");
    for (i, key) in keys.iter().enumerate() {
        equal_before(keys, i, at, &place, sql);
        key.push(i, sql);
        sql.push(if descending(key, cursor) { " < " } else { " > " });
        if let Some(value) = at.places.get(i) {
            sql.bind(place(value));
        }
        sql.push(" or ");
    }
    equal_before(keys, keys.len(), at, &place, sql);
    sql.push(if down { "r.handle < " } else { "r.handle > " }).bind(Bind::Long(at.handle)).push(")");
}

fn equal_before(keys: &[Key], until: usize, at: &Cursor, place: &dyn Fn(&Place) -> Bind, sql: &mut Sql) {
    for (i, (key, value)) in keys.iter().zip(&at.places).take(until).enumerate() {
        key.push(i, sql);
        sql.push(" = ").bind(place(value)).push(" and ");
    }
}

/// ` order by ..`.
pub(super) fn push_order(keys: &[Key], cursor: Option<&Cursor>, sql: &mut Sql) {
    sql.push(" order by ");
    for (i, key) in keys.iter().enumerate() {
        key.push(i, sql);
        sql.push(if descending(key, cursor) { " desc, " } else { ", " });
    }
    sql.push(if handle_descending(keys, cursor) { "r.handle desc" } else { "r.handle" });
}

/// ` and <the entry comes after the cursor> order by ..` where the order is by primary date alone, which the entries `e`
/// of further codings hold as their value.
pub(super) fn push_entry_order(keys: &[Key], cursor: Option<&Cursor>, sql: &mut Sql) {
    let down = handle_descending(keys, cursor);
    if let Some(at) = cursor
        && let Some(Place::Number(date)) = at.places.first()
    {
        sql.push(if down { " and (e.value, e.handle) < (" } else { " and (e.value, e.handle) > (" });
        sql.bind(Bind::Long(*date)).push(", ").bind(Bind::Long(at.handle)).push(")");
    }
    sql.push(if down { " order by e.value desc, e.handle desc" } else { " order by e.value, e.handle" });
}

impl Key {
    /// True when the key's values are numbers, false when they are texts.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.by, By::Date | By::Updated | By::Ordered(_) | By::Truth(_))
    }
}
