//! Jobs in one process.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use fhir_model::{Error, Kind, Result};
use fhir_work::{Backoff, CancellationToken, JobRun, JobType, NewJob, Transaction};
use serde_json::{Value, json};

use super::*;

/// A job that does what its payload says.
#[derive(Default)]
struct Obedient {
    attempts: AtomicU32,
    heals: AtomicBool,
    keys: Mutex<Vec<String>>,
}

#[async_trait]
impl JobType for Obedient {
    fn name(&self) -> &str {
        "test.obedient"
    }

    fn attempts_max(&self) -> u32 {
        3
    }

    fn backoff(&self) -> Backoff {
        Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1) }
    }

    async fn perform(&self, run: &JobRun) -> Result<Value> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        self.keys.lock().unwrap().push(run.key());
        let is_well = self.heals.load(Ordering::SeqCst);
        match run.payload["do"].as_str() {
            Some("fail") if !is_well => Err(Error::new(Kind::Rule, "it does not like it")),
            Some("panic") if !is_well => panic!("a test's own"),
            Some("wait") => {
                run.stop.cancelled().await;
                Err(Error::internal("stopped"))
            }
            Some("long") => {
                tokio::time::sleep(options().lease * 3).await;
                Ok(Value::Null)
            }
            _ => Ok(json!(run.attempt)),
        }
    }

    async fn record(&self, run: &JobRun, _: Value, transaction: &Transaction<'_>) -> Result<()> {
        let insert = "insert into effect (key, process) values ($1, 0)";
        transaction.execute(insert, &[&run.key()]).await.unwrap();
        match run.payload["do"].as_str() {
            Some("fail late") if !self.heals.load(Ordering::SeqCst) => Err(Error::internal("late")),
            _ => Ok(()),
        }
    }
}

fn job(what: &str) -> NewJob {
    NewJob::new("test.obedient", json!({ "do": what }))
}

#[tokio::test]
async fn a_job_comes_with_its_transaction_or_not_at_all() {
    let (url, mut client) = database().await;
    let transaction = client.transaction().await.unwrap();
    assert!(fhir_work::enqueue(&transaction, &job("x").once("lost")).await.unwrap());
    transaction.rollback().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    assert!(fhir_work::enqueue(&transaction, &job("x").once("kept")).await.unwrap());
    transaction.commit().await.unwrap();
    let (store, work) = work(&url).await;
    let working = work.job(Arc::new(Obedient::default())).start(CancellationToken::new()).unwrap();
    until("it is done", async || effects(&client).await == ["test.obedient/kept"]).await;
    // Done, it is not done again.
    assert!(!working.enqueue(&job("x").once("kept")).await.unwrap());
    assert!(working.enqueue(&job("x").once("other")).await.unwrap());
    until("the other is done", async || effects(&client).await.len() == 2).await;
    working.stop().await;
    store.leave().await;
}

#[tokio::test]
async fn what_fails_is_tried_again_and_then_buried_retried_discarded() {
    let (url, client) = database().await;
    let (store, work) = work(&url).await;
    let obedient = Arc::new(Obedient::default());
    let working = work.job(obedient.clone()).start(CancellationToken::new()).unwrap();
    for what in ["fail", "panic", "fail late"] {
        assert!(working.enqueue(&job(what).once(what)).await.unwrap());
    }
    let letters = working.dead_letters();
    until("all are buried", async || letters.depth().await.unwrap().letters == 3).await;
    assert_eq!(obedient.attempts.load(Ordering::SeqCst), 9, "three attempts each");
    assert_eq!(effects(&client).await, Vec::<String>::new(), "what failed left nothing");
    let (mut all, total) = letters.list(0, 10).await.unwrap();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(total, 3);
    let told: Vec<(&str, u32, &str)> = all.iter().map(|l| (&*l.key, l.attempts, &*l.reason)).collect();
    assert_eq!(told[0], ("fail", 3, "it does not like it"));
    assert!(told[2].2.contains("internal") || !told[2].2.contains("a test's own"), "{told:?}");
    let fail = all[0].id;
    // Retried while it still fails, it comes back, once.
    assert!(letters.retry(fail).await.unwrap());
    until("it is buried again", async || {
        letters.depth().await.unwrap().letters == 3 && obedient.attempts.load(Ordering::SeqCst) == 12
    })
    .await;
    obedient.heals.store(true, Ordering::SeqCst);
    assert!(letters.retry(fail).await.unwrap());
    until("it is done", async || effects(&client).await == ["test.obedient/fail"]).await;
    until("its letter is gone", async || letters.list(0, 10).await.unwrap().1 == 2).await;
    assert!(!letters.retry(fail).await.unwrap(), "there is nothing to retry any more");
    for letter in &all[1..] {
        assert!(letters.discard(letter.id).await.unwrap());
        assert!(!letters.discard(letter.id).await.unwrap());
    }
    assert_eq!(letters.depth().await.unwrap().letters, 0);
    let keys = obedient.keys.lock().unwrap().clone();
    assert!(
        keys.iter()
            .all(|key| ["fail", "panic", "fail late"].iter().any(|k| *key == format!("test.obedient/{k}")))
    );
    working.stop().await;
    store.leave().await;
}

/// Asked twice at the same time, it is tried again once.
#[tokio::test]
async fn a_retry_is_idempotent() {
    let (url, client) = database().await;
    let (store, work) = work(&url).await;
    let obedient = Arc::new(Obedient::default());
    let working = work.job(obedient.clone()).start(CancellationToken::new()).unwrap();
    assert!(working.enqueue(&job("fail").once("a")).await.unwrap());
    until("it is buried", async || working.dead_letters().depth().await.unwrap().letters == 1).await;
    let id = working.dead_letters().list(0, 1).await.unwrap().0[0].id;
    working.stop().await;
    obedient.heals.store(true, Ordering::SeqCst);
    let letters = fhir_work::DeadLetters(store.connections());
    assert!(letters.retry(id).await.unwrap() && letters.retry(id).await.unwrap());
    assert_eq!(letters.depth().await.unwrap().letters, 0);
    let waiting = "select count(*) from job where done_at is null and attempts = 0";
    assert_eq!(count(&client, waiting).await, 1);
    store.leave().await;
}

#[tokio::test]
async fn a_job_may_take_longer_than_its_lease() {
    let (url, client) = database().await;
    let ((first_store, first), (second_store, second)) = (work(&url).await, work(&url).await);
    let (one, other) = (Arc::new(Obedient::default()), Arc::new(Obedient::default()));
    let first = first.job(one.clone()).start(CancellationToken::new()).unwrap();
    let second = second.job(other.clone()).start(CancellationToken::new()).unwrap();
    assert!(first.enqueue(&job("long").once("a")).await.unwrap());
    until("it is done", async || effects(&client).await.len() == 1).await;
    first.stop().await;
    second.stop().await;
    assert_eq!(one.attempts.load(Ordering::SeqCst) + other.attempts.load(Ordering::SeqCst), 1);
    first_store.leave().await;
    second_store.leave().await;
}

/// A process that was away for longer than its lease ends nothing that another has begun by then.
#[tokio::test]
async fn what_is_another_processs_by_now_is_not_ended() {
    let (url, client) = database().await;
    let (store, work) = work(&url).await;
    let obedient = Arc::new(Obedient::default());
    let working = work.job(obedient.clone()).start(CancellationToken::new()).unwrap();
    assert!(working.enqueue(&job("long").once("a")).await.unwrap());
    until("it is begun", async || obedient.attempts.load(Ordering::SeqCst) == 1).await;
    let taken = "update job set owner = 7, attempts = 2, run_at = run_at + 600000000";
    assert_eq!(client.execute(taken, &[]).await.unwrap(), 1);
    working.stop().await;
    assert_eq!(effects(&client).await, Vec::<String>::new());
    assert_eq!(count(&client, "select owner from job where done_at is null").await, 7);
    store.leave().await;
}

#[tokio::test]
async fn nothing_runs_on_after_the_stop() {
    let (url, client) = database().await;
    let (store, work) = work(&url).await;
    let obedient = Arc::new(Obedient::default());
    let stop = CancellationToken::new();
    let working = work.job(obedient.clone()).start(stop.clone()).unwrap();
    assert!(working.enqueue(&job("wait")).await.unwrap());
    until("it is begun", async || obedient.attempts.load(Ordering::SeqCst) == 1).await;
    working.stop().await;
    assert!(stop.is_cancelled());
    assert_eq!(Arc::strong_count(&obedient), 1, "nobody has it any more");
    // It is the next process's at once, and lost no attempt.
    let free = "select count(*) from job where owner = 0 and attempts = 0 and done_at is null";
    assert_eq!(count(&client, free).await, 1);
    store.leave().await;
}
