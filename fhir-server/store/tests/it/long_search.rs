//! What is kept of long searches, for how long, and how much of it.

use std::time::Duration;

use fhir_search::long_search::LongSearch;
use fhir_store::{LongSearches, Options, Store, testing};
use tokio_postgres::NoTls;

fn search(criteria: &str, store: &Store) -> LongSearch {
    LongSearch::new(criteria, store.secret(), "Patient")
}

async fn keep(store: &Store, criteria: &str) {
    store.keep_search(&search(criteria, store), criteria).await.unwrap();
}

async fn kept(store: &Store, all: &[&str]) -> String {
    let mut found = Vec::new();
    for criteria in all {
        found.extend(store.kept_search(&search(criteria, store)).await.unwrap());
    }
    found.join(" ")
}

#[tokio::test]
async fn one_row_for_one_search_and_only_so_many() {
    let url = testing::database().await.unwrap();
    let long_searches = LongSearches { rows_max: 3, bytes_max: 160, ..LongSearches::default() };
    let options = Options { connections_max: 4, long_searches, ..Options::default() };
    let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let rows = async || {
        let row =
            client.query_one("select count(*), coalesce(sum(bytes), 0) from long_search", &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    assert_eq!(rows().await, (0, 0));
    for _ in 0..3 {
        keep(&store, "a").await;
    }
    assert_eq!(rows().await, (1, 1));
    // The last of them stay, however many came at the same time.
    for criteria in ["b", "c", "d"] {
        tokio::time::sleep(Duration::from_millis(2)).await;
        keep(&store, criteria).await;
    }
    assert_eq!(kept(&store, &["a", "b", "c", "d"]).await, "b c d");
    let many: Vec<String> = (0..40).map(|n| format!("many{n}")).collect();
    let all = many.iter().map(|criteria| keep(&store, criteria));
    futures_util::future::join_all(all).await;
    assert!(rows().await.0 <= 3 + 4, "{:?}", rows().await);
    keep(&store, "last").await;
    assert_eq!(rows().await.0, 3);
    assert_eq!(kept(&store, &["last"]).await, "last");
    // No more bytes than that in all.
    let wide = LongSearches { rows_max: 1000, bytes_max: 160, ..LongSearches::default() };
    let options = Options { connections_max: 4, long_searches: wide, ..Options::default() };
    let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
    for n in 10..60 {
        keep(&store, &format!("{n}-bytes10")).await;
    }
    let (n, bytes) = rows().await;
    assert!(bytes <= 160 && n >= 10, "{n} rows, {bytes} bytes");
    let refused = store.keep_search(&search("12345678901", &store), "12345678901").await.unwrap_err();
    assert_eq!(refused.kind.status(), 413);
}

#[tokio::test]
async fn what_has_expired_is_not_found_and_goes() {
    let url = testing::database().await.unwrap();
    let open = async |lifetime: Duration| {
        let long_searches = LongSearches { lifetime, ..LongSearches::default() };
        let options = Options { connections_max: 4, long_searches, ..Options::default() };
        Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap()
    };
    let lifetime = Duration::from_millis(300);
    let store = open(lifetime).await;
    keep(&store, "a").await;
    keep(&store, "b").await;
    assert_eq!(kept(&store, &["a", "b"]).await, "a b");
    tokio::time::sleep(lifetime * 2 / 3).await;
    // What is asked for again lives on.
    keep(&store, "b").await;
    tokio::time::sleep(lifetime * 2 / 3).await;
    assert_eq!(kept(&store, &["a", "b"]).await, "b");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..100 {
        let row = client.query_one("select count(*) from long_search", &[]).await.unwrap();
        if row.get::<_, i64>(0) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("what has expired stays");
}
