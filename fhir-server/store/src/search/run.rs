//! Running the statements of `fhir-search`.

use std::time::Duration;

use deadpool_postgres::Client;
use fhir_model::{Kind, Result};
use fhir_search::sql::{Bind, Plan, Sql};
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};

use crate::{Store, failure};

/// How long the database has to take note that a statement is to be stopped.
const STOPPING: Duration = Duration::from_secs(5);

impl Store {
    /// Runs the statements of a plan until one answers.
    pub(crate) async fn run_plan(&self, plan: &Plan, limit: usize) -> Result<Vec<Row>> {
        let mut found = Vec::new();
        for step in &plan.steps {
            found = self.run(&step.sql).await?;
            if step.complete || found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn run(&self, sql: &Sql) -> Result<Vec<Row>> {
        self.run_text(sql.text(), sql.binds()).await
    }

    pub(super) async fn run_text(&self, text: &str, binds: &[Bind]) -> Result<Vec<Row>> {
        let client = self.connections.client().await?;
        run_on(&client, text, binds).await
    }

    /// The rows of a statement; none when they are not there in time. It is stopped then.
    pub(super) async fn run_until(&self, sql: &Sql, until: Instant) -> Result<Option<Vec<Row>>> {
        let client = self.connections.client().await?;
        let cancel = client.cancel_token();
        let mut running = std::pin::pin!(run_on(&client, sql.text(), sql.binds()));
        if let Ok(rows) = tokio::time::timeout_at(until, &mut running).await {
            return rows.map(Some);
        }
        let stopped = tokio::time::timeout(STOPPING, cancel.cancel_query(NoTls)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("a statement could not be stopped: it goes on until its own time is over");
        }
        // The connection goes back to the pool, so that what runs on it is waited for. It may be done by now.
        match running.await {
            Ok(rows) => Ok(Some(rows)),
            Err(e) if e.kind == Kind::Timeout => Ok(None),
            Err(e) => Err(e),
        }
    }
}

async fn run_on(client: &Client, text: &str, binds: &[Bind]) -> Result<Vec<Row>> {
    let statement = client.prepare_cached(text).await.map_err(failure::classify)?;
    let parameters: Vec<&(dyn ToSql + Sync)> = binds
        .iter()
        .map(|bind| match bind {
            Bind::Long(n) => n as &(dyn ToSql + Sync),
            Bind::Longs(n) => n,
            Bind::Int(n) => n,
            Bind::Ints(n) => n,
            Bind::Text(t) => t,
            Bind::Texts(t) => t,
        })
        .collect();
    client.query(&statement, &parameters).await.map_err(failure::classify)
}
