use std::time::Duration;

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
        async move { store.changes(after, 100).await.unwrap() }
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
    while let Some(change) = store.changes(place, 1).await.unwrap().pop() {
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
    there.changes(FeedPosition::default(), 10).await.unwrap();
    assert_eq!(writers().await, 2);
    put(&here, "Patient", "b", "{}").await;
    // It tells how far it is.
    busy.changes(FeedPosition::default(), 10).await.unwrap();
    let under_way = busy.commit_timestamp().unwrap();
    busy.leave().await;
    assert_eq!(writers().await, 2, "its write may still come");
    put(&here, "Patient", "c", "{}").await;
    let seen = here.changes(FeedPosition::default(), 10).await.unwrap();
    let ids: Vec<_> = seen.iter().map(|change| &*change.version.key.id).collect();
    assert_eq!(ids, ["a", "b"]);
    drop(under_way);
}

/// Runs on a connection of its own.
async fn execute(url: &str, sql: &str) -> u64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.execute(sql, &[]).await.unwrap()
}

async fn open(url: &str) -> Arc<Store> {
    let options = fhir_store::Options { connections_max: 8, ..Default::default() };
    Store::open(url, options, fhir_store::testing::registry().await.unwrap()).await.unwrap()
}

/// Follows the feed until so many changes have come.
async fn follow(store: &Store, wanted: usize) -> Vec<fhir_store::Change> {
    let mut low_watermark = store.low_watermark();
    let (mut place, mut all) = (FeedPosition::default(), Vec::new());
    while all.len() < wanted {
        let before = *low_watermark.borrow_and_update();
        let changes = store.changes_before(place, before, &["Basic"], 500).await.unwrap();
        match changes.last() {
            Some(last) => place = last.position,
            None => {
                place = place.max(FeedPosition::before(before));
                let waited = tokio::time::timeout(Duration::from_secs(60), low_watermark.changed()).await;
                waited.unwrap_or_else(|_| panic!("{} of {wanted} came", all.len())).unwrap();
            }
        }
        all.extend(changes);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn none_is_missed_and_none_comes_twice_under_eight_writers() {
    let url = fhir_store::testing::database().await.unwrap();
    let stores = [open(&url).await, open(&url).await, open(&url).await];
    none_is_missed(commits("CARI_FEED_COMMITS"), 8, Some(1000), stores).await;
}

/// How many commits there are, where an environment variable does not say it.
pub(crate) fn commits(variable: &str) -> usize {
    std::env::var(variable).map_or(4000, |n| n.parse().unwrap())
}

/// One in `slow_every` stays open for up to five seconds.
pub(crate) async fn none_is_missed(
    commits: usize,
    writers_max: usize,
    slow_every: Option<usize>,
    [here, there, reader]: [Arc<Store>; 3],
) {
    let following = {
        let reader = reader.clone();
        tokio::spawn(async move { follow(&reader, commits).await })
    };
    let mut writers = tokio::task::JoinSet::new();
    for w in 0..writers_max {
        let store = if w % 2 == 0 { here.clone() } else { there.clone() };
        writers.spawn(async move {
            let mut slow = tokio::task::JoinSet::new();
            for n in (w..commits).step_by(writers_max) {
                let (store, stamp) = (store.clone(), store.commit_timestamp().unwrap());
                let write = async move |stays_open: Duration| {
                    tokio::time::sleep(stays_open).await;
                    let key = Key::new("Basic", store.new_id());
                    let doc = Some(doc("{}", &key, 1));
                    let write = Write {
                        key,
                        before: ResourceState::Absent,
                        version: 1,
                        method: Method::Post,
                        doc,
                        preconditions: Vec::new(),
                    };
                    while store.commit(&super::all(), &stamp, std::slice::from_ref(&write)).await.unwrap()
                        != Commit::Done
                    {}
                };
                match slow_every.is_some_and(|every| n % every == every - 1) {
                    true => drop(
                        slow.spawn(async move { write(Duration::from_millis(1000 + n as u64 % 4001)).await }),
                    ),
                    false => write(Duration::ZERO).await,
                }
            }
            while let Some(done) = slow.join_next().await {
                done.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let seen = following.await.unwrap();
    let ids: std::collections::HashSet<String> = seen.iter().map(|c| c.version.key.id.to_string()).collect();
    assert_eq!((seen.len(), ids.len()), (commits, commits), "each once");
    assert!(seen.is_sorted_by_key(|change| change.position));
    // And no more of them.
    assert!(here.changes(seen.last().unwrap().position, 1).await.unwrap().is_empty());
    for store in [here, there, reader] {
        store.leave().await;
    }
}

/// A process without connections, and one whose statement runs on though it was killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_gone_is_not_waited_for() {
    let url = fhir_store::testing::database().await.unwrap();
    let store = open(&url).await;
    put(&store, "Basic", "a", "{}").await;
    let ghost = |id: i64, name: &str, seconds: i64| {
        format!(
            "insert into writer (id, horizon, heartbeat_at, search_version, application_name) values ({id}, 0, \
             ((extract(epoch from clock_timestamp()) - {seconds}) * 1000000)::int8, 100, '{name}')"
        )
    };
    execute(&url, &ghost(1, "cari gone", 1)).await;
    assert_eq!(follow(&store, 1).await.len(), 1);
    let (client, connection) =
        tokio_postgres::connect(&format!("{url}?application_name=cari%20ghost"), tokio_postgres::NoTls)
            .await
            .unwrap();
    tokio::spawn(connection);
    let running = tokio::spawn(async move {
        let late = "insert into claim (key, turn) select 5, 5 from pg_sleep(600)";
        client.execute(late, &[]).await
    });
    execute(&url, &ghost(2, "cari ghost", 4)).await;
    put(&store, "Basic", "b", "{}").await;
    assert_eq!(follow(&store, 2).await.len(), 2);
    assert!(running.await.unwrap().is_err(), "it was ended before anything went on");
    store.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_fenced_writes_nothing_with_its_stamps() {
    let url = fhir_store::testing::database().await.unwrap();
    let store = open(&url).await;
    let key = put(&store, "Basic", "a", "{}").await;
    let (one, several) = (store.commit_timestamp().unwrap(), store.commit_timestamp().unwrap());
    execute(&url, "update writer set fenced_at = 1").await;
    let write = next(&store, &key, Some("{}"), None).await;
    let refused = store.commit(&all(), &one, &[write]).await.unwrap_err();
    assert_eq!(refused.kind.status(), 503, "{refused}");
    let others = ["b", "c"].map(|id| Key::new("Basic", id));
    let mut writes = Vec::new();
    for key in &others {
        writes.push(next(&store, key, Some("{}"), None).await);
    }
    assert_eq!(store.commit(&all(), &several, &writes).await.unwrap_err().kind.status(), 503);
    for (key, version) in [(&key, 1), (&others[0], 0), (&others[1], 0)] {
        assert_eq!(store.read(&all(), key).await.unwrap().last_version(), version, "{key:?}");
    }
    // It joins again, under another number, with later stamps.
    super::parameters::until("it may write again", async || store.commit_timestamp().is_ok()).await;
    assert!(store.commit_timestamp().unwrap().micros() > several.micros());
    put(&store, "Basic", "a", "{}").await;
    store.leave().await;
}

/// What is stored may be from the future, as after a power cut with a dead battery of the clock.
#[tokio::test]
async fn stamps_go_on_from_the_greatest_stored_one() {
    let url = fhir_store::testing::database().await.unwrap();
    let store = open(&url).await;
    let key = put(&store, "Basic", "a", "{}").await;
    put(&store, "Basic", "a", "{}").await;
    store.leave().await;
    drop(store);
    const LATER: i64 = 3_700_000_000_000_000;
    for sql in [
        format!("update resource set updated_at = {LATER}"),
        format!("update resource_history set updated_at = {LATER} - 1"),
    ] {
        assert_eq!(execute(&url, &sql).await, 1);
    }
    let store = open(&url).await;
    let before = store.changes(FeedPosition::default(), 10).await.unwrap();
    assert_eq!(before.len(), 2);
    put(&store, "Basic", "a", "{}").await;
    let ResourceState::Current(version) = store.read(&all(), &key).await.unwrap() else { panic!() };
    assert!(version.updated_at > LATER);
    let after = store.changes(before[1].position, 10).await.unwrap();
    assert_eq!(after.len(), 1, "nothing is hidden before the place of who has seen all");
    assert_eq!(store.new_id().len(), 16);
    store.leave().await;
}

#[tokio::test]
async fn a_process_whose_clock_is_wrong_writes_nothing() {
    const SECOND: i64 = 1_000_000;
    let url = fhir_store::testing::database().await.unwrap();
    let clock = fhir_store::Clock::default();
    let options = fhir_store::Options { connections_max: 4, clock: clock.clone(), ..Default::default() };
    let registry = fhir_store::testing::registry().await.unwrap();
    let store = Store::open(&url, options.clone(), registry.clone()).await.unwrap();
    let key = put(&store, "Basic", "a", "{}").await;
    assert_eq!(store.clock_failure(), None);
    clock.shift(90 * SECOND);
    let refused = store.commit_timestamp().unwrap_err();
    assert_eq!(refused.kind.status(), 503);
    assert!(refused.text.contains("s ahead of the database's"), "{refused}");
    assert!(store.clock_failure().is_some());
    assert!(
        matches!(store.read(&all(), &key).await.unwrap(), ResourceState::Current(_)),
        "it answers all the same"
    );
    clock.shift(-90 * SECOND);
    put(&store, "Basic", "a", "{}").await;
    store.leave().await;
    drop(store);
    // Started in 1970.
    clock.set(0);
    let store = Store::open(&url, options, registry).await.unwrap();
    assert!(store.commit_timestamp().unwrap_err().text.contains("behind the database's"));
    assert!(matches!(store.read(&all(), &key).await.unwrap(), ResourceState::Current(_)));
    clock.set(fhir_store::Clock::default().now());
    put(&store, "Basic", "a", "{}").await;
    store.leave().await;
}
