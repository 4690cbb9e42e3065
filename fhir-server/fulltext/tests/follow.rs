//! The index follows a real database.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use fhir_fulltext::{Index, consumer};
use fhir_model::Key;
use fhir_model::json::{Doc, JsonLimits};
use fhir_search::TenantId;
use fhir_search::query::{TextQuery, TextSource};
use fhir_store::{Commit, FullText, Method, Scope, Store, Write, testing};
use fhir_work::{CancellationToken, Work, Working};

/// Long enough for a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(60);

async fn put(store: &Store, id: &str, words: Option<&str>) {
    let key = Key::new("Basic", id);
    let before = store.read(&Scope::everything(), &key).await.unwrap();
    let text = words.map(|w| format!(r#"{{"resourceType":"Basic","id":"{id}","code":{{"text":"{w}"}}}}"#));
    let write = Write {
        key,
        version: before.last_version() + 1,
        before,
        method: if words.is_some() { Method::Put } else { Method::Delete },
        doc: text.map(|t| Doc::parse(t, JsonLimits::default()).unwrap()),
        preconditions: Vec::new(),
    };
    let stamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&Scope::everything(), &stamp, &[write]).await.unwrap(), Commit::Done);
}

fn found(index: &Index, words: &str) -> usize {
    index
        .find(TenantId::DEFAULT, "Basic", &TextQuery { source: TextSource::Content, text: words.into() })
        .unwrap()
        .hits
        .len()
}

async fn until(index: &Index, words: &str, wanted: usize) {
    let end = std::time::Instant::now() + PATIENCE;
    while found(index, words) != wanted {
        assert!(std::time::Instant::now() < end, "{words}: {} found, {wanted} wanted", found(index, words));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn follow(store: &Arc<Store>, index: &Arc<Index>) -> Working {
    Work::new(store.clone()).consumer(consumer(index.clone())).start(CancellationToken::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_indexed_and_an_index_goes_on_or_is_made_anew() {
    let store = testing::fresh().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(Index::open(folder.path(), store.database_number()).unwrap());
    let index = open();
    assert_eq!(index.lag(), None);
    let following = follow(&store, &index);
    put(&store, "a", Some("fever")).await;
    put(&store, "b", Some("fever")).await;
    until(&index, "fever", 2).await;
    put(&store, "a", Some("cough")).await;
    put(&store, "b", None).await;
    until(&index, "fever", 0).await;
    until(&index, "cough", 1).await;
    assert!(index.lag().is_some());

    // It goes on where it was.
    following.stop().await;
    assert_eq!(Arc::strong_count(&index), 1, "nobody holds it any more");
    let place = index.position();
    drop(index);
    put(&store, "c", Some("cough")).await;
    let index = open();
    assert_eq!((index.position(), found(&index, "cough")), (place, 1));
    let following = follow(&store, &index);
    until(&index, "cough", 2).await;

    // A second process has an index of its own.
    let second = open();
    assert_eq!(found(&second, "cough"), 0);
    drop(second);

    // Lost, it is made anew.
    following.stop().await;
    assert_eq!(Arc::strong_count(&index), 1, "nobody holds it any more");
    drop(index);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::write(entry.unwrap().path().join("meta.json"), "nonsense").unwrap();
    }
    let index = open();
    assert_eq!(found(&index, "cough"), 0);
    let following = follow(&store, &index);
    until(&index, "cough", 2).await;
    following.stop().await;
}
