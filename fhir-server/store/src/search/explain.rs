//! `_explain`: what a search does. The search is answered as ever, and its statements are noted; then each is run once
//! more under PostgreSQL's `explain`, with the plan and the values it had.

use fhir_database::failure;
use fhir_model::{Error, Result};
use fhir_search::query::Query;
use fhir_search::sql::{Bind, Sql};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::page::Page;
use super::statement_log::{self, STATEMENTS_MAX};
use crate::scope::ScopedStore;

/// A statement of a search.
#[derive(Debug, Clone)]
pub struct Explained {
    /// Which way of answering it belongs to.
    pub shape: &'static str,
    /// The statement, with placeholders where values are.
    pub statement: String,
    /// Rows it gave.
    pub rows: u64,
    /// Pages of tables and indexes it touched.
    pub buffers: u64,
    /// How long it took, planning left out.
    pub milliseconds: f64,
    /// PostgreSQL's plan.
    pub plan: Value,
}

impl ScopedStore<'_> {
    /// A page of a search, and how it came about.
    pub(crate) async fn explain(&self, queries: &[Query]) -> Result<(Page, Vec<Explained>)> {
        // Its statements are run on the primary.
        self.only_on_primary()?;
        let (page, mut statements) = Box::pin(statement_log::recorded(self.search_types(queries))).await;
        let mut page = page?;
        if statements.len() > STATEMENTS_MAX {
            statements.truncate(STATEMENTS_MAX);
            page.warnings
                .push(format!("more than {STATEMENTS_MAX} statements were run: the first ones are told"));
        }
        let client = self.connections.dedicated().await?;
        let mut explained = Vec::with_capacity(statements.len());
        for sql in &statements {
            explained.push(explain(&client, sql).await?);
        }
        Ok((page, explained))
    }
}

/// Only `execute` shows the plan that is used, and it takes no parameters: values go by settings of the session.
async fn explain(client: &Client, sql: &Sql) -> Result<Explained> {
    let mut values = Vec::with_capacity(sql.binds().len());
    for (i, bind) in sql.binds().iter().enumerate() {
        let name = format!("cari.p{}", i + 1);
        let kind = match bind {
            Bind::Long(n) => set(client, &name, "int8", n).await,
            Bind::Longs(n) => set(client, &name, "int8[]", n).await,
            Bind::Int(n) => set(client, &name, "int4", n).await,
            Bind::Ints(n) => set(client, &name, "int4[]", n).await,
            Bind::Text(t) => set(client, &name, "text", t).await,
            Bind::Texts(t) => set(client, &name, "text[]", t).await,
        }?;
        values.push(format!("current_setting('{name}')::{kind}"));
    }
    let run = async |text: &str| client.batch_execute(text).await.map_err(failure::classify);
    run(&format!("prepare explained as {}", sql.text())).await?;
    let arguments = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let text = format!("explain (analyze, buffers, format json) execute explained{arguments}");
    let rows = client.simple_query(&text).await.map_err(failure::classify)?;
    run("deallocate explained").await?;
    let plan = rows.iter().find_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan = plan.ok_or_else(|| Error::internal("a plan without a row"))?;
    // A distributed database puts lines of its own among the JSON.
    let plan: Value = serde_json::from_str(plan).unwrap_or_else(|_| Value::String(plan.to_owned()));
    let number = |path: &str| plan.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
    Ok(Explained {
        shape: sql.shape(),
        statement: sql.text().to_owned(),
        rows: number("/0/Plan/Actual Rows") as u64,
        buffers: (number("/0/Plan/Shared Hit Blocks") + number("/0/Plan/Shared Read Blocks")) as u64,
        milliseconds: number("/0/Execution Time"),
        plan,
    })
}

async fn set(
    client: &Client,
    name: &str,
    kind: &'static str,
    value: &(dyn tokio_postgres::types::ToSql + Sync),
) -> Result<&'static str> {
    let text = format!("select set_config($1::text, ($2::{kind})::text, false)");
    client.query_one(&text, &[&name, value]).await.map_err(failure::classify)?;
    Ok(kind)
}
