//! Several writes in one transaction: one statement per table, whatever their number, but for the locks of a distributed
//! database (`locks.rs`). There a version that replaces another is written so, too.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::locks::{self, RowLock};
use super::preconditions::Preconditions;
use super::prepared::PreparedWrite;
use super::row_statements::{
    DELETE, HISTORY, INSERT, ORDERED, ORDERED_GONE, RowWriter, STRINGS, STRINGS_GONE, TOMBSTONES, UPDATE,
    execute,
};
use super::rows::Entries;
use super::turns;
use super::write_failure::WriteFailure;
use crate::Store;
use crate::body::Jsonb;
use crate::commit_clock::CommitTimestamp;
use crate::effect::Addition;
use crate::parameters;
use crate::version::{Method, ResourceState};

/// What came last of rows that are created again. Asked after they were inserted: an insert waits until the row that was deleted is
/// gone on its node, and its history is visible with it, where the turn may be free before (`turns.rs`).
const LAST: &str = "select h.handle, max(h.version) from resource_history h where h.handle = any($1::int8[]) \
     group by h.handle order by h.handle";

/// Lists of several rows in one array, as arrays of arrays must not differ in length; each row knows its part.
#[derive(Default)]
pub(super) struct Lists {
    pub(super) all: Vec<i64>,
    pub(super) from: Vec<i32>,
    pub(super) to: Vec<i32>,
}

impl Lists {
    pub(super) fn push(&mut self, one: &[i64]) {
        let position = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
        self.from.push(position(self.all.len()) + 1);
        self.all.extend_from_slice(one);
        self.to.push(position(self.all.len()));
    }
}

/// Rows of `resource` as columns.
#[derive(Default)]
struct Columns<'w> {
    handles: Vec<i64>,
    patients: Vec<Option<i64>>,
    dates: Vec<i64>,
    dates_high: Vec<Option<i64>>,
    primary_codes: Vec<Option<i64>>,
    present: Vec<i64>,
    type_ids: Vec<i32>,
    versions: Vec<i32>,
    methods: Vec<i16>,
    keys: Lists,
    prefix_hashes: Lists,
    ids: Vec<Option<&'w str>>,
    json: Vec<Option<Jsonb<'w>>>,
    packed: Vec<Option<&'w [u8]>>,
}

impl<'w> Columns<'w> {
    fn push(&mut self, ready: &'w PreparedWrite<'w>) {
        self.handles.push(ready.handle);
        self.patients.push(ready.rows.patient);
        self.dates.push(ready.date());
        self.dates_high.push(ready.date_high());
        self.primary_codes.push(ready.rows.primary_code);
        self.present.push(ready.rows.present);
        self.type_ids.push(ready.type_id);
        self.versions.push(ready.version);
        self.methods.push(ready.write.method.number());
        self.keys.push(&ready.rows.keys);
        self.prefix_hashes.push(&ready.rows.prefix_hashes);
        self.ids.push(ready.id());
        self.json.push(ready.json());
        self.packed.push(ready.packed.as_deref());
    }

    fn parameters<'p>(&'p self, updated_at: &'p i64) -> [&'p (dyn ToSql + Sync); 19] {
        [
            updated_at,
            &self.handles,
            &self.patients,
            &self.dates,
            &self.dates_high,
            &self.primary_codes,
            &self.present,
            &self.type_ids,
            &self.versions,
            &self.methods,
            &self.keys.all,
            &self.keys.from,
            &self.keys.to,
            &self.prefix_hashes.all,
            &self.prefix_hashes.from,
            &self.prefix_hashes.to,
            &self.ids,
            &self.json,
            &self.packed,
        ]
    }
}

pub(super) async fn run(
    store: &Store,
    ready: &[PreparedWrite<'_>],
    preconditions: &Preconditions,
    effects: &[Addition],
    timestamp: &CommitTimestamp,
) -> Result<(), WriteFailure> {
    let mut client = store.connections.client().await.map_err(WriteFailure::Other)?;
    let transaction = client.transaction().await?;
    turns::take(&transaction, ready, preconditions, timestamp).await?;
    write(store, &transaction, ready, preconditions, effects, timestamp).await?;
    transaction.commit().await?;
    Ok(())
}

/// Writes all within a transaction that has taken its turns.
pub(super) async fn write(
    store: &Store,
    transaction: &Transaction<'_>,
    ready: &[PreparedWrite<'_>],
    preconditions: &Preconditions,
    effects: &[Addition],
    timestamp: &CommitTimestamp,
) -> Result<(), WriteFailure> {
    let at = timestamp.micros();
    let (mut inserts, mut updates) = (Columns::default(), Columns::default());
    let (mut replaced, mut replaced_packed, mut replaced_versions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut deleted, mut deleted_versions) = (Vec::new(), Vec::new());
    let (mut created, mut last_versions) = (Vec::new(), Vec::new());
    let mut entries = Entries::default();
    for one in ready {
        entries.add(one.handle, &one.old_rows, &one.rows, one.building);
        match (&one.write.before, &one.write.doc) {
            (ResourceState::Current(before), doc) => {
                replaced.push(one.handle);
                replaced_versions.push((one.handle, i32::try_from(before.version).unwrap_or(i32::MAX)));
                replaced_packed.push(one.old_packed.as_deref());
                match doc {
                    Some(_) => updates.push(one),
                    None => {
                        deleted.push(one.handle);
                        deleted_versions.push(one.version);
                    }
                }
            }
            (_, Some(_)) => inserts.push(one),
            // Nothing there, nothing to delete.
            (_, None) => {}
        }
        if !matches!(one.write.before, ResourceState::Current(_)) && one.needs_sequence() {
            created.push(one.handle);
            let last = i32::try_from(one.write.before.last_version()).unwrap_or(i32::MAX);
            if last > 0 {
                last_versions.push((one.handle, last));
            }
        }
    }
    let only = match ready {
        // Of what the coordinator keeps beside the row a commit of one node is not prepared: with these it has to be of several.
        [one] if store.is_distributed() && one.definition.is_none() && effects.is_empty() => Some(one.handle),
        _ => None,
    };
    let rows = RowWriter { transaction, only };
    if !replaced.is_empty() {
        replaced_versions.sort_unstable();
        let what = if deleted.is_empty() { RowLock::Version } else { RowLock::Row };
        let found = locks::lock(store, transaction, what, &replaced).await?;
        if found != replaced_versions {
            return Err(WriteFailure::Stale);
        }
    }
    preconditions.hold(store, transaction).await?;
    if !replaced.is_empty() {
        rows.write(&HISTORY, &[&replaced, &replaced_packed]).await?;
    }
    if !deleted.is_empty() {
        rows.write(&TOMBSTONES, &[&deleted, &deleted_versions, &at, &Method::Delete.number()]).await?;
        rows.write(&DELETE, &[&deleted]).await?;
    }
    if !updates.handles.is_empty() {
        rows.write(&UPDATE, &updates.parameters(&at)).await?;
    }
    if !inserts.handles.is_empty() {
        execute(transaction, INSERT, &inserts.parameters(&at)).await?;
    }
    if !created.is_empty() {
        let statement = transaction.prepare_cached(LAST).await?;
        let rows = transaction.query(&statement, &[&created]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push((row.try_get::<_, i64>(0)?, row.try_get::<_, i32>(1)?));
        }
        last_versions.sort_unstable();
        if found != last_versions {
            return Err(WriteFailure::Stale);
        }
    }
    self::entries(rows, &entries).await?;
    self::effects(transaction, effects).await?;
    preconditions.hold_after(store, transaction).await?;
    // Last, as it makes all other changes of search parameters wait.
    parameters::apply_definitions(store, transaction, ready).await
}

/// Rows of modules.
async fn effects(transaction: &Transaction<'_>, effects: &[Addition]) -> Result<(), WriteFailure> {
    for effect in effects {
        let (parameters, kinds): (Vec<_>, Vec<_>) = effect.parameters().unzip();
        let bind = |(at, kind): (usize, &&str)| ["$", &(at + 1).to_string(), "::", kind].concat();
        let binds: Vec<String> = kinds.iter().enumerate().map(bind).collect();
        // Names of modules' tables are constants that are checked at the start.
        let (table, names) = (effect.table(), effect.names());
        let text =
            ["insert into ", table, " (", &names, ") select * from unnest(", &binds.join(", "), ")"].concat();
        execute(transaction, &text, &parameters).await?;
    }
    Ok(())
}

/// Entries that come and go.
pub(super) async fn entries(rows: RowWriter<'_>, entries: &Entries) -> Result<(), WriteFailure> {
    let gone = &entries.ordered_gone;
    if !gone.keys.is_empty() {
        rows.write(&ORDERED_GONE, &[&gone.keys, &gone.values, &gone.handles, &gone.extras]).await?;
    }
    let gone = &entries.strings_gone;
    if !gone.keys.is_empty() {
        rows.write(&STRINGS_GONE, &[&gone.keys, &gone.values, &gone.handles]).await?;
    }
    let new = &entries.ordered;
    if !new.keys.is_empty() {
        rows.write(&ORDERED, &[&new.keys, &new.values, &new.handles, &new.extras, &new.ranks]).await?;
    }
    let new = &entries.strings;
    if !new.keys.is_empty() {
        rows.write(&STRINGS, &[&new.keys, &new.values, &new.handles, &new.ranks]).await?;
    }
    Ok(())
}
