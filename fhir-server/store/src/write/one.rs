//! One write in one statement: everything hangs on the row that decides. Deletions are not written here (`many.rs`).
//!
//! `w` is the row of the process among the writers, without which nothing may be written with the commit timestamp
//! (`writers.rs`); `gate` is the claim, when there is one; `need` are the resources that must be there; `old` is the version
//! that is replaced; `r` is the row that is written. A part that finds nothing leaves nothing for those after it to do,
//! and `r` stays empty.

use tokio_postgres::types::ToSql;

use super::preconditions::{Preconditions, ROW, SpentClaim};
use super::prepared::{PreparedWrite, prefix_hashes};
use super::rows::Entries;
use super::write_failure::WriteFailure;
use crate::Store;
use crate::commit_clock::CommitTimestamp;
use crate::effect::Addition;
use crate::version::ResourceState;

/// A statement and its parameters, numbered as they are pushed.
struct Statement<'p> {
    text: String,
    parameters: Vec<&'p (dyn ToSql + Sync)>,
}

/// What the statement refers to and is not part of the write itself.
struct Values<'w> {
    updated_at: i64,
    writer: i64,
    date: i64,
    date_high: Option<i64>,
    method: i16,
    before_version: i32,
    claim: Option<&'w SpentClaim>,
    preconditions: &'w Preconditions,
    id: Option<&'w str>,
    prefix_hashes: Option<&'w [i64]>,
    json: Option<crate::body::Jsonb<'w>>,
    entries: Entries,
}

pub(super) async fn run(
    store: &Store,
    ready: &PreparedWrite<'_>,
    preconditions: &Preconditions,
    effects: &[Addition],
    timestamp: &CommitTimestamp,
) -> Result<(), WriteFailure> {
    let mut entries = Entries::default();
    entries.add(ready.handle, &ready.old_rows, &ready.rows, ready.building);
    let values = Values {
        updated_at: timestamp.micros(),
        writer: timestamp.writer(),
        date: ready.date(),
        date_high: ready.date_high(),
        method: ready.write.method.number(),
        before_version: i32::try_from(ready.write.before.last_version()).unwrap_or(i32::MAX),
        claim: preconditions.claims.first(),
        preconditions,
        id: ready.id(),
        prefix_hashes: prefix_hashes(&ready.rows),
        json: ready.json(),
        entries,
    };
    let mut sql = Statement { text: String::with_capacity(1024), parameters: Vec::with_capacity(40) };
    sql.push("with w as (select w.id from writer w where w.id = ");
    sql.bind(&values.writer, "int8");
    sql.push(" and w.fenced_at is null), ");
    sql.claim(&values);
    sql.need(&values);
    let replaces = matches!(ready.write.before, ResourceState::Current(_));
    if replaces {
        sql.replaced(ready, &values);
    }
    match replaces {
        true => sql.update(ready, &values),
        false => sql.insert(ready, &values),
    }
    sql.entries(&values.entries, replaces);
    sql.entries_gone(&values.entries);
    sql.effects(effects);
    sql.push(" select r.handle from r");

    let client = store.connections.client().await.map_err(WriteFailure::Other)?;
    let statement = client.prepare_cached(&sql.text).await?;
    match client.query_opt(&statement, &sql.parameters).await? {
        Some(_) => Ok(()),
        None => Err(WriteFailure::Stale),
    }
}

impl<'p> Statement<'p> {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn bind(&mut self, value: &'p (dyn ToSql + Sync), kind: &str) {
        self.parameters.push(value);
        self.text.push_str(&format!("${}::{kind}", self.parameters.len()));
    }

    /// Values separated by commas.
    fn list(&mut self, values: &[(&'p (dyn ToSql + Sync), &str)]) {
        for (i, (value, kind)) in values.iter().enumerate() {
            self.push(if i == 0 { "" } else { ", " });
            self.bind(*value, kind);
        }
    }

    /// The claim decides before the row does: of two writers under the same criteria, one finds it taken.
    fn claim(&mut self, values: &'p Values<'_>) {
        let Some(SpentClaim { key, seen, handle, version }) = values.claim else { return };
        self.push("gate as (insert into claim (key, turn, handle, version) select ");
        self.list(&[(key, "int8"), (&values.updated_at, "int8"), (handle, "int8"), (version, "int4")]);
        self.push(" from w on conflict (key) do ");
        match seen {
            None => self.push("nothing"),
            Some(seen) => {
                // Later than the turn that was seen, whatever the clock of the process that took it: no turn comes twice.
                self.push(
                    "update set turn = greatest(excluded.turn, claim.turn + 1), handle = excluded.handle, \
                     version = excluded.version where claim.turn = ",
                );
                self.bind(seen, "int8");
            }
        }
        self.push(" returning 1), ");
    }

    /// The rows that must be there, locked.
    fn need(&mut self, values: &'p Values<'_>) {
        let needed = values.preconditions;
        if needed.present == 0 {
            return;
        }
        self.push("need as materialized (select r.handle from resource r join unnest(");
        self.list(&[
            (&needed.rows.handles, "int8[]"),
            (&needed.rows.type_ids, "int4[]"),
            (&needed.rows.ids, "text[]"),
            (&needed.rows.versions, "int4[]"),
        ]);
        self.push(") as n(handle, type_id, id, version) on ");
        self.push(ROW);
        self.push(needed.lock());
        self.push("), ");
    }

    /// All that must be there is. `word`: `where` or `and`.
    fn has_needed(&mut self, word: &str, values: &'p Values<'_>) {
        if values.preconditions.present > 0 {
            self.push(word);
            self.push(" (select count(*) from need) = ");
            self.bind(&values.preconditions.present, "int8");
        }
    }

    /// The version that is replaced, locked and put into history.
    fn replaced(&mut self, ready: &'p PreparedWrite<'_>, values: &'p Values<'_>) {
        let gate = if values.claim.is_some() { ", gate" } else { ", w" };
        self.push("old as (select r.* from resource r");
        self.push(gate);
        self.push(" where r.handle = ");
        self.bind(&ready.handle, "int8");
        self.push(" and r.version = ");
        self.bind(&values.before_version, "int4");
        self.has_needed(" and", values);
        // Who refers to the resource relies on its key, which stays.
        self.push(
            " for no key update of r), h as (insert into resource_history (handle, updated_at, type_id, version, method, \
             id, patient, keys, packed) select o.handle, o.updated_at, o.type_id, o.version, o.method, o.id, o.patient, o.keys, ",
        );
        self.bind(&ready.old_packed, "bytea");
        self.push(" from old o), ");
    }

    /// A row that must not be there yet; that it is says the error of the primary key.
    fn insert(&mut self, ready: &'p PreparedWrite<'_>, values: &'p Values<'_>) {
        self.push(
            "r as (insert into resource (handle, type_id, id, updated_at, patient, date, date_high, primary_code, \
             present, version, method, keys, beginnings, json, packed) select ",
        );
        self.list(&[(&ready.handle, "int8"), (&ready.type_id, "int4"), (&values.id, "text")]);
        self.push(", ");
        self.columns(ready, values);
        self.push(if values.claim.is_some() { " from gate" } else { " from w" });
        self.has_needed(" where", values);
        self.push(" returning handle)");
    }

    fn update(&mut self, ready: &'p PreparedWrite<'_>, values: &'p Values<'_>) {
        self.push(
            "r as (update resource r set (updated_at, patient, date, date_high, primary_code, present, version, \
             method, keys, beginnings, json, packed) = row(",
        );
        self.columns(ready, values);
        self.push(") from old o where r.handle = o.handle returning r.handle)");
    }

    /// The columns that every version has anew.
    fn columns(&mut self, ready: &'p PreparedWrite<'_>, values: &'p Values<'_>) {
        self.list(&[
            (&values.updated_at, "int8"),
            (&ready.rows.patient, "int8"),
            (&values.date, "int8"),
            (&values.date_high, "int8"),
            (&ready.rows.primary_code, "int8"),
            (&ready.rows.present, "int8"),
            (&ready.version, "int4"),
            (&values.method, "int2"),
            (&ready.rows.keys, "int8[]"),
            (&values.prefix_hashes, "int8[]"),
            (&values.json, "jsonb"),
            (&ready.packed, "bytea"),
        ]);
    }

    /// Entries that come. Only where a version is replaced can one be there already, and then its rank may differ.
    fn entries(&mut self, entries: &'p Entries, replaces: bool) {
        let (ordered, strings) = (&entries.ordered, &entries.strings);
        if !ordered.keys.is_empty() {
            self.push(
                ", oi as (insert into ordered_entry (key, value, handle, extra, rank) \
                 select e.key, e.value, r.handle, e.extra, e.rank from r, unnest(",
            );
            self.list(&[
                (&ordered.keys, "int8[]"),
                (&ordered.values, "int8[]"),
                (&ordered.extras, "int8[]"),
                (&ordered.ranks, "int2[]"),
            ]);
            self.push(") as e(key, value, extra, rank)");
            if replaces {
                self.push(
                    " on conflict (key, value, handle, extra) do update set rank = excluded.rank \
                     where ordered_entry.rank <> excluded.rank",
                );
            }
            self.push(")");
        }
        if !strings.keys.is_empty() {
            self.push(
                ", si as (insert into string_entry (key, value, handle, rank) \
                 select e.key, e.value, r.handle, e.rank from r, unnest(",
            );
            self.list(&[(&strings.keys, "int8[]"), (&strings.values, "text[]"), (&strings.ranks, "int2[]")]);
            self.push(") as e(key, value, rank)");
            if replaces {
                self.push(
                    " on conflict (key, value, handle) do update set rank = excluded.rank \
                     where string_entry.rank <> excluded.rank",
                );
            }
            self.push(")");
        }
    }

    /// Rows of modules.
    fn effects(&mut self, effects: &'p [Addition]) {
        for (at, effect) in effects.iter().enumerate() {
            // Names of modules' tables are constants that are checked at the start.
            let names = effect.names();
            for part in [", e", &at.to_string(), " as (insert into ", effect.table(), " (", &names] {
                self.push(part);
            }
            self.push(") select x.* from r, unnest(");
            let parameters: Vec<_> = effect.parameters().collect();
            self.list(&parameters);
            for part in [") as x(", &names, "))"] {
                self.push(part);
            }
        }
    }

    /// Entries that go.
    fn entries_gone(&mut self, entries: &'p Entries) {
        let (ordered, strings) = (&entries.ordered_gone, &entries.strings_gone);
        if !ordered.keys.is_empty() {
            self.push(", od as (delete from ordered_entry e using r, unnest(");
            self.list(&[(&ordered.keys, "int8[]"), (&ordered.values, "int8[]"), (&ordered.extras, "int8[]")]);
            self.push(
                ") as x(key, value, extra) where e.key = x.key and e.value = x.value and e.handle = r.handle \
                 and e.extra = x.extra)",
            );
        }
        if !strings.keys.is_empty() {
            self.push(", sd as (delete from string_entry e using r, unnest(");
            self.list(&[(&strings.keys, "int8[]"), (&strings.values, "text[]")]);
            self.push(
                ") as x(key, value) where e.key = x.key and e.value = x.value and e.handle = r.handle)",
            );
        }
    }
}
