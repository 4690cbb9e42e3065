//! Index rows of versions that stay as they are: what a walk over old resources writes.

use deadpool_postgres::Transaction;
use fhir_search::rows::{DATE_MIN, Rows};

use super::many::{self, LOCK};
use super::rows::Entries;
use super::{Failure, date_high};

const INDEX: &str = "update resource r set patient = v.patient, date = v.date, date_high = v.date_high, \
     primary_code = v.primary_code, present = v.present, keys = ($7::int8[])[v.keys_from:v.keys_to] \
     from unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $8::int4[], $9::int4[]) \
     as v(handle, patient, date, date_high, primary_code, present, keys_from, keys_to) \
     where r.handle = v.handle and (r.patient, r.date, r.date_high, r.primary_code, r.present, r.keys) is distinct from \
     (v.patient, v.date, v.date_high, v.primary_code, v.present, ($7::int8[])[v.keys_from:v.keys_to])";

/// A version and its index rows.
pub(crate) struct Again {
    pub(crate) handle: i64,
    pub(crate) version: i32,
    /// What it is to have.
    pub(crate) rows: Rows,
    /// What it may have.
    pub(crate) before: Rows,
}

/// Gives versions their index rows. Those that were replaced meanwhile have theirs from their writers.
pub(crate) async fn run(transaction: &Transaction<'_>, all: &[Again]) -> Result<(), Failure> {
    let handles: Vec<i64> = all.iter().map(|one| one.handle).collect();
    let statement = transaction.prepare_cached(LOCK).await?;
    let mut current = std::collections::HashMap::new();
    for row in transaction.query(&statement, &[&handles]).await? {
        current.insert(row.try_get::<_, i64>(0)?, row.try_get::<_, i32>(1)?);
    }
    let mut entries = Entries::default();
    let (mut handles, mut patients, mut dates, mut dates_high) = (vec![], vec![], vec![], vec![]);
    let (mut codes, mut present, mut from, mut to) = (vec![], vec![], vec![], vec![]);
    let mut keys: Vec<i64> = vec![];
    for one in all.iter().filter(|one| current.get(&one.handle) == Some(&one.version)) {
        entries.add(one.handle, &one.before, &one.rows, true);
        handles.push(one.handle);
        patients.push(one.rows.patient);
        dates.push(one.rows.date.map_or(DATE_MIN, |d| d.0));
        dates_high.push(date_high(&one.rows));
        codes.push(one.rows.primary_code);
        present.push(one.rows.present);
        from.push(many::position(keys.len()) + 1);
        keys.extend(&one.rows.keys);
        to.push(many::position(keys.len()));
    }
    let statement = transaction.prepare_cached(INDEX).await?;
    transaction
        .execute(&statement, &[&handles, &patients, &dates, &dates_high, &codes, &present, &keys, &from, &to])
        .await?;
    many::entries(transaction, &entries).await
}
