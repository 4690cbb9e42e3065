//! Indexes that are made anew.

use fhir_store::{JobState, Options, Reindex, testing};

use super::parameters::{fresh, index, open, patients, until};
use super::*;

/// A build that makes other entries gives them to all that is there before it answers, and goes on where it was stopped.
#[tokio::test]
async fn an_index_of_an_earlier_build_is_made_anew_first() {
    let (store, url) = fresh().await;
    patients(&store, 7).await;
    let whole = index(&url).await;
    store.leave().await;
    drop(store);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let format = async || {
        let row = client.query_one("select format, version from search_version", &[]).await.unwrap();
        (row.get::<_, i32>(0), row.get::<_, i64>(1))
    };
    let (ours, version) = format().await;
    // A walk of old over a type that has no resources any more is none of this.
    let empty = "insert into reindex (type_id, wanted, done, until_at, position_at, position_handle, rows_done, owner, \
        leased_until) values (63, 0, 0, 0, 0, 0, 0, 0, 0)";
    client.batch_execute(empty).await.unwrap();
    let lost = "delete from string_entry; update resource set keys = '{}', beginnings = null, present = 0;";
    client
        .batch_execute(&format!("{lost} update search_version set format = 0, format_wanted = 0"))
        .await
        .unwrap();
    let store = open(&url, Reindex { batch: 3, ..Reindex::default() }).await;
    assert_eq!(search(&store, "Patient?given=given3").await, "p3");
    assert_eq!(index(&url).await, whole);
    assert_eq!(format().await, (ours, version + 1));
    store.leave().await;
    drop(store);
    // Stopped after the first three: they are not looked at again.
    let stopped = "update search_version set format = 0; \
        update reindex j set done = 0, walking = j.wanted, rows_done = 3, owner = 1, position_at = r.updated_at, \
        position_handle = r.handle from (select updated_at, handle from resource order by 1, 2 offset 2 limit 1) r";
    client.batch_execute(&format!("{lost} {stopped}")).await.unwrap();
    let store = open(&url, Reindex { batch: 3, ..Reindex::default() }).await;
    assert_eq!(search(&store, "Patient?given=given2").await, "");
    assert_eq!(search(&store, "Patient?given=given3").await, "p3");
    assert_eq!(format().await, (ours, version + 1));
    client.batch_execute("update search_version set format = format + 1").await.unwrap();
    let registry = testing::registry().await.unwrap();
    let refused = Store::open(&url, Options::default(), registry).await.unwrap_err();
    assert!(refused.text.contains("a later build"), "{refused}");
}

/// Entries that went missing come back, and resources stay as they are.
#[tokio::test]
async fn an_index_is_made_anew() {
    let (store, url) = fresh().await;
    patients(&store, 7).await;
    let whole = index(&url).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    client
        .batch_execute("delete from string_entry; update resource set keys = '{}', present = 0")
        .await
        .unwrap();
    drop(client);
    task.abort();
    assert_eq!(search(&store, "Patient?given=given3").await, "");
    store.reindex(&all(), &["Patient", "Group"]).await.unwrap();
    let jobs = async || store.jobs(&all()).await.unwrap();
    until("all is done", async || jobs().await.iter().all(|job| job.state == JobState::Done)).await;
    assert_eq!(index(&url).await, whole);
    assert_eq!(search(&store, "Patient?given=given3").await, "p3");
    let counts: Vec<_> = jobs().await.into_iter().map(|job| (job.type_name, job.done, job.total)).collect();
    assert_eq!(counts, [("Group".into(), 0, 0), ("Patient".into(), 7, 7)]);
    let Found::Current(version) = store.read(&all(), &Key::new("Patient", "p3")).await.unwrap() else {
        panic!()
    };
    assert_eq!(version.version, 1);
}
