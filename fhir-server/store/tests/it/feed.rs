use super::*;
use fhir_store::FeedPosition;

#[tokio::test]
async fn changes_come_in_order_without_holes() {
    let store = fhir_store::testing::fresh().await.unwrap();
    let key = put(&store, "Patient", "a", r#"{"gender":"male"}"#).await;
    put(&store, "Patient", "a", r#"{"gender":"female"}"#).await;
    // An open write holds back what is younger than it.
    let open = store.commit_timestamp().unwrap();
    put(&store, "Patient", "b", "{}").await;
    let seen = |after: FeedPosition| {
        let store = store.clone();
        async move { store.changes(&all(), after, 100).await.unwrap() }
    };
    let first = seen(FeedPosition::default()).await;
    let names = |changes: &[fhir_store::Change]| {
        changes
            .iter()
            .map(|c| format!("{}/{}", c.version.key.id, c.version.version))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(&first), "a/1 a/2");
    let write = next(&store, &key, None, None).await;
    assert_eq!(store.commit(&all(), &open, &[write]).await.unwrap(), Commit::Done);
    drop(open);
    let rest = seen(first.last().unwrap().position).await;
    assert_eq!(names(&rest), "a/3 b/1");
    assert!(rest[0].version.body.is_none());
    assert_eq!(names(&seen(rest.last().unwrap().position).await), "");
    let mut walked = Vec::new();
    let mut place = FeedPosition::default();
    while let Some(change) = store.changes(&all(), place, 1).await.unwrap().pop() {
        place = change.position;
        walked.push(change);
    }
    assert_eq!(names(&walked), "a/1 a/2 a/3 b/1");
}

/// What another process sees of this one at once, and of one that has a write under way when its lease is over.
#[tokio::test]
async fn a_process_that_leaves_holds_nothing_back_and_writes_no_more() {
    let url = fhir_store::testing::database().await.unwrap();
    let registry = fhir_store::testing::registry().await.unwrap();
    let open = async || {
        let options = fhir_store::Options { connections_max: 4, ..Default::default() };
        Store::open(&url, options, registry.clone()).await.unwrap()
    };
    let (here, there, busy) = (open().await, open().await, open().await);
    let writers = async || {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        let task = tokio::spawn(connection);
        let count: i64 = client.query_one("select count(*) from writer", &[]).await.unwrap().get(0);
        drop(client);
        task.abort();
        count
    };
    put(&there, "Patient", "a", "{}").await;
    there.leave().await;
    assert!(there.commit_timestamp().is_err(), "what leaves gives no stamps");
    // It may be asked for its changes still, and does not come back by that.
    there.changes(&all(), FeedPosition::default(), 10).await.unwrap();
    assert_eq!(writers().await, 2);
    put(&here, "Patient", "b", "{}").await;
    // It tells how far it is.
    busy.changes(&all(), FeedPosition::default(), 10).await.unwrap();
    let under_way = busy.commit_timestamp().unwrap();
    busy.leave().await;
    assert_eq!(writers().await, 2, "its write may still come");
    put(&here, "Patient", "c", "{}").await;
    let seen = here.changes(&all(), FeedPosition::default(), 10).await.unwrap();
    let ids: Vec<_> = seen.iter().map(|change| &*change.version.key.id).collect();
    assert_eq!(ids, ["a", "b"]);
    drop(under_way);
}
