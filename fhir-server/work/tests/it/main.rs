//! Work against a real PostgreSQL, one fresh database per test.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod child;
mod consumers;
mod delay;
mod jobs;
mod kill;
mod schedules;

use std::sync::Arc;
use std::time::Duration;

use fhir_model::Key;
use fhir_model::json::{Doc, JsonLimits};
use fhir_store::{Commit, Method, Scope, Store, Write, testing};
use fhir_work::{Options, Work};

/// Long enough for a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// Short leases, so that what a killed process held is soon free.
fn options() -> Options {
    Options {
        lease: Duration::from_secs(1),
        consumer_lease: Duration::from_secs(1),
        poll: Duration::from_millis(50),
        stop_grace: Duration::from_secs(60),
        ..Options::default()
    }
}

/// Work on a store of a database.
async fn work(url: &str) -> (Arc<Store>, Work) {
    let store_options = fhir_store::Options { connections_max: 8, ..fhir_store::Options::default() };
    let store = Store::open(url, store_options, testing::registry().await.unwrap()).await.unwrap();
    (store.clone(), Work::new(store).options(options()))
}

/// A connection of the test's own.
async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A fresh database with a table in which effects leave a row each.
async fn database() -> (String, tokio_postgres::Client) {
    let url = testing::database().await.unwrap();
    let client = connect(&url).await;
    client.batch_execute("create table effect (key text not null, process int not null)").await.unwrap();
    (url, client)
}

/// The keys of all effects in the database, in order.
async fn effects(client: &tokio_postgres::Client) -> Vec<String> {
    let rows = client.query("select key from effect order by key", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn count(client: &tokio_postgres::Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Waits until something is as it should be.
async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes a Basic with a text; without one it is deleted.
async fn put(store: &Store, id: &str, text: Option<&str>) {
    let key = Key::new("Basic", id);
    let before = store.read(&Scope::everything(), &key).await.unwrap();
    let version = before.last_version() + 1;
    let body = text.map(|t| {
        format!(r#"{{"resourceType":"Basic","id":"{id}","meta":{{"versionId":"{version}"}},"code":{{"text":"{t}"}}}}"#)
    });
    let write = Write {
        key,
        version,
        before,
        method: if text.is_some() { Method::Put } else { Method::Delete },
        doc: body.map(|t| Doc::parse(t, JsonLimits::default()).unwrap()),
        preconditions: Vec::new(),
    };
    let stamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&Scope::everything(), &stamp, &[write]).await.unwrap(), Commit::Done);
}
