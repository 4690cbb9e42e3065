//! Processes that are killed: each effect in the database comes exactly once, each outside at least once.

use fhir_work::{DeadLetterKind, NewJob};
use serde_json::json;

use super::child::{killed, outside, start, stopped};
use super::*;

const JOBS: usize = 3;
const CHANGES: usize = 3;

fn wanted() -> Vec<String> {
    let jobs = (0..JOBS).map(|n| format!("test.effect/{n}"));
    let mut keys: Vec<String> = jobs.chain((0..CHANGES).map(|n| format!("Basic/{n}/_history/1"))).collect();
    keys.sort();
    keys
}

async fn survives(step: &str) {
    let (url, client) = database().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects");
    let (store, _) = work(&url).await;
    for n in 0..CHANGES {
        put(&store, &n.to_string(), Some("x")).await;
    }
    for n in 0..JOBS {
        let job = NewJob::new("test.effect", json!({})).once(n.to_string());
        assert!(fhir_work::enqueue(&client, &job).await.unwrap());
    }
    killed(start(&url, &file, Some(step))).await;
    let second = start(&url, &file, None);
    until(&format!("all is done after a crash at {step}"), async || {
        effects(&client).await.len() >= wanted().len()
    })
    .await;
    until("jobs are ended", async || {
        count(&client, "select count(*) from job where done_at is null").await == 0
    })
    .await;
    stopped(second).await;
    assert_eq!(effects(&client).await, wanted(), "{step}: once each");
    assert_eq!(outside(&file), wanted(), "{step}: at least once each");
    assert_eq!(count(&client, "select count(*) from dead_letter").await, 0, "{step}");
    store.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_survives_a_kill_at_every_step() {
    for step in ["job:claimed", "job:performed", "job:recorded", "job:committed"] {
        survives(step).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_survives_a_kill_at_every_step() {
    for step in ["consumer:read", "consumer:performed", "consumer:recorded", "consumer:committed"] {
        survives(step).await;
    }
}

/// What ends its process each time goes to the dead letters, and what comes after it is done.
#[tokio::test(flavor = "multi_thread")]
async fn what_kills_its_process_each_time_goes_to_the_dead_letters() {
    let (url, client) = database().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects");
    let (store, _) = work(&url).await;
    put(&store, "0", Some("x")).await;
    assert!(fhir_work::enqueue(&client, &NewJob::new("test.effect", json!({})).once("0")).await.unwrap());
    // Attempts of both kinds, twice, as the job and the consumer make theirs side by side.
    for step in ["job:performed", "job:performed", "consumer:performed", "consumer:performed"] {
        killed(start(&url, &file, Some(step))).await;
        // What has come through beside what is to fail here is made undone.
        if step.starts_with("job") {
            client.batch_execute("delete from consumer; delete from effect").await.unwrap();
        }
    }
    let last = start(&url, &file, None);
    let letters = "select count(*) from dead_letter";
    until("both are buried", async || count(&client, letters).await == 2).await;
    stopped(last).await;
    assert_eq!(effects(&client).await, Vec::<String>::new());
    let kinds =
        client.query("select kind, name, key, reason from dead_letter order by kind", &[]).await.unwrap();
    let names: Vec<(i16, String, String)> =
        kinds.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(
        names,
        [(1, "test.effect".into(), "0".into()), (2, "test.follow".into(), "Basic/0/_history/1".into())]
    );
    assert_eq!(DeadLetterKind::Change.as_str(), "change");
    store.leave().await;
}

/// Three processes, one of which is killed while it works.
#[tokio::test(flavor = "multi_thread")]
async fn three_processes_share_the_work() {
    let (url, client) = database().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects");
    let (store, _) = work(&url).await;
    let mut children: Vec<_> = (0..3).map(|_| start(&url, &file, None)).collect();
    until("all are there", async || count(&client, "select count(*) from writer").await == 4).await;
    for n in 0..300 {
        let job = NewJob::new("test.effect", json!({ "ms": 20 })).once(format!("{n:03}"));
        assert!(fhir_work::enqueue(&client, &job).await.unwrap());
        if n % 10 == 0 {
            put(&store, &format!("{n:03}"), Some("x")).await;
        }
    }
    until("a third is done", async || effects(&client).await.len() > 110).await;
    let mut first = children.remove(0);
    let pid = i32::try_from(first.id()).unwrap();
    first.kill().unwrap();
    killed(first).await;
    until("all is done", async || effects(&client).await.len() >= 330).await;
    until("jobs are ended", async || {
        count(&client, "select count(*) from job where done_at is null").await == 0
    })
    .await;
    let did = "select count(distinct process) from effect where key like 'test%'";
    assert_eq!(count(&client, did).await, 3, "each did some");
    assert!(count(&client, &format!("select count(*) from effect where process = {pid}")).await > 0);
    for child in children {
        stopped(child).await;
    }
    let twice = "select count(*) from (select key from effect group by key having count(*) <> 1) x";
    assert_eq!((effects(&client).await.len(), count(&client, twice).await), (330, 0));
    assert_eq!(outside(&file).len(), 330);
    store.leave().await;
}
