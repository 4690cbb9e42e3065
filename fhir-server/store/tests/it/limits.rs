//! Bounds of the store, at the limit and past it.

use std::time::Duration;

use fhir_model::Kind;
use fhir_store::{Options, testing};

use super::*;

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped_and_said_so() {
    let options =
        Options { connections_max: 4, statement_timeout: Duration::from_millis(100), ..Options::default() };
    let url = testing::database().await.unwrap();
    let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
    put(&store, "Patient", "a", "{}").await;
    let (mut other, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let lock = other.transaction().await.unwrap();
    lock.execute("lock table resource in access exclusive mode", &[]).await.unwrap();
    for text in ["Patient", "Patient?gender=male"] {
        let refused = store.search(&all(), &query(&store, text)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Timeout, "{text}");
    }
    let key = Key::new("Patient", "a");
    assert_eq!(store.read(&all(), &key).await.unwrap_err().kind, Kind::Timeout);
    let write = Write {
        before: Found::Never,
        version: 1,
        method: Method::Put,
        doc: Some(doc("{}", &key, 1)),
        claim: None,
        key: key.clone(),
    };
    let stamp = store.stamp().unwrap();
    assert_eq!(store.commit(&all(), &stamp, &[write]).await.unwrap_err().kind, Kind::Timeout);
    lock.rollback().await.unwrap();
    assert_eq!(search(&store, "Patient").await, "a", "and then it goes on");
}

#[tokio::test]
async fn includes_stop_at_the_limit_and_say_so() {
    let options = Options { connections_max: 4, include_max: 3, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    put(&store, "Patient", "p", "{}").await;
    for (i, cut) in [(0, false), (1, false), (2, false), (3, true)] {
        let id = format!("o{i}");
        put(&store, "Observation", &id, r#"{"subject":{"reference":"Patient/p"}}"#).await;
        let asked = query(&store, "Patient?_revinclude=Observation:subject");
        let page = store.search(&all(), &asked).await.unwrap();
        assert_eq!(page.included.len(), (i + 1).min(3));
        assert_eq!(!page.warnings.is_empty(), cut, "{i}");
    }
}

#[tokio::test]
async fn a_store_whose_database_is_gone_says_unavailable() {
    let url = testing::database().await.unwrap();
    let store = Store::open(&url, Options::default(), testing::registry().await.unwrap()).await.unwrap();
    put(&store, "Patient", "a", "{}").await;
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let (admin, connection) =
        tokio_postgres::connect(fhir_postgres::testing::server().await, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.execute(&format!("drop database {name} with (force)"), &[]).await.unwrap();
    for _ in 0..3 {
        let key = Key::new("Patient", "a");
        assert_eq!(store.read(&all(), &key).await.unwrap_err().kind, Kind::Unavailable);
        assert_eq!(
            store.search(&all(), &query(&store, "Patient")).await.unwrap_err().kind,
            Kind::Unavailable
        );
    }
}
