//! Consumers in one process.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use fhir_model::{Error, Kind, Result};
use fhir_store::FeedPosition;
use fhir_work::{Backoff, CancellationToken, Consumer, FeedChange, Transaction};

use super::*;

/// Leaves the texts of what it is given; cannot take `poison`.
#[derive(Default)]
struct Texts {
    name: &'static str,
    is_well: AtomicBool,
    is_away: AtomicBool,
    refuses: bool,
    own: Option<Mutex<FeedPosition>>,
    seen: Mutex<Vec<String>>,
}

fn text(body: &Option<bytes::Bytes>) -> String {
    let Some(body) = body else { return "-".to_owned() };
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    value["code"]["text"].as_str().unwrap().to_owned()
}

#[async_trait]
impl Consumer for Texts {
    fn name(&self) -> &str {
        self.name
    }

    fn types(&self) -> &[&'static str] {
        &["Basic"]
    }

    fn attempts_max(&self) -> u32 {
        2
    }

    fn batch_max(&self) -> usize {
        3
    }

    fn backoff(&self) -> Backoff {
        Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1) }
    }

    fn own_place(&self) -> Option<FeedPosition> {
        self.own.as_ref().map(|place| *place.lock().unwrap())
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(10)
    }

    async fn perform(&self, changes: &[FeedChange]) -> Result<()> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Unavailable, "the other side is away"));
        }
        let is_poison = |c: &FeedChange| text(&c.version.body) == "poison";
        if self.refuses && !self.is_well.load(Ordering::SeqCst) && changes.iter().any(is_poison) {
            return Err(Error::new(Kind::Rule, "it cannot be taken"));
        }
        let told = changes.iter().map(|c| {
            let before = c.previous.as_ref().map_or(String::new(), |version| text(&version.body));
            format!("{before}>{}", text(&c.version.body))
        });
        self.seen.lock().unwrap().extend(told);
        Ok(())
    }

    async fn record(&self, changes: &[FeedChange], transaction: &Transaction<'_>) -> Result<()> {
        for change in changes {
            let insert = "insert into effect (key, process) values ($1, 0)";
            transaction.execute(insert, &[&format!("{} {}", self.name, change.key())]).await.unwrap();
        }
        Ok(())
    }

    async fn reached(&self, place: FeedPosition, _: bool) -> Result<()> {
        if let Some(own) = &self.own {
            *own.lock().unwrap() = place;
        }
        Ok(())
    }
}

impl Texts {
    fn seen(&self) -> String {
        self.seen.lock().unwrap().join(" ")
    }
}

#[tokio::test]
async fn changes_come_in_order_with_the_version_before() {
    let (url, client) = database().await;
    let (store, work) = work(&url).await;
    let texts = Arc::new(Texts { name: "test.texts", ..Texts::default() });
    let own = Arc::new(Texts { name: "test.own", own: Some(Mutex::default()), ..Texts::default() });
    put(&store, "a", Some("one")).await;
    let working = work.consumer(texts.clone()).consumer(own.clone()).start(CancellationToken::new()).unwrap();
    put(&store, "a", Some("two")).await;
    put(&store, "b", Some("three")).await;
    put(&store, "a", None).await;
    put(&store, "a", Some("four")).await;
    let wanted = ">one one>two >three two>- ->four";
    until("all came", async || texts.seen() == wanted && own.seen() == wanted).await;
    until("all are recorded", async || effects(&client).await.len() == 5).await;
    working.stop().await;
    // It goes on where it was.
    put(&store, "b", Some("five")).await;
    let work = fhir_work::Work::new(store.clone()).options(options());
    let working = work.consumer(texts.clone()).consumer(own.clone()).start(CancellationToken::new()).unwrap();
    let wanted = format!("{wanted} three>five");
    until("the rest came", async || texts.seen() == wanted && own.seen() == wanted).await;
    working.stop().await;
    store.leave().await;
}

#[tokio::test]
async fn a_poisoned_change_stops_nobody() {
    let (url, client) = database().await;
    let (store, work) = work(&url).await;
    let picky = Arc::new(Texts { name: "test.picky", refuses: true, ..Texts::default() });
    let other = Arc::new(Texts { name: "test.other", ..Texts::default() });
    let own =
        Arc::new(Texts { name: "test.own", refuses: true, own: Some(Mutex::default()), ..Texts::default() });
    for (id, text) in [("a", "one"), ("b", "poison"), ("c", "two"), ("d", "three"), ("e", "four")] {
        put(&store, id, Some(text)).await;
    }
    let working = work
        .consumer(picky.clone())
        .consumer(other.clone())
        .consumer(own.clone())
        .start(CancellationToken::new())
        .unwrap();
    until("the others took all", async || other.seen() == ">one >poison >two >three >four").await;
    until("the rest was taken", async || [&picky, &own].iter().all(|c| c.seen() == ">one >two >three >four"))
        .await;
    let letters = working.dead_letters();
    until("it is in the dead letters", async || letters.depth().await.unwrap().letters == 2).await;
    let (all, _) = letters.list(0, 10).await.unwrap();
    assert!(
        all.iter().all(|letter| letter.key == "Basic/b/_history/1" && letter.reason == "it cannot be taken")
    );
    let picked = "select count(*) from effect where key like 'test.picky%'";
    until("four are recorded", async || count(&client, picked).await == 4).await;
    picky.is_well.store(true, Ordering::SeqCst);
    own.is_well.store(true, Ordering::SeqCst);
    for letter in &all {
        assert!(letters.retry(letter.id).await.unwrap());
    }
    until("it was taken", async || letters.list(0, 10).await.unwrap().1 == 0).await;
    assert_eq!(count(&client, picked).await, 5);
    assert!([&picky, &own].iter().all(|c| c.seen() == ">one >two >three >four >poison"));
    working.stop().await;
    store.leave().await;
}

/// An outage of the other side fills no dead letters.
#[tokio::test]
async fn what_is_away_is_waited_for() {
    let (url, client) = database().await;
    let (store, work) = work(&url).await;
    let texts = Arc::new(Texts { name: "test.texts", is_away: AtomicBool::new(true), ..Texts::default() });
    put(&store, "a", Some("one")).await;
    let working = work.consumer(texts.clone()).start(CancellationToken::new()).unwrap();
    let said = "select count(*) from consumer where failure = 'the other side is away'";
    until("it is said", async || count(&client, said).await == 1).await;
    texts.is_away.store(false, Ordering::SeqCst);
    until("it came", async || effects(&client).await.len() == 1).await;
    assert_eq!(working.dead_letters().depth().await.unwrap().letters, 0);
    working.stop().await;
    store.leave().await;
}

#[tokio::test]
async fn two_of_one_name_are_refused() {
    let (url, _) = database().await;
    let (store, work) = work(&url).await;
    let texts = Arc::new(Texts { name: "test.texts", ..Texts::default() });
    assert!(work.consumer(texts.clone()).consumer(texts).start(CancellationToken::new()).is_err());
    store.leave().await;
}
