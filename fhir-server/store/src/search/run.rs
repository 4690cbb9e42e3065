//! Running the statements of `fhir-search`.

use fhir_model::Result;
use fhir_search::sql::{Bind, Plan, Sql};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::{Store, failure};

impl Store {
    /// Runs the statements of a plan until one answers.
    pub(super) async fn run_plan(&self, plan: &Plan, limit: usize) -> Result<Vec<Row>> {
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
}
