//! What a database holds before it is migrated: nothing, a schema of ours, or what belongs to somebody else.
//!
//! **Invariant:** this reads only. A database that is refused stays exactly as it was.

use fhir_model::{Error, Result};
use tokio_postgres::Client;

use crate::endpoint::{Endpoint, cause};
use crate::migration::Migration;
use crate::migrations::Migrations;
use crate::schema_names::SchemaNames;

/// The oldest PostgreSQL that the migrations run on, as `server_version_num`.
const VERSION_MIN: i32 = 140_000;

/// How far the schema of a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// Nothing of ours is there; a start makes all tables.
    Empty,
    /// An earlier version's: the number of its last migration.
    Earlier(i64),
    /// This version's.
    Current,
}

/// Finds out whether the migrations can run, without changing anything.
///
/// # Errors
///
/// With the endpoint and the reason when they cannot: a standby, tables of another program, a later version, a gap in the
/// record of migrations, a privilege that is missing.
pub(crate) async fn inspect(
    client: &Client,
    endpoint: &Endpoint,
    modules: &[Migrations],
) -> Result<SchemaState> {
    let found = async {
        let (schema, may_create) = server(client).await?;
        // One snapshot: another process may be migrating just now, each migration in a transaction of its own.
        client.batch_execute("begin isolation level repeatable read read only").await?;
        let mut whole = None;
        for module in modules {
            let state = state(client, &schema, module).await?;
            if state == SchemaState::Empty {
                for name in module.extensions {
                    extension(client, name).await?;
                }
            }
            whole = Some(match (whole, state) {
                (None, state) => state,
                // The first module is the store: what it has says whether anything of ours is there.
                (Some(SchemaState::Current), SchemaState::Empty) => SchemaState::Earlier(0),
                (Some(SchemaState::Current), state) => state,
                (Some(earlier), _) => earlier,
            });
        }
        let state = whole.unwrap_or(SchemaState::Current);
        if state != SchemaState::Current && !may_create {
            return Err(Refusal(format!("its user may not create tables in the schema `{schema}`")));
        }
        client.batch_execute("commit").await?;
        Ok(state)
    };
    found.await.map_err(|Refusal(why)| Error::invalid(format!("the {endpoint} cannot be used: {why}")))
}

/// Why a database cannot be used.
struct Refusal(String);

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Refusal {
        Refusal(cause(&error))
    }
}

type Checked<T> = std::result::Result<T, Refusal>;

/// The schema that tables are made in, and whether they may be; what holds whatever the database has in it.
async fn server(client: &Client) -> Checked<(String, bool)> {
    let facts = client
        .query_one(
            "select current_setting('server_version_num')::int4, pg_is_in_recovery(), \
             current_setting('transaction_read_only')::bool, current_schema()::text, \
             coalesce(has_schema_privilege(current_schema()::text, 'create'), false)",
            &[],
        )
        .await?;
    let (version, standby, read_only): (i32, bool, bool) = (facts.get(0), facts.get(1), facts.get(2));
    if version < VERSION_MIN {
        let (is, min) = (version / 10_000, VERSION_MIN / 10_000);
        return Err(Refusal(format!("it runs on PostgreSQL {is}; {min} is the oldest that will do")));
    }
    if standby {
        return Err(Refusal("it is a read-only standby; name the primary".to_owned()));
    }
    if read_only {
        return Err(Refusal("its transactions are read-only (`default_transaction_read_only`)".to_owned()));
    }
    let schema: Option<String> = facts.get(3);
    let schema = schema.ok_or_else(|| Refusal("no schema of its search_path exists".to_owned()))?;
    Ok((schema, facts.get(4)))
}

/// How far a module's part of the schema is, when what is there is ours.
async fn state(client: &Client, schema: &str, module: &Migrations) -> Checked<SchemaState> {
    let (migrations, table) = (&*module.all(), &module.record());
    if migrations.is_empty() {
        return Ok(SchemaState::Current);
    }
    let record = client
        .query_opt(
            "select n.nspname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relname = $1 and pg_table_is_visible(c.oid)",
            &[&table],
        )
        .await?;
    let state = match record.map(|row| row.get::<_, String>(0)) {
        Some(other) if other != schema => {
            let text =
                format!("its tables are in the schema `{other}`, but the search_path leads to `{schema}`");
            return Err(Refusal(text));
        }
        Some(_) => recorded(client, table, migrations).await?,
        None => SchemaState::Empty,
    };
    let there = relations(client, schema, migrations).await?;
    let done = match state {
        SchemaState::Empty => 0,
        SchemaState::Earlier(version) => version,
        SchemaState::Current => i64::MAX,
    };
    let made = SchemaNames::from_migrations(migrations, done);
    let is_ours = |name: &String| made.tables.contains(name) || made.indexes.contains(name);
    if let Some((name, _)) = there.iter().find(|(name, _)| !is_ours(name)) {
        return Err(Refusal(format!(
            "its schema `{schema}` has a relation `{name}` that another program made; name an empty database, or one \
             of this server"
        )));
    }
    for table in made.tables {
        match there.iter().find(|(name, _)| *name == table) {
            None => {
                let text = format!(
                    "its table `{table}` is missing, although the migration that made it is recorded"
                );
                return Err(Refusal(text));
            }
            Some((_, false)) => {
                return Err(Refusal(format!("its user may not read and change the table `{table}`")));
            }
            Some(_) => {}
        }
    }
    Ok(state)
}

/// What the record of migrations says.
async fn recorded(client: &Client, table: &str, migrations: &[Migration]) -> Checked<SchemaState> {
    let columns = client
        .query_one(
            "select count(*) from pg_attribute where attrelid = to_regclass($1) and not attisdropped \
             and attname in ('version', 'success', 'checksum', 'description')",
            &[&table],
        )
        .await?;
    if columns.get::<_, i64>(0) != 4 {
        return Err(Refusal(format!("its table `{table}` is another program's")));
    }
    let query = "select version::int8, success::bool, checksum::bytea, description::text from {table} order by version";
    // The name is made of a module's name, which is checked to be an identifier.
    let rows = client.query(&query.replace("{table}", table), &[]).await?;
    let mut last = SchemaState::Empty;
    let mut known = migrations.iter();
    for row in &rows {
        let (version, success, checksum): (i64, bool, &[u8]) = (row.get(0), row.get(1), row.get(2));
        let name: &str = row.get(3);
        let why = match known.next() {
            _ if !success => {
                format!("its migration {version} ({name}) was begun and not finished; restore a backup")
            }
            Some(ours) if ours.version == version && ours.checksum == checksum => {
                last = SchemaState::Earlier(version);
                continue;
            }
            Some(ours) if ours.version < version && migrations.iter().any(|m| m.version == version) => {
                let lost = ours.version;
                format!("its migration {lost} is missing, although {version} ({name}) ran; restore a backup")
            }
            Some(_) => format!("its migration {version} ({name}) is another program's"),
            None => {
                let newest = migrations.last().map_or(0, |m| m.version);
                format!(
                    "a later version of this server has used it: it has migration {version} ({name}), this version knows \
                     them up to {newest}; start the later version"
                )
            }
        };
        return Err(Refusal(why));
    }
    Ok(if known.next().is_none() { SchemaState::Current } else { last })
}

/// Those of our tables and indexes whose names are taken in the schema, and whether their rows can be read and changed.
async fn relations(client: &Client, schema: &str, migrations: &[Migration]) -> Checked<Vec<(String, bool)>> {
    let made = SchemaNames::from_migrations(migrations, i64::MAX);
    let names: Vec<String> = made.tables.into_iter().chain(made.indexes).collect();
    let rows = client
        .query(
            "select c.relname::text, c.relkind not in ('r', 'p') or (has_table_privilege(c.oid, 'select') and \
             has_table_privilege(c.oid, 'insert') and has_table_privilege(c.oid, 'update') and \
             has_table_privilege(c.oid, 'delete')) \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = any($2) order by c.relkind = 'i', 1",
            &[&schema, &names],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// An extension of PostgreSQL: there, or to be had.
async fn extension(client: &Client, name: &str) -> Checked<()> {
    let row = client
        .query_one(
            "select exists (select from pg_extension where extname = $1), \
             exists (select from pg_available_extensions where name = $1), \
             has_database_privilege(current_database(), 'create')",
            &[&name],
        )
        .await?;
    let why = match (row.get(0), row.get(1), row.get(2)) {
        (true, _, _) | (false, true, true) => return Ok(()),
        (false, true, false) => format!(
            "it lacks the extension {name}, and its user may not create it (`create extension {name}` as its owner)"
        ),
        (false, false, _) => {
            format!("its server has no extension {name}: install PostgreSQL's contrib package")
        }
    };
    Err(Refusal(why))
}
