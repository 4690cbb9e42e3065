//! Connections: a pool for searches and writes, a few shared ones for reads by key.
//!
//! Reads by primary key take microseconds, so they are pipelined on shared connections; whatever can take longer
//! or waits for the disk has a connection of its own, so that nothing short queues behind it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use fhir_model::{Error, Result};
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::{Options, failure, read};

/// Shared connections.
const PIPELINED_CONNECTIONS: usize = 2;

/// Prepared statements a connection keeps. Every shape of search is one, and clients think of shapes without end.
const STATEMENTS_MAX: usize = 300;

pub(crate) struct Connections {
    pool: Pool,
    config: Config,
    pipelined: Vec<Mutex<Option<Arc<PipelinedConnection>>>>,
    next: AtomicUsize,
}

/// A shared connection with its prepared statements.
pub(crate) struct PipelinedConnection {
    pub(crate) client: Client,
    pub(crate) read: Statement,
    pub(crate) claim: Statement,
}

const CLAIM: &str = "select c.turn from claim c where c.key = $1::int8";

impl Connections {
    pub(crate) async fn open(url: &str, options: &Options) -> Result<Connections> {
        let mut config: Config =
            url.parse().map_err(|e| Error::invalid("the database url is not one").because(e))?;
        config.application_name("cari");
        config.connect_timeout(std::time::Duration::from_secs(5));
        let timeout = options.statement_timeout.as_millis();
        // One plan for a statement, whatever its values: planned anew for each array parameter, as PostgreSQL would by
        // itself, most searches and reads by key cost more to plan than to run, and the plans hang on estimates that
        // are off by orders of magnitude. The statements are written so that the one plan is right, and a table is
        // only read from end to end when no index could serve. Nor does a search start workers: that alone takes longer
        // than most run, and the other cores have searches of their own.
        let settings = format!(
            "-c statement_timeout={timeout} -c jit=off -c default_transaction_isolation=read\\ committed \
             -c plan_cache_mode=force_generic_plan -c enable_seqscan=off \
             -c max_parallel_workers_per_gather=0"
        );
        config.options(&settings);
        let manager = Manager::from_config(
            config.clone(),
            NoTls,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(options.connections_max.max(1))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(std::time::Duration::from_secs(10)))
            .build()
            .map_err(Error::internal)?;
        let lanes = (0..PIPELINED_CONNECTIONS).map(|_| Mutex::new(None)).collect();
        Ok(Connections { pool, config, pipelined: lanes, next: AtomicUsize::new(0) })
    }

    /// A connection of the pool.
    pub(crate) async fn client(&self) -> Result<Object> {
        let client = self.pool.get().await.map_err(failure::from_pool)?;
        if client.statement_cache.size() > STATEMENTS_MAX {
            client.statement_cache.clear();
        }
        Ok(client)
    }

    /// A shared connection, connected anew when it was lost.
    pub(crate) async fn pipelined(&self) -> Result<Arc<PipelinedConnection>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % PIPELINED_CONNECTIONS;
        let Some(slot) = self.pipelined.get(turn) else { return Err(Error::internal("no such lane")) };
        let open = slot.lock().map(|l| l.clone()).unwrap_or_else(|e| e.into_inner().clone());
        if let Some(connection) = open.filter(|l| !l.client.is_closed()) {
            return Ok(connection);
        }
        let client = self.dedicated().await?;
        let read = client.prepare(read::SQL).await.map_err(failure::classify)?;
        let claim = client.prepare(CLAIM).await.map_err(failure::classify)?;
        let connection = Arc::new(PipelinedConnection { client, read, claim });
        if let Ok(mut slot) = slot.lock() {
            *slot = Some(connection.clone());
        }
        Ok(connection)
    }

    /// A connection that ends when it is done with.
    pub(crate) async fn dedicated(&self) -> Result<Client> {
        let (client, connection) = self.config.connect(NoTls).await.map_err(|e| {
            Error::new(
                fhir_model::Kind::Unavailable,
                "the database is not available at the moment; try again",
            )
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

    pub(crate) fn usage(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.max_size)
    }
}
