//! From one major version of PostgreSQL to a newer one.
//!
//! The rows are copied from a running old cluster into a running new one, whose schema the caller makes. That works between
//! any two versions and builds: what is downloaded holds no `pg_upgrade` and no `pg_dump`. The old cluster is only read, and
//! kept; the new one takes its place by renaming when every table was found equal.

mod complete;

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::{Client, NoTls};

pub(crate) use self::complete::complete;
use self::complete::{COMPLETE, kept};
use crate::binaries::{Binaries, Search};
use crate::cluster;
use crate::connection::Connection;
use crate::embedded::{Options, find};
use crate::error::{Error, IoContext, Result};
use crate::home::Home;
use crate::leftover;
use crate::postmaster::{Postmaster, START_MAX};

/// Where the new cluster is made; what a killed upgrade left there is removed by the next.
const NEW: &str = "pg.upgrade";

/// The port of the new cluster's socket while both run.
const PORT: u16 = 5433;

/// What was done.
#[derive(Debug)]
pub struct Upgraded {
    /// The version before.
    pub from: u32,
    /// The version now.
    pub to: u32,
    /// Where the old cluster is kept.
    pub old: PathBuf,
    /// Rows that were copied.
    pub rows: u64,
}

/// Upgrades the cluster of a data directory to the newest PostgreSQL that is found; `None` when it has that already.
/// `schema` brings a database to the schema of this program: first the old one, then the new, empty one.
///
/// # Errors
///
/// When a server runs in the directory, the old version's programs are not found, there is too little room, or anything
/// fails on the way. The old cluster is then what it was.
pub async fn upgrade<S>(options: &Options, schema: S) -> Result<Option<Upgraded>>
where
    S: AsyncFn(&Connection) -> std::result::Result<(), String>,
{
    let home = Home::open(&options.data_dir).await?;
    complete(&home)?;
    let Some(from) = cluster::major(&home) else {
        return Err(failed(format!("there is no database in {}", options.data_dir.display())));
    };
    let newest = newest(options, &home).await?;
    if newest.major <= from {
        return Ok(None);
    }
    let aside = kept(&home.dir, from);
    if aside.exists() {
        return Err(failed(format!(
            "{} is left from an earlier upgrade: move it away first",
            aside.display()
        )));
    }
    let search = Search { named: None, ..options.search.clone() };
    let old = find(&Options { search, ..options.clone() }, &home, Some(from)).await?;
    fits(&home)?;
    let new_home = home.beside(NEW);
    let _ = fs::remove_dir_all(&new_home.cluster);
    tracing::info!("copying from PostgreSQL {from} to {}", newest.major);
    let rows = both(options, (&home, &old), (&new_home, &newest), schema).await?;
    fs::rename(&new_home.cluster, home.dir.join(COMPLETE)).doing("rename", &new_home.cluster)?;
    cluster::sync_dir(&home.dir)?;
    complete(&home)?;
    Ok(Some(Upgraded { from, to: newest.major, old: aside, rows }))
}

fn failed(why: impl Into<String>) -> Error {
    Error::Upgrade(why.into())
}

/// The newest programs of this machine; where there are none but those of old, what is fetched for a new cluster.
async fn newest(options: &Options, home: &Home) -> Result<Binaries> {
    if options.search.named.is_some() {
        return find(options, home, None).await;
    }
    let installed = options.search.newest();
    match options.download.first() {
        Some(download) if installed.as_ref().is_none_or(|found| found.major < download.major) => {
            download.get(&home.dir).await
        }
        _ => installed.map_or_else(|| Err(failed("no PostgreSQL was found on this machine")), Ok),
    }
}

/// Whether there is room for a second cluster, with a tenth to spare.
fn fits(home: &Home) -> Result<()> {
    let needed = bytes_of(&home.cluster)? / 10 * 11;
    let free = crate::free_space::bytes_free(&home.dir)?;
    match free < needed {
        true => Err(failed(format!(
            "upgrading copies the database: it takes {needed} bytes, but {} has only {free} left",
            home.dir.display()
        ))),
        false => Ok(()),
    }
}

fn bytes_of(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).doing("read", dir)? {
        let entry = entry.doing("read", dir)?;
        let metadata = entry.metadata().doing("read", &entry.path())?;
        bytes += if metadata.is_dir() { bytes_of(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// Starts both clusters, copies, compares and stops them; the number of rows.
async fn both<S>(
    options: &Options,
    (old_home, old): (&Home, &Binaries),
    (new_home, new): (&Home, &Binaries),
    schema: S,
) -> Result<u64>
where
    S: AsyncFn(&Connection) -> std::result::Result<(), String>,
{
    let from = Connection::new(&old_home.sockets);
    let to = Connection { port: PORT, ..from.clone() };
    let mut settings = options.settings.clone();
    leftover::clear(&old_home.cluster, &old_home.sockets).await?;
    cluster::configure(old_home, old, options.connections_max, options.durable, &settings).await?;
    let mut old_server = Postmaster::start(old_home, old, &from, START_MAX).await?;
    let copied = async {
        schema(&from).await.map_err(failed)?;
        cluster::make(new_home, new, options.durable).await?;
        settings.push(("port".to_owned(), PORT.to_string()));
        cluster::configure(new_home, new, options.connections_max, options.durable, &settings).await?;
        let mut new_server = Postmaster::start(new_home, new, &to, START_MAX).await?;
        let copied = async {
            schema(&to).await.map_err(failed)?;
            copy(&connect(&from).await?, &connect(&to).await?).await
        };
        let copied = copied.await;
        new_server.stop().await;
        let rows = copied?;
        cluster::sync(new_home, new, &new_home.cluster).await?;
        Ok(rows)
    };
    let copied = copied.await;
    old_server.stop().await;
    copied
}

async fn connect(connection: &Connection) -> Result<Client> {
    let connection = connection.superuser().database(&connection.dbname);
    let (client, driver) = connection.config().connect(NoTls).await?;
    tokio::spawn(driver);
    Ok(client)
}

const TABLES: &str = "select c.oid::regclass::text from pg_class c where c.relkind = 'r' \
     and c.relnamespace = 'public'::regnamespace order by 1";

/// Those that no constraint stands on: name and definition.
const INDEXES: &str = "select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i \
     join pg_class c on c.oid = i.indexrelid where c.relnamespace = 'public'::regnamespace \
     and not exists (select from pg_constraint k where k.conindid = i.indexrelid) order by 1";

const COLUMNS: &str = "select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a \
     where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''";

async fn names(client: &Client, query: &str, column: usize) -> Result<Vec<String>> {
    Ok(client.query(query, &[]).await?.iter().map(|row| row.get(column)).collect())
}

/// Copies all rows, makes the indexes, and compares every table.
async fn copy(from: &Client, to: &Client) -> Result<u64> {
    let tables = names(from, TABLES, 0).await?;
    if names(to, TABLES, 0).await? != tables {
        return Err(failed("the database has tables that are none of this program's: they would be lost"));
    }
    // Filling an index row by row takes many times as long as making it at once.
    for index in names(to, INDEXES, 0).await? {
        to.batch_execute(&format!("drop index {index}")).await?;
    }
    for table in &tables {
        copy_table(from, to, table).await?;
    }
    for definition in names(from, INDEXES, 1).await? {
        to.batch_execute(&definition).await?;
    }
    let mut rows = 0;
    for table in &tables {
        let (before, after) = (content(from, table).await?, content(to, table).await?);
        if before != after {
            return Err(failed(format!("{table} is not the same in the new cluster")));
        }
        rows += before.0.cast_unsigned();
    }
    to.batch_execute("analyze").await?;
    Ok(rows)
}

async fn copy_table(from: &Client, to: &Client, table: &str) -> Result<()> {
    let columns: String = from.query_one(COLUMNS, &[&table]).await?.get(0);
    to.batch_execute(&format!("truncate table {table}")).await?;
    // As text: the binary form is not promised to be the same in another version.
    let rows = from.copy_out(&format!("copy {table} ({columns}) to stdout")).await?;
    let sink = to.copy_in(&format!("copy {table} ({columns}) from stdin")).await?;
    let (mut rows, mut sink) = (std::pin::pin!(rows), std::pin::pin!(sink));
    while let Some(bytes) = rows.try_next().await? {
        sink.send(bytes).await?;
    }
    sink.finish().await?;
    Ok(())
}

/// The number of rows, and a sum over hashes of their texts, which does not depend on their order.
async fn content(client: &Client, table: &str) -> Result<(i64, String)> {
    let query =
        format!("select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from {table} t");
    let row = client.query_one(&query, &[]).await?;
    Ok((row.get(0), row.get(1)))
}
