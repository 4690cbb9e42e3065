//! One write in one statement: everything hangs on the row that decides.

use tokio_postgres::types::ToSql;

use super::rows::Entries;
use super::{Failure, Ready};
use crate::version::{Found, Method};
use crate::{Stamp, Store};

/// A statement and its parameters, numbered as they are pushed.
struct Statement<'p> {
    text: String,
    parameters: Vec<&'p (dyn ToSql + Sync)>,
}

impl<'p> Statement<'p> {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn bind(&mut self, value: &'p (dyn ToSql + Sync), kind: &str) {
        self.parameters.push(value);
        self.text.push_str(&format!("${}::{kind}", self.parameters.len()));
    }
}

/// The columns of a current version.
struct Columns {
    updated_at: i64,
    date: i64,
    date_high: Option<i64>,
    method: i16,
}

pub(super) async fn run(store: &Store, ready: &Ready<'_>, stamp: &Stamp) -> Result<(), Failure> {
    let mut entries = Entries::default();
    entries.add(ready.handle, &ready.old_rows, &ready.rows);
    let columns = Columns {
        updated_at: stamp.micros(),
        date: ready.date(),
        date_high: ready.date_high(),
        method: ready.write.method.number(),
    };
    let (json, id) = (ready.json(), ready.id());
    let before_version = i32::try_from(ready.write.before.last_version()).unwrap_or(i32::MAX);
    let tombstone = Method::Delete.number();
    let claim = ready.write.claim.as_ref();
    let claim_seen = claim.and_then(|c| c.seen);

    let mut sql = Statement { text: String::with_capacity(1024), parameters: Vec::with_capacity(40) };
    // The claim, when there is one, decides before the row does.
    match claim {
        None => sql.push("with gate as (select 1)"),
        Some(claim) => {
            sql.push("with gate as (insert into claim (key, turn) values (");
            sql.bind(&claim.key, "int8");
            sql.push(", ");
            sql.bind(&columns.updated_at, "int8");
            sql.push(") on conflict (key) do ");
            match &claim_seen {
                None => sql.push("nothing"),
                Some(seen) => {
                    sql.push("update set turn = excluded.turn where claim.turn = ");
                    sql.bind(seen, "int8");
                }
            }
            sql.push(" returning 1)");
        }
    }
    let replaces = matches!(ready.write.before, Found::Current(_));
    if replaces {
        sql.push(", old as (select r.* from resource r, gate where r.handle = ");
        sql.bind(&ready.handle, "int8");
        sql.push(" and r.version = ");
        sql.bind(&before_version, "int4");
        sql.push(" for update of r), h as (insert into resource_history (handle, updated_at, type_id, version, method, id, packed) select o.handle, o.updated_at, o.type_id, o.version, o.method, o.id, ");
        sql.bind(&ready.old_packed, "bytea");
        sql.push(" from old o)");
    }
    match (&ready.write.doc, replaces) {
        (Some(_), _) => {
            sql.push(", values_ as (select ");
            sql.bind(&ready.handle, "int8");
            sql.push(" as handle, ");
            sql.bind(&columns.updated_at, "int8");
            sql.push(" as updated_at, ");
            sql.bind(&ready.rows.patient, "int8");
            sql.push(" as patient, ");
            sql.bind(&columns.date, "int8");
            sql.push(" as date, ");
            sql.bind(&columns.date_high, "int8");
            sql.push(" as date_high, ");
            sql.bind(&ready.rows.primary_code, "int8");
            sql.push(" as primary_code, ");
            sql.bind(&ready.rows.present, "int8");
            sql.push(" as present, ");
            sql.bind(&ready.type_id, "int4");
            sql.push(" as type_id, ");
            sql.bind(&ready.version, "int4");
            sql.push(" as version, ");
            sql.bind(&columns.method, "int2");
            sql.push(" as method, ");
            sql.bind(&ready.rows.keys, "int8[]");
            sql.push(" as keys, ");
            sql.bind(&id, "text");
            sql.push(" as id, ");
            sql.bind(&json, "jsonb");
            sql.push(" as json, ");
            sql.bind(&ready.packed, "bytea");
            sql.push(" as packed)");
            if replaces {
                sql.push(", r as (update resource r set updated_at = v.updated_at, patient = v.patient, date = v.date, date_high = v.date_high, primary_code = v.primary_code, present = v.present, version = v.version, method = v.method, keys = v.keys, json = v.json, packed = v.packed from old o, values_ v where r.handle = o.handle returning r.handle)");
            } else {
                sql.push(", r as (insert into resource (handle, updated_at, patient, date, date_high, primary_code, present, type_id, version, method, keys, id, json, packed) select v.* from values_ v, gate on conflict (handle) do nothing returning handle)");
            }
        }
        (None, _) => {
            sql.push(", t as (insert into resource_history (handle, updated_at, type_id, version, method, id) select o.handle, ");
            sql.bind(&columns.updated_at, "int8");
            sql.push(", o.type_id, ");
            sql.bind(&ready.version, "int4");
            sql.push(", ");
            sql.bind(&tombstone, "int2");
            sql.push(", o.id from old o), r as (delete from resource r using old o where r.handle = o.handle returning r.handle)");
        }
    }
    let (ordered, strings) = (&entries.ordered, &entries.strings);
    if !ordered.keys.is_empty() {
        sql.push(", oi as (insert into ordered_entry (key, value, handle, extra, rank) select e.key, e.value, r.handle, e.extra, e.rank from r, unnest(");
        sql.bind(&ordered.keys, "int8[]");
        sql.push(", ");
        sql.bind(&ordered.values, "int8[]");
        sql.push(", ");
        sql.bind(&ordered.extras, "int8[]");
        sql.push(", ");
        sql.bind(&ordered.ranks, "int2[]");
        sql.push(") as e(key, value, extra, rank) on conflict (key, value, handle, extra) do update set rank = excluded.rank)");
    }
    if !strings.keys.is_empty() {
        sql.push(", si as (insert into string_entry (key, value, handle, rank) select e.key, e.value, r.handle, e.rank from r, unnest(");
        sql.bind(&strings.keys, "int8[]");
        sql.push(", ");
        sql.bind(&strings.values, "text[]");
        sql.push(", ");
        sql.bind(&strings.ranks, "int2[]");
        sql.push(
            ") as e(key, value, rank) on conflict (key, value, handle) do update set rank = excluded.rank)",
        );
    }
    let (ordered, strings) = (&entries.ordered_gone, &entries.strings_gone);
    if !ordered.keys.is_empty() {
        sql.push(", od as (delete from ordered_entry e using r, unnest(");
        sql.bind(&ordered.keys, "int8[]");
        sql.push(", ");
        sql.bind(&ordered.values, "int8[]");
        sql.push(", ");
        sql.bind(&ordered.extras, "int8[]");
        sql.push(") as x(key, value, extra) where e.key = x.key and e.value = x.value and e.handle = r.handle and e.extra = x.extra)");
    }
    if !strings.keys.is_empty() {
        sql.push(", sd as (delete from string_entry e using r, unnest(");
        sql.bind(&strings.keys, "int8[]");
        sql.push(", ");
        sql.bind(&strings.values, "text[]");
        sql.push(") as x(key, value) where e.key = x.key and e.value = x.value and e.handle = r.handle)");
    }
    sql.push(" select count(*) from r");

    let client = store.connections.client().await.map_err(Failure::Other)?;
    let statement = client.prepare_cached(&sql.text).await?;
    let row = client.query_one(&statement, &sql.parameters).await?;
    match row.try_get::<_, i64>(0)? {
        1 => Ok(()),
        _ => Err(Failure::Stale),
    }
}
