//! Connections: a pool for searches and writes, a few pipelined ones for reads by key.
//!
//! Reads by primary key take microseconds, so many tasks share a connection and pipeline their statements; whatever can
//! take longer or waits for the disk has a connection of its own, so that nothing short queues behind it. A commit on a
//! pipelined connection does not wait for the disk, so that nothing that must last is written there.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use fhir_model::{Error, Result};
use tokio_postgres::{CancelToken, Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::endpoint::Endpoint;
use crate::failure;
use crate::read_connection::ReadConnection;

/// Pipelined connections that reads of a process share.
const PIPELINED_CONNECTIONS: usize = 2;

/// Prepared statements a connection keeps. Every shape of search is one, and clients think of shapes without end.
const STATEMENTS_MAX: usize = 300;

/// How long a read waits for a connection to a standby, and for that to come so far.
pub(crate) const CATCH_UP: Duration = Duration::from_millis(50);
/// How long it may take to connect to one host of a standby.
const STANDBY_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How connections are made.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Connections in the pool.
    pub connections_max: usize,
    /// A statement that takes longer is stopped.
    pub statement_timeout: Duration,
    /// What the database's own views show of the connections.
    pub application_name: String,
    /// Statements that each pipelined connection prepares, and that are named by their position.
    pub pipelined: &'static [&'static str],
    /// Statements are planned for their values, as a distributed database needs.
    pub plan_for_values: bool,
    /// The pool's connections are to standbys of this cluster (`pg_control_system`): to servers of others they are refused, and what is
    /// slow there is given up soon, as the primary can answer, too.
    pub standby_of: Option<i64>,
}

/// The cluster that a server belongs to, with all its standbys: they have the same number.
pub(crate) const SYSTEM: &str = "select s.system_identifier from pg_control_system() s";

/// The connections of a process.
pub struct Connections {
    pool: Pool,
    connector: MakeRustlsConnect,
    config: Config,
    pipelined_config: Config,
    statements: &'static [&'static str],
    /// Those that are shared, and one more where the coordinator has its own.
    pipelined: Vec<Mutex<Option<Arc<PipelinedConnection>>>>,
    next: AtomicUsize,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connections")
    }
}

/// A connection that tasks share, with its prepared statements.
#[derive(Debug)]
pub struct PipelinedConnection {
    /// The connection.
    pub client: Client,
    statements: Vec<Statement>,
}

impl PipelinedConnection {
    /// The prepared statement at a position of [`ConnectionOptions::pipelined`].
    ///
    /// # Errors
    ///
    /// When there is none at the position.
    pub fn statement(&self, at: usize) -> Result<&Statement> {
        self.statements
            .get(at)
            .ok_or_else(|| Error::internal(format!("there is no pipelined statement {at}")))
    }
}

impl Connections {
    /// Prepares to connect; no connection is made yet.
    ///
    /// # Errors
    ///
    /// When the URL or a certificate that it names cannot be read.
    pub fn open(url: &str, options: ConnectionOptions) -> Result<Connections> {
        let Endpoint { mut config, connector, .. } = Endpoint::parse(url)?;
        config.application_name(&options.application_name);
        config.connect_timeout(match options.standby_of {
            Some(_) => STANDBY_CONNECT_TIMEOUT,
            None => Duration::from_secs(5),
        });
        // A lock that is replayed from the primary.
        let lock_timeout = if options.standby_of.is_some() { "-c lock_timeout=1000" } else { "" };
        let timeout = options.statement_timeout.as_millis();
        // One plan for a statement, whatever its values: planned anew for each array parameter, as PostgreSQL would by
        // itself, most searches and reads by key cost more to plan than to run, and the plans hang on estimates that
        // are off by orders of magnitude. The statements are written so that the one plan is right, and a table is
        // only read from end to end when no index could serve. Nor does a search start workers: that alone takes longer
        // than most run, and the other cores have searches of their own.
        let plans = if options.plan_for_values { "auto" } else { "force_generic_plan" };
        let settings = format!(
            "-c statement_timeout={timeout} -c jit=off -c default_transaction_isolation=read\\ committed \
             -c plan_cache_mode={plans} -c enable_seqscan=off \
             -c max_parallel_workers_per_gather=0 {lock_timeout} {}",
            // What the URL says is said last, so that it counts.
            config.get_options().unwrap_or_default()
        );
        config.options(&settings);
        let mut pipelined_config = config.clone();
        // What is written there is how far this process is, many times a second; the database may forget some of it when it
        // crashes, and no flush of the disk is waited for.
        pipelined_config.options(format!("{settings} -c synchronous_commit=off"));
        let manager = Manager::from_config(
            config.clone(),
            connector.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let mut pool = Pool::builder(manager)
            .max_size(options.connections_max.max(1))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(match options.standby_of {
                Some(_) => CATCH_UP,
                None => Duration::from_secs(10),
            }));
        if let Some(system) = options.standby_of {
            pool = pool.post_create(Hook::async_fn(move |client, _| {
                Box::pin(async move {
                    ensure_system(client, system).await.map_err(|e| HookError::message(e.text.to_string()))
                })
            }));
        }
        let pool = pool.build().map_err(Error::internal)?;
        let slots = PIPELINED_CONNECTIONS + usize::from(options.plan_for_values);
        let pipelined = (0..slots).map(|_| Mutex::new(None)).collect();
        Ok(Connections {
            pool,
            connector,
            config,
            pipelined_config,
            statements: options.pipelined,
            pipelined,
            next: AtomicUsize::new(0),
        })
    }

    /// A connection of the pool.
    ///
    /// # Errors
    ///
    /// When none is free within 10 s, or the database cannot be reached.
    pub async fn client(&self) -> Result<Object> {
        let client = self.pool.get().await.map_err(failure::from_pool)?;
        if client.statement_cache.size() > STATEMENTS_MAX {
            client.statement_cache.clear();
        }
        Ok(client)
    }

    /// A connection of the pool for a request that may be given up while its statement runs.
    ///
    /// # Errors
    ///
    /// As [`client`](Self::client).
    pub async fn read_client(&self) -> Result<ReadConnection> {
        Ok(ReadConnection::new(self.client().await?, self.connector.clone()))
    }

    /// A shared connection, connected anew when it was lost.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn pipelined(&self) -> Result<Arc<PipelinedConnection>> {
        self.pipelined_at(self.next.fetch_add(1, Ordering::Relaxed) % PIPELINED_CONNECTIONS).await
    }

    /// A shared connection for statements that only the coordinator answers: on a distributed database it is none that a read waits
    /// on for a node that hangs.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn coordinator(&self) -> Result<Arc<PipelinedConnection>> {
        match self.pipelined.len() > PIPELINED_CONNECTIONS {
            true => self.pipelined_at(PIPELINED_CONNECTIONS).await,
            false => self.pipelined().await,
        }
    }

    async fn pipelined_at(&self, at: usize) -> Result<Arc<PipelinedConnection>> {
        let Some(slot) = self.pipelined.get(at) else {
            return Err(Error::internal("no such pipelined connection"));
        };
        let open = slot.lock().map(|l| l.clone()).unwrap_or_else(|e| e.into_inner().clone());
        if let Some(connection) = open.filter(|c| !c.client.is_closed()) {
            return Ok(connection);
        }
        let client = connect(&self.pipelined_config, &self.connector).await?;
        let mut statements = Vec::with_capacity(self.statements.len());
        for sql in self.statements {
            statements.push(client.prepare(sql).await.map_err(failure::classify)?);
        }
        let connection = Arc::new(PipelinedConnection { client, statements });
        if let Ok(mut slot) = slot.lock() {
            *slot = Some(connection.clone());
        }
        Ok(connection)
    }

    /// A connection that ends when it is done with.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn dedicated(&self) -> Result<Client> {
        connect(&self.config, &self.connector).await
    }

    /// Asks the database to stop what a connection of ours does, as well protected as that connection is.
    ///
    /// # Errors
    ///
    /// When the database cannot be asked.
    pub async fn cancel(&self, token: &CancelToken) -> Result<()> {
        token.cancel_query(self.connector.clone()).await.map_err(failure::classify)
    }

    /// What the database's own views show of the connections.
    pub fn application_name(&self) -> &str {
        self.config.get_application_name().unwrap_or_default()
    }

    /// (connections in use, connections there may be): for metrics.
    pub fn usage(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.max_size)
    }
}

/// Refuses a connection to a server of another cluster.
///
/// # Errors
///
/// When it is one, or does not say.
pub(crate) async fn ensure_system(client: &Client, system: i64) -> Result<()> {
    let row = client.query_one(SYSTEM, &[]).await.map_err(failure::classify)?;
    match row.try_get::<_, i64>(0).map_err(failure::classify)? == system {
        true => Ok(()),
        false => Err(Error::new(fhir_model::Kind::Unavailable, "it is the database of another cluster")),
    }
}

/// Connects, and drives the connection until the client is dropped.
async fn connect(config: &Config, connector: &MakeRustlsConnect) -> Result<Client> {
    let (client, connection) = config.connect(connector.clone()).await.map_err(|e| {
        Error::new(fhir_model::Kind::Unavailable, "the database is not available at the moment; try again")
            .because(e)
    })?;
    // The task ends with the connection; what waits on it then gets an error.
    tokio::spawn(async move {
        if let Err(e) = connection.await {
            tracing::warn!("a database connection was lost: {e}");
        }
    });
    Ok(client)
}
