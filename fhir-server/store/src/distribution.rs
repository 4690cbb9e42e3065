//! The store on a distributed PostgreSQL (Citus): rows of resources are distributed over its nodes by their handle.
//!
//! A resource, its history and its entries have the same handle and lie together, so that one node answers what is about one
//! resource, and each its part of a search. All other tables are small and stay on the coordinator, which every connection
//! of this server goes to.

use std::fmt;

use fhir_database::{Endpoint, failure};
use fhir_model::{Error, Kind, Result};
use fhir_search::sql::Placement;
use tokio_postgres::{Client, GenericClient};

/// The tables that are distributed by `handle`.
const TABLES: [&str; 4] = ["resource", "resource_history", "ordered_entry", "string_entry"];

/// What this server says of each of its connections (fhir-database), which nodes do not learn from the coordinator. Statements are
/// planned for their values there. As PostgreSQL's catalogue writes them.
const NODE_SETTINGS: [&str; 3] = ["enable_seqscan=off", "jit=off", "max_parallel_workers_per_gather=0"];

const EXTENSION: &str = "select e.extversion from pg_extension e where e.extname = 'citus'";

const DISTRIBUTED: &str = "select p.logicalrelid::text, (select count(*) from pg_dist_shard s where s.logicalrelid = p.logicalrelid), \
     p.colocationid from pg_dist_partition p where p.partmethod = 'h' \
     and column_to_column_name(p.logicalrelid, p.partkey) = 'handle' and p.logicalrelid = any( \
     select to_regclass(t.name) from unnest($1::text[]) as t(name))";

const NODES: &str = "select n.nodename || ':' || n.nodeport from pg_dist_node n where n.noderole = 'primary' and n.isactive \
     and n.shouldhaveshards order by n.nodename, n.nodeport";

/// Nodes beside the coordinator.
const WORKERS: &str = "select count(*) from pg_dist_node n where n.noderole = 'primary' and n.isactive and n.shouldhaveshards \
     and n.groupid <> 0";

const IS_COORDINATOR: &str = "select g.groupid = 0 from pg_dist_local_group g";

const ALTER: &str = "select format('alter database %I set %s', current_database(), $1::text)";

/// Nodes whose database does not have a setting.
macro_rules! without {
    () => {
        "run_command_on_all_nodes(format( \
         'select count(*) from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase \
         where d.datname = current_database() and s.setrole = 0 and %L = any(s.setconfig)', $1::text)) as w \
         where w.result <> '1'"
    };
}
const WITHOUT: &str = concat!("select count(*) from ", without!());

const ALTER_ELSEWHERE: &str = concat!(
    "select r.result from run_command_on_all_nodes($2::text) as r where exists (select from ",
    without!(),
    ")"
);

/// Servers that are connected; a row without a name is of one that is long gone.
const RUNNING: &str = "select count(distinct w.id) from writer w join pg_stat_activity a on a.application_name = w.application_name \
     where w.application_name <> ''";

/// No server joins while this is held.
const LOCK_WRITERS: &str = "lock table writer in exclusive mode";

/// How the store's tables lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The version of the extension.
    pub extension: String,
    /// Nodes that have rows, as host and port.
    pub nodes: Vec<String>,
    /// Parts of each table.
    pub shards: i64,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Distribution { extension, nodes, shards } = self;
        let nodes_len = nodes.len();
        write!(f, "Citus {extension}: {shards} shards on {nodes_len} nodes ({})", nodes.join(", "))
    }
}

/// Where the rows of a database are.
///
/// # Errors
///
/// When the database cannot be reached, or only some of the tables are distributed.
pub(crate) async fn placement(client: &Client) -> Result<Placement> {
    Ok(match inspect(client).await? {
        Some(_) => Placement::Distributed,
        None => Placement::Single,
    })
}

/// How the tables of a database are distributed. Returns `None` when they are not.
///
/// # Errors
///
/// When the database cannot be reached, or only some of the tables are distributed.
pub async fn distribution(url: &str) -> Result<Option<Distribution>> {
    inspect(&Endpoint::parse(url)?.connect().await?).await
}

async fn inspect(client: &Client) -> Result<Option<Distribution>> {
    let Some(row) = client.query_opt(EXTENSION, &[]).await.map_err(failure::classify)? else {
        return Ok(None);
    };
    let tables = client.query(DISTRIBUTED, &[&TABLES.as_slice()]).await.map_err(failure::classify)?;
    let colocation: Vec<i32> = tables.iter().map(|table| table.get(2)).collect();
    let Some(first) = tables.first() else { return Ok(None) };
    if tables.len() != TABLES.len() || colocation.iter().any(|other| Some(other) != colocation.first()) {
        let text = format!(
            "the tables {} must all be distributed by `handle`, in one colocation group",
            TABLES.join(", ")
        );
        return Err(Error::new(Kind::Unavailable, text));
    }
    let nodes = client.query(NODES, &[]).await.map_err(failure::classify)?;
    Ok(Some(Distribution {
        extension: row.try_get(0).map_err(Error::internal)?,
        nodes: nodes.iter().map(|node| node.get(0)).collect(),
        shards: first.try_get(1).map_err(Error::internal)?,
    }))
}

/// Refuses to go on while servers are connected.
///
/// # Errors
///
/// When one is, or the database does not answer.
pub(crate) async fn refuse_running(client: &impl GenericClient) -> Result<()> {
    let servers: i64 = client.query_one(RUNNING, &[]).await.map_err(failure::classify)?.get(0);
    match servers {
        0 => Ok(()),
        _ => refuse("servers use the database: stop them all first"),
    }
}

/// Distributes the tables of a migrated database over its nodes, and tells all nodes the settings of this server's
/// connections. What is done already stays.
///
/// # Errors
///
/// When the database has no such extension, is no coordinator, has no worker node, is served at the moment, or refuses.
pub async fn distribute(url: &str) -> Result<Distribution> {
    let mut client = Endpoint::parse(url)?.connect().await?;
    check_cluster(&client).await?;
    if inspect(&client).await.is_ok_and(|found| found.is_none()) || !has_settings(&client).await? {
        refuse_running(&client).await?;
        set_everywhere(&client).await?;
    }
    distribute_tables(&mut client).await?;
    for table in TABLES {
        // What the coordinator had is on the nodes now; a run that was cut off left it here.
        let truncate = "select truncate_local_data_after_distributing_table(to_regclass($1::text))";
        client.execute(truncate, &[&table]).await.map_err(|error| {
            let why = cause(&error);
            let text = format!(
                "the rows of `{table}` are distributed, and were not removed from the coordinator: {why}"
            );
            Error::new(Kind::Rule, text).because(error)
        })?;
    }
    inspect(&client).await?.ok_or_else(|| Error::internal("the tables are not distributed"))
}

async fn check_cluster(client: &Client) -> Result<()> {
    if client.query_opt(EXTENSION, &[]).await.map_err(refused)?.is_none() {
        return refuse(
            "the database does not have the extension `citus`; it is made on every node by `create extension citus`",
        );
    }
    let is_coordinator = client.query_opt(IS_COORDINATOR, &[]).await.map_err(refused)?;
    if is_coordinator.is_none_or(|row| !row.get::<_, bool>(0)) {
        return refuse("this is a worker node: tables are distributed from the coordinator");
    }
    let workers: i64 = client.query_one(WORKERS, &[]).await.map_err(refused)?.get(0);
    if workers == 0 {
        return refuse(
            "the coordinator knows no worker node; `select citus_add_node('host', 5432)` adds one",
        );
    }
    Ok(())
}

async fn has_settings(client: &Client) -> Result<bool> {
    for setting in NODE_SETTINGS {
        let without: i64 = client.query_one(WITHOUT, &[&setting]).await.map_err(refused)?.get(0);
        if without > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives the database its settings on every node.
async fn set_everywhere(client: &Client) -> Result<()> {
    for setting in NODE_SETTINGS {
        let row = client.query_one(ALTER, &[&setting]).await.map_err(refused)?;
        let alter: String = row.get(0);
        client.batch_execute(&alter).await.map_err(refused)?;
        // Earlier versions of Citus do not tell the nodes.
        client.execute(ALTER_ELSEWHERE, &[&setting, &alter]).await.map_err(refused)?;
    }
    match has_settings(client).await? {
        true => Ok(()),
        false => refuse("a node does not take the settings of the database"),
    }
}

/// Distributes the tables that are not yet, all or none.
async fn distribute_tables(client: &mut Client) -> Result<()> {
    let transaction = client.transaction().await.map_err(refused)?;
    let rows = transaction.query(DISTRIBUTED, &[&TABLES.as_slice()]).await.map_err(refused)?;
    let done: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing: Vec<&str> =
        TABLES.into_iter().filter(|table| !done.iter().any(|done| done == table)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // A server that starts meanwhile waits, and then sees where the rows are.
    transaction.batch_execute(LOCK_WRITERS).await.map_err(refused)?;
    refuse_running(&transaction).await?;
    // The tables lie together, so that they are made by one connection to each node.
    let mode = "set local citus.multi_shard_modify_mode = 'sequential'";
    transaction.batch_execute(mode).await.map_err(refused)?;
    let mut beside = done.first().cloned();
    for table in missing {
        let colocated = beside.as_deref().unwrap_or("default");
        let make =
            "select create_distributed_table(to_regclass($1::text), 'handle', colocate_with => $2::text)";
        transaction.execute(make, &[&table, &colocated]).await.map_err(refused)?;
        beside.get_or_insert_with(|| table.to_owned());
    }
    transaction.commit().await.map_err(refused)
}

fn refuse<T>(text: &str) -> Result<T> {
    Err(Error::new(Kind::Rule, text.to_owned()))
}

fn refused(error: tokio_postgres::Error) -> Error {
    Error::new(Kind::Rule, format!("the tables could not be distributed: {}", cause(&error))).because(error)
}

fn cause(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
