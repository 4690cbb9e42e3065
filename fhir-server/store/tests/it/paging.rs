//! Walks while others write: what is there all the time is found exactly once, forwards and backwards.
//!
//! `CARI_SEED` repeats the writes of a run that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use fhir_search::cursor::Cursor;
use fhir_store::testing;

use super::brute::random::Random;
use super::*;

const LASTING: usize = 60;
const PASSING: usize = 40;
const WRITERS: u64 = 3;

/// What decides the order never changes here; everything else does.
fn body(random: &mut Random, i: usize) -> String {
    format!(
        r#"{{"status":"{}","code":{{"coding":[{{"system":"s","code":"c"}}]}},"effectiveDateTime":"2020-01-{:02}",
            "subject":{{"reference":"Patient/p{}"}},"valueQuantity":{{"value":{}}},"note":[{{"text":"{}"}}]}}"#,
        ["final", "amended"][i % 2],
        1 + i % 7,
        i % 3,
        i % 5,
        random.below(1_000_000),
    )
}

async fn write(store: &Store, id: &str, body: Option<&str>) {
    let key = Key::new("Observation", id);
    loop {
        let before = store.read(&all(), &key).await.unwrap();
        if body.is_none() && !matches!(before, Found::Current(_)) {
            return;
        }
        let write = next(store, &key, body, None).await;
        // Another writer can have been first; then it is decided anew.
        if store.commit(&all(), &store.stamp().unwrap(), &[write]).await.unwrap() == Commit::Done {
            return;
        }
    }
}

/// Writes until told to stop: updates of what lasts, creations, updates and deletions of what does not.
async fn disturb(store: Arc<Store>, seed: u64, done: Arc<AtomicBool>) -> usize {
    let mut random = Random::new(seed);
    let mut writes = 0;
    while !done.load(Ordering::Relaxed) {
        let i = random.below(LASTING + PASSING);
        let body = body(&mut random, i);
        match i < LASTING {
            true => write(&store, &format!("l{i:02}"), Some(&body)).await,
            false => {
                let gone = random.below(2) == 0;
                write(&store, &format!("p{i}"), (!gone).then_some(&*body)).await;
            }
        }
        writes += 1;
    }
    writes
}

/// How often each resource came.
async fn walk(store: &Arc<Store>, text: &str, backwards: bool) -> BTreeMap<String, usize> {
    let mut at = query(store, text);
    at.cursor = backwards.then(Cursor::end);
    let mut seen = BTreeMap::new();
    loop {
        let page = store.search(&all(), &at).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
        for version in &page.matches {
            *seen.entry(version.key.id.to_string()).or_default() += 1;
        }
        let on = if backwards { page.previous } else { page.next };
        match on {
            Some(cursor) => at.cursor = Some(cursor),
            None => return seen,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_all_the_time_is_found_exactly_once_while_others_write() {
    let seed = std::env::var("CARI_SEED").map_or_else(
        |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        |text| text.parse().unwrap(),
    );
    println!("CARI_SEED={seed}");
    let store = testing::fresh_with(fhir_store::Options {
        connections_max: 8,
        include_max: 5,
        ..fhir_store::Options::default()
    })
    .await
    .unwrap();
    let mut random = Random::new(seed);
    for i in 0..3 {
        put(&store, "Patient", &format!("p{i}"), "{}").await;
    }
    for i in 0..LASTING {
        let body = body(&mut random, i);
        write(&store, &format!("l{i:02}"), Some(&body)).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(disturb(store.clone(), seed ^ (n + 1), done.clone()))).collect();
    let lasting: BTreeSet<String> = (0..LASTING).map(|i| format!("l{i:02}")).collect();
    for (text, found) in [
        ("Observation?_count=7", LASTING),
        ("Observation?_count=5&_sort=date", LASTING),
        ("Observation?_count=9&_sort=-_id", LASTING),
        ("Observation?_count=4&code=s|c", LASTING),
        ("Observation?_count=4&code=s|c&_sort=value-quantity,-date", LASTING),
        ("Observation?_count=3&status=final", LASTING / 2),
        ("Observation?_count=3&status=final&_sort=status,_id", LASTING / 2),
        ("Observation?_count=3&patient=p1", LASTING / 3),
        ("Observation?_count=8&_include=Observation:subject", LASTING),
        ("Observation?_count=8&value-quantity=ge3", LASTING / 5 * 2),
    ] {
        for backwards in [false, true] {
            let seen = walk(&store, text, backwards).await;
            let twice: Vec<_> = seen.iter().filter(|(id, n)| **n != 1 && lasting.contains(*id)).collect();
            assert!(twice.is_empty(), "{text}: {twice:?}");
            let count = seen.keys().filter(|id| lasting.contains(*id)).count();
            assert_eq!(count, found, "{text}, backwards: {backwards}");
        }
    }
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0, "nobody disturbed");
    }
}
