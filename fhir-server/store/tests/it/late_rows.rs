//! A database whose commits become visible one row after the other, as one of several machines does.

use std::time::Duration;

use fhir_store::testing::{LateRows, late_rows, late_rows_database};
use fhir_store::{Commit, FeedPosition, Options, Precondition, testing};

use super::*;

/// So late that whoever does not wait is there before.
const LATE: LateRows = LateRows {
    delay_min: Duration::from_millis(400),
    delay_max: Duration::from_millis(400),
    answered_before: 100,
};

const CRITERIA: &str = "Patient?identifier=s|1";

async fn commit(store: &Store, writes: &[Write]) -> Commit {
    store.commit(&all(), &store.commit_timestamp().unwrap(), writes).await.unwrap()
}

/// What is claimed, and a new patient that the criteria find.
async fn claimed(store: &Store, id: &str) -> Write {
    let claim = store.claim(&all(), CRITERIA).await.unwrap();
    let body = r#"{"identifier":[{"system":"s","value":"1"}]}"#;
    next(store, &Key::new("Patient", id), Some(body), Some(claim)).await
}

async fn found(store: &Arc<Store>) -> usize {
    store.matches(&all(), &query(store, CRITERIA), 9).await.unwrap().len()
}

async fn execute(url: &str, sql: &str) -> u64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.execute(sql, &[]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_relies_on_what_was_committed_waits_for_it() {
    let (_cluster, url) = late_rows_database().await.unwrap();
    let (slow, quick) = (late_rows(&url, LATE).await.unwrap(), late_rows(&url, LATE).await.unwrap());

    // The claim names the row.
    assert_eq!(commit(&slow, &[claimed(&slow, &slow.new_id()).await]).await, Commit::Done);
    assert_eq!(found(&quick).await, 0, "it is not visible yet");
    let claim = quick.claim(&all(), CRITERIA).await.unwrap();
    assert_eq!(found(&quick).await, 1);
    // It is the claim of who committed: with it another writes, without it nobody.
    let key = Key::new("Patient", quick.new_id());
    let write = next(&quick, &key, Some("{}"), Some(claim.clone())).await;
    assert_eq!(commit(&quick, &[write]).await, Commit::Done);
    let key = Key::new("Patient", quick.new_id());
    let write = next(&quick, &key, Some("{}"), Some(claim)).await;
    assert_eq!(commit(&quick, &[write]).await, Commit::Stale);

    // A version that was superseded or deleted since is visible in history.
    let key = quick.matches(&all(), &query(&quick, CRITERIA), 1).await.unwrap().remove(0).key;
    execute(&url, "delete from claim").await;
    let update = claimed(&slow, &key.id).await;
    assert_eq!((commit(&slow, &[update]).await, found(&quick).await), (Commit::Done, 1));
    quick.claim(&all(), CRITERIA).await.unwrap();
    assert_eq!(quick.read(&all(), &key).await.unwrap().last_version(), 2);
    let claim = quick.claim(&all(), CRITERIA).await.unwrap();
    let delete = next(&slow, &key, None, Some(claim)).await;
    assert_eq!((commit(&slow, &[delete]).await, found(&quick).await), (Commit::Done, 1));
    quick.claim(&all(), CRITERIA).await.unwrap();
    assert_eq!(found(&quick).await, 0);

    // A claim of several rows, and one of the release before, name none.
    let shared = slow.claim(&all(), CRITERIA).await.unwrap();
    let mut writes = Vec::new();
    for _ in 0..2 {
        writes.push(claimed(&slow, &slow.new_id()).await);
        assert_eq!(writes.last().unwrap().preconditions, [Precondition::Claim(shared.clone())]);
    }
    assert_eq!((commit(&slow, &writes).await, found(&quick).await), (Commit::Done, 0));
    quick.claim(&all(), CRITERIA).await.unwrap();
    assert_eq!(found(&quick).await, 2);

    // What must not be there comes late.
    let chosen = Key::new("Patient", "chosen");
    let write = next(&slow, &chosen, Some("{}"), None).await;
    assert_eq!(commit(&slow, &[write]).await, Commit::Done);
    let mut write = next(&quick, &Key::new("Patient", quick.new_id()), Some("{}"), None).await;
    write.preconditions = vec![Precondition::Absent(chosen.clone())];
    assert_eq!(commit(&quick, &[write]).await, Commit::Stale);

    // A resource is created over a deletion of which a later one was read by nobody.
    let outdated = next(&quick, &Key::new("Patient", "again"), Some("{}"), None).await;
    put(&quick, "Patient", "again", "{}").await;
    parameters::until("it is visible", async || {
        quick.read(&all(), &outdated.key).await.unwrap().last_version() == 1
    })
    .await;
    let delete = next(&slow, &outdated.key, None, None).await;
    assert_eq!(commit(&slow, &[delete]).await, Commit::Done);
    assert_eq!(commit(&quick, &[outdated]).await, Commit::Stale, "version 1 there was");
    for store in [slow, quick] {
        store.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_become_visible_is_not_waited_for_forever() {
    let options = Options {
        placement: Some(fhir_search::sql::Placement::Distributed),
        late_rows: Some(LateRows::RANDOM),
        visible_within: Duration::from_millis(60),
        ..Options::default()
    };
    let (_cluster, url) = late_rows_database().await.unwrap();
    let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
    let criteria = async || store.claim(&all(), CRITERIA).await;
    criteria().await.unwrap();
    // A claim of a row that never comes.
    commit(&store, &[claimed(&store, &store.new_id()).await]).await;
    assert_eq!(execute(&url, "update claim set version = 7").await, 1);
    let refused = criteria().await.unwrap_err();
    assert_eq!(refused.kind.status(), 503, "{refused}");
    assert!(refused.text.contains("nothing was written; try again"), "{refused}");
    store.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_and_creations_take_turns() {
    let (_cluster, url) = late_rows_database().await.unwrap();
    let open = async || late_rows(&url, LateRows::RANDOM).await.unwrap();
    super::write::take_turns(&[open().await, open().await]).await;
}

/// All that holds the feed back beside what is late is taken away: no write stays open after its commit, and how far each process
/// is the others know at once. `CARI_LATE_COMMITS` says how many changes there are.
#[tokio::test(flavor = "multi_thread")]
async fn the_feed_misses_nothing_that_becomes_visible_late() {
    let (_cluster, url) = late_rows_database().await.unwrap();
    let answered = LateRows { answered_before: 100, ..LateRows::RANDOM };
    let open = async || late_rows(&url, answered).await.unwrap();
    let stores = [open().await, open().await, open().await];
    let told = stores.clone();
    let telling = tokio::spawn(async move {
        loop {
            for store in &told {
                store.changes(FeedPosition::default(), 0).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    super::feed::none_is_missed(super::feed::commits("CARI_LATE_COMMITS"), 8, None, stores).await;
    telling.abort();
}

/// What the one statement of a single write keeps in the claim, and what a transaction does.
#[tokio::test]
async fn a_claim_keeps_the_row_it_was_spent_on() {
    let store = testing::fresh().await.unwrap();
    let claims = async || {
        let client = store.connections().client().await.unwrap();
        let rows = client.query("select handle, version from claim order by turn desc limit 1", &[]).await;
        let row = rows.unwrap().remove(0);
        (row.get::<_, Option<i64>>(0), row.get::<_, Option<i32>>(1))
    };
    let (first, second) = (store.new_id(), store.new_id());
    let handle = |id: &str| Some(i64::from_str_radix(id, 16).unwrap());
    commit(&store, &[claimed(&store, &first).await]).await;
    assert_eq!(claims().await, (handle(&first), Some(1)));
    commit(&store, &[claimed(&store, &first).await]).await;
    assert_eq!(claims().await, (handle(&first), Some(2)), "of the update");
    let other = next(&store, &Key::new("Patient", store.new_id()), Some("{}"), None).await;
    commit(&store, &[other, claimed(&store, &second).await]).await;
    assert_eq!(claims().await, (handle(&second), Some(1)), "in a transaction");
    let shared = [claimed(&store, &first).await, claimed(&store, &second).await];
    commit(&store, &shared).await;
    assert_eq!(claims().await, (None, None), "of several rows");
    let claim = store.claim(&all(), CRITERIA).await.unwrap();
    let delete = next(&store, &Key::new("Patient", &*first), None, Some(claim)).await;
    commit(&store, &[delete]).await;
    assert_eq!(claims().await, (handle(&first), Some(4)), "the tombstone");
}
