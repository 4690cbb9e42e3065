//! Index entries of versions that stay as they are: the writes of a reindex scan.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use fhir_search::rows::{DATE_MIN, Rows};
use tokio_postgres::types::ToSql;

use super::locks::{self, RowLock};
use super::many::{self, Lists};
use super::prepared::date_high;
use super::row_statements::RowWriter;
use super::rows::Entries;
use super::write_failure::WriteFailure;
use crate::Store;

const INDEX: &str = "update resource r set patient = v.patient, date = v.date, date_high = v.date_high, \
     primary_code = v.primary_code, present = v.present, keys = v.keys, beginnings = v.beginnings \
     from (select u.handle, u.patient, u.date, u.date_high, u.primary_code, u.present, \
     ($7::int8[])[u.keys_from:u.keys_to], nullif(($10::int8[])[u.texts_from:u.texts_to], '{}') \
     from unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $8::int4[], $9::int4[], \
     $11::int4[], $12::int4[]) \
     as u(handle, patient, date, date_high, primary_code, present, keys_from, keys_to, texts_from, texts_to)) \
     as v(handle, patient, date, date_high, primary_code, present, keys, beginnings) \
     where r.handle = v.handle and (r.patient, r.date, r.date_high, r.primary_code, r.present, r.keys, r.beginnings) \
     is distinct from (v.patient, v.date, v.date_high, v.primary_code, v.present, v.keys, v.beginnings)";

/// A version and its index rows.
pub(crate) struct IndexUpdate {
    pub(crate) handle: i64,
    pub(crate) version: i32,
    /// What it is to have.
    pub(crate) rows: Rows,
    /// What it may have.
    pub(crate) before: Rows,
}

/// Gives versions their index rows. Those that were replaced meanwhile have theirs from their writers.
pub(crate) async fn run(
    store: &Store,
    transaction: &Transaction<'_>,
    all: &[IndexUpdate],
) -> Result<(), WriteFailure> {
    let handles: Vec<i64> = all.iter().map(|one| one.handle).collect();
    let locked = locks::lock(store, transaction, RowLock::Row, &handles).await?;
    let current: HashMap<i64, i32> = locked.into_iter().collect();
    let mut entries = Entries::default();
    let (mut handles, mut patients, mut dates, mut dates_high) = (vec![], vec![], vec![], vec![]);
    let (mut codes, mut present) = (vec![], vec![]);
    let (mut keys, mut texts) = (Lists::default(), Lists::default());
    for one in all.iter().filter(|one| current.get(&one.handle) == Some(&one.version)) {
        entries.add(one.handle, &one.before, &one.rows, true);
        handles.push(one.handle);
        patients.push(one.rows.patient);
        dates.push(one.rows.date.map_or(DATE_MIN, |d| d.0));
        dates_high.push(date_high(&one.rows));
        codes.push(one.rows.primary_code);
        present.push(one.rows.present);
        keys.push(&one.rows.keys);
        texts.push(&one.rows.prefix_hashes);
    }
    let statement = transaction.prepare_cached(INDEX).await?;
    let (k, t) = (&keys, &texts);
    let parameters: [&(dyn ToSql + Sync); 12] = [
        &handles,
        &patients,
        &dates,
        &dates_high,
        &codes,
        &present,
        &k.all,
        &k.from,
        &k.to,
        &t.all,
        &t.from,
        &t.to,
    ];
    transaction.execute(&statement, &parameters).await?;
    many::entries(RowWriter { transaction, only: None }, &entries).await
}
