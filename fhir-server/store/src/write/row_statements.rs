//! The statements that write rows of resources: for any number of handles, and for one.
//!
//! Of one handle a distributed database is told by a condition on it, so that it sends the statement to the node of the row alone:
//! an update took a message to every shard else, and a commit in two phases. One PostgreSQL needs no such condition.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::write_failure::WriteFailure;

/// A statement on rows, by their handles.
pub(super) struct RowStatement {
    any: &'static str,
    /// The same for rows of one handle, which is one parameter more.
    one: &'static str,
}

/// A statement, and what comes to it for rows of one handle.
macro_rules! row_statement {
    ($text:literal, $of_one:literal) => {
        RowStatement { any: $text, one: concat!($text, $of_one) }
    };
}

pub(super) const HISTORY: RowStatement = row_statement!(
    "insert into resource_history (handle, updated_at, type_id, version, method, id, patient, keys, packed) \
     select r.handle, r.updated_at, r.type_id, r.version, r.method, r.id, r.patient, r.keys, o.packed \
     from unnest($1::int8[], $2::bytea[]) as o(handle, packed) join resource r on r.handle = o.handle",
    " where r.handle = $3::int8"
);

pub(super) const TOMBSTONES: RowStatement = row_statement!(
    "insert into resource_history (handle, updated_at, type_id, version, method, id, patient, keys) \
     select r.handle, $3::int8, r.type_id, d.version, $4::int2, r.id, r.patient, r.keys \
     from unnest($1::int8[], $2::int4[]) as d(handle, version) join resource r on r.handle = d.handle",
    " where r.handle = $5::int8"
);

pub(super) const DELETE: RowStatement =
    row_statement!("delete from resource r where r.handle = any($1::int8[])", " and r.handle = $2::int8");

pub(super) const INSERT: &str = "insert into resource (handle, updated_at, patient, date, date_high, primary_code, present, \
     type_id, version, method, keys, beginnings, id, json, packed) \
     select v.handle, $1::int8, v.patient, v.date, v.date_high, v.primary_code, v.present, v.type_id, v.version, \
     v.method, ($11::int8[])[v.keys_from:v.keys_to], nullif(($14::int8[])[v.texts_from:v.texts_to], '{}'), v.id, \
     v.json, v.packed \
     from unnest($2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int4[], $9::int4[], \
     $10::int2[], $12::int4[], $13::int4[], $15::int4[], $16::int4[], $17::text[], $18::jsonb[], $19::bytea[]) \
     as v(handle, patient, date, date_high, primary_code, present, type_id, version, method, keys_from, keys_to, \
     texts_from, texts_to, id, json, packed)";

/// (A part of an array that a column is set to as it is ends the coordinator of a distributed database; hence `coalesce`.)
pub(super) const UPDATE: RowStatement = row_statement!(
    "update resource r set updated_at = $1::int8, patient = v.patient, date = v.date, \
     date_high = v.date_high, primary_code = v.primary_code, present = v.present, version = v.version, \
     method = v.method, keys = coalesce(($11::int8[])[v.keys_from:v.keys_to], '{}'), \
     beginnings = nullif(($14::int8[])[v.texts_from:v.texts_to], '{}'), json = v.json, packed = v.packed \
     from unnest($2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int4[], $9::int4[], \
     $10::int2[], $12::int4[], $13::int4[], $15::int4[], $16::int4[], $17::text[], $18::jsonb[], $19::bytea[]) \
     as v(handle, patient, date, date_high, primary_code, present, type_id, version, method, keys_from, keys_to, \
     texts_from, texts_to, id, json, packed) where r.handle = v.handle",
    " and r.handle = $20::int8"
);

/// Of one handle beside its row, whose column the handle is then: what is selected from a table of a node is inserted there.
macro_rules! entries {
    ($insert:literal, $from:literal, $of_one:literal, $conflict:literal) => {
        RowStatement {
            any: concat!($insert, "x.handle", $from, $conflict),
            one: concat!($insert, "r.handle", $from, $of_one, $conflict),
        }
    };
}

pub(super) const ORDERED: RowStatement = entries!(
    "insert into ordered_entry (key, value, extra, rank, handle) select x.key, x.value, x.extra, x.rank, ",
    " from unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int2[]) as x(key, value, handle, extra, rank)",
    " join resource r on r.handle = x.handle where r.handle = $6::int8",
    " on conflict (key, value, handle, extra) do update set rank = excluded.rank where ordered_entry.rank <> excluded.rank"
);

pub(super) const ORDERED_GONE: RowStatement = row_statement!(
    "delete from ordered_entry e \
     using unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[]) as x(key, value, handle, extra) \
     where e.key = x.key and e.value = x.value and e.handle = x.handle and e.extra = x.extra",
    " and e.handle = $5::int8"
);

pub(super) const STRINGS: RowStatement = entries!(
    "insert into string_entry (key, value, rank, handle) select x.key, x.value, x.rank, ",
    " from unnest($1::int8[], $2::text[], $3::int8[], $4::int2[]) as x(key, value, handle, rank)",
    " join resource r on r.handle = x.handle where r.handle = $5::int8",
    " on conflict (key, value, handle) do update set rank = excluded.rank where string_entry.rank <> excluded.rank"
);

pub(super) const STRINGS_GONE: RowStatement = row_statement!(
    "delete from string_entry e \
     using unnest($1::int8[], $2::text[], $3::int8[]) as x(key, value, handle) \
     where e.key = x.key and e.value = x.value and e.handle = x.handle",
    " and e.handle = $4::int8"
);

/// Writes rows within a transaction.
#[derive(Clone, Copy)]
pub(super) struct RowWriter<'t> {
    pub(super) transaction: &'t Transaction<'t>,
    /// The handle of all rows, where a statement is to say it.
    pub(super) only: Option<i64>,
}

impl RowWriter<'_> {
    /// Runs a statement on rows; how many there were.
    pub(super) async fn write(
        self,
        statement: &RowStatement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, WriteFailure> {
        match &self.only {
            None => execute(self.transaction, statement.any, parameters).await,
            Some(handle) => {
                let handle: &(dyn ToSql + Sync) = handle;
                execute(self.transaction, statement.one, &[parameters, &[handle]].concat()).await
            }
        }
    }
}

/// Runs a statement; how many rows it wrote.
pub(super) async fn execute(
    transaction: &Transaction<'_>,
    text: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<u64, WriteFailure> {
    let statement = transaction.prepare_cached(text).await?;
    Ok(transaction.execute(&statement, parameters).await?)
}
