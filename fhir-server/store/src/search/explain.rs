//! `_explain`: what a search does. The search is answered as ever, and its statements are noted; then each is run once
//! more under PostgreSQL's `explain`, with the plan and the values it had.

use std::sync::Mutex;

use fhir_model::{Error, Kind, Result};
use fhir_search::query::Query;
use fhir_search::sql::{Bind, Sql};
use serde_json::Value;
use tokio_postgres::Client;

use super::Page;
use crate::failure;
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

tokio::task_local! {
    static NOTED: Mutex<Vec<Sql>>;
}

/// At most so many statements are recorded and explained: a search of many types has very many.
const STATEMENTS_MAX: usize = 100;

/// Notes a statement that is run, when the search is to be explained.
pub(super) fn record(sql: &Sql) {
    let _ = NOTED.try_with(|noted| {
        if let Ok(mut noted) = noted.lock()
            && noted.len() <= STATEMENTS_MAX
        {
            noted.push(sql.clone());
        }
    });
}

impl ScopedStore<'_> {
    /// A page of a search, and how it came about.
    pub(crate) async fn explain(&self, queries: &[Query]) -> Result<(Page, Vec<Explained>)> {
        let answer = async {
            let page = self.search_types(queries).await?;
            let taken = |noted: &Mutex<Vec<Sql>>| match noted.lock() {
                Ok(mut noted) => std::mem::take(&mut *noted),
                Err(_) => Vec::new(),
            };
            Ok::<_, Error>((page, NOTED.with(taken)))
        };
        let (mut page, mut statements) = NOTED.scope(Mutex::default(), answer).await?;
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
    let row = client.query_one(&text, &[]).await.map_err(failure::classify)?;
    run("deallocate explained").await?;
    let plan: Value = row.try_get(0).map_err(Error::internal)?;
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

/// What took too long, in words.
pub(super) fn costly(e: Error, shape: &str) -> Error {
    if e.kind != Kind::Timeout {
        return e;
    }
    let what = match shape {
        "walk" | "budgeted walk" => "going through the resources of the type one by one, of which few match",
        "gathered" => "sorting all that match by what no index has in order",
        "entries" => "going through the values it is sorted by, of which few belong to a match",
        "values" | "few" => "looking at all resources that have such a value",
        "gin" | "handles" => "looking at all resources that have a value which many have",
        "code" | "codes" | "budgeted code" => "going through all resources of the code, of which few match",
        "dates" | "long" | "updated" => "looking at all resources of that time",
        "patient" | "patients" => "going through all resources of the patients",
        "count" => "counting all that match",
        "referring" => "looking for all that refers to the matches",
        "referred" => "reading what the matches refer to",
        "canonical" => "looking for what canonical urls name",
        "referred patients" => "gathering the patients of all resources that match",
        "held" => "looking at what refers to each match in turn",
        _ => return e,
    };
    let text = format!("the search took longer than this server allows: it was {what}; narrow it");
    Error { text, ..e }
}

/// The same of what was done for one parameter.
pub(super) fn costly_for(e: Error, name: &str) -> Error {
    match e.kind {
        Kind::Timeout => Error { text: format!("`{name}`: {}", e.text), ..e }.at(name),
        _ => e,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_too_long_is_named() {
        let told = |kind, shape| costly(Error::new(kind, "too long"), shape).text;
        assert!(told(Kind::Timeout, "count").contains("counting all that match"));
        assert!(told(Kind::Timeout, "referring").contains("refers to the matches"));
        // Another trouble is none of the search's making, and what is not known is not guessed.
        assert_eq!(told(Kind::Unavailable, "count"), "too long");
        assert_eq!(told(Kind::Timeout, "step"), "too long");
        let named = costly_for(costly(Error::new(Kind::Timeout, ""), "walk"), "subject");
        assert!(named.text.starts_with("`subject`: the search took longer"), "{named}");
        assert_eq!(named.expression, ["subject"]);
        assert!(costly_for(Error::new(Kind::Unavailable, ""), "subject").expression.is_empty());
    }
}
