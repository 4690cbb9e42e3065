//! Walks while others write: what is there all the time is found exactly once, forwards and backwards.
//!
//! `CARI_SEED` repeats the writes of a run that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use fhir_search::cursor::Cursor;
use fhir_store::testing;

use super::*;
use fhir_store::testing::Random;

const LASTING: usize = 60;
const PASSING: usize = 40;
const WRITERS: u64 = 3;

/// What decides the order never changes here; everything else does. Some have a number, some a long text, some neither;
/// long texts differ beyond what is sorted by.
fn body(random: &mut Random, i: usize) -> String {
    let value = match i % 5 {
        0..3 => format!(r#""valueQuantity":{{"value":{}}},"#, i % 5),
        3 => format!(r#""valueString":"{}{}","#, "long ".repeat(60 * (i % 2)), i % 3),
        _ => String::new(),
    };
    format!(
        r#"{{"status":"{}","code":{{"coding":[{{"system":"s","code":"c"}}]}},"effectiveDateTime":"2020-01-{:02}",
            "subject":{{"reference":"Patient/p{}"}},{value}"note":[{{"text":"{}"}}]}}"#,
        ["final", "amended"][i % 2],
        1 + i % 7,
        i % 3,
        random.below(1_000_000),
    )
}

async fn write(store: &Store, id: &str, body: Option<&str>) {
    let key = Key::new("Observation", id);
    loop {
        let before = store.read(&all(), &key).await.unwrap();
        if body.is_none() && !matches!(before, ResourceState::Current(_)) {
            return;
        }
        let write = next(store, &key, body, None).await;
        // Another writer can have been first; then it is decided anew.
        if store.commit(&all(), &store.commit_timestamp().unwrap(), &[write]).await.unwrap() == Commit::Done {
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
    walks_while_others_write(fhir_store::Options { include_max: 5, ..fhir_store::Options::default() }).await;
}

/// Each page is one match, and what it would have begun with may be gone by now.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_all_the_time_is_found_on_pages_that_end_by_bytes() {
    walks_while_others_write(fhir_store::Options { page_bytes_max: 1, ..fhir_store::Options::default() })
        .await;
}

async fn walks_while_others_write(options: fhir_store::Options) {
    let seed = std::env::var("CARI_SEED").map_or_else(
        |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        |text| text.parse().unwrap(),
    );
    println!("CARI_SEED={seed}");
    let store = testing::fresh_with(fhir_store::Options { connections_max: 8, ..options }).await.unwrap();
    let mut random = Random::new(seed);
    for (i, body) in [r#"{"name":[{"family":"B"}]}"#, r#"{"name":[{"family":"A"}]}"#, "{}"].iter().enumerate()
    {
        put(&store, "Patient", &format!("p{i}"), body).await;
    }
    for i in 0..LASTING {
        let body = body(&mut random, i);
        write(&store, &format!("l{i:02}"), Some(&body)).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(disturb(store.clone(), seed ^ (n + 1), done.clone()))).collect();
    type Row<'a> = (&'a str, fn(usize) -> bool);
    let rows: &[Row<'_>] = &[
        ("Observation?_count=7", |_| true),
        ("Observation?_count=5&_sort=date", |_| true),
        ("Observation?_count=9&_sort=-_id", |_| true),
        ("Observation?_count=4&code=s|c", |_| true),
        ("Observation?_count=4&code=s|c&_sort=value-quantity,-date", |_| true),
        ("Observation?_count=4&_sort=-value-quantity", |_| true),
        ("Observation?_count=4&_sort=value-quantity,value-string", |_| true),
        ("Observation?_count=3&_sort=value-string", |_| true),
        ("Observation?_count=3&_sort=-value-string,status", |_| true),
        ("Observation?_count=6&_sort=subject:Patient.family,-date", |_| true),
        ("Observation?_count=5&_sort=-date,subject:Patient.family,value-string", |_| true),
        ("Observation?_count=3&status=final", |i| i % 2 == 0),
        ("Observation?_count=3&status=final&_sort=status,_id", |i| i % 2 == 0),
        ("Observation?_count=2&status=amended&_sort=-status,value-string", |i| i % 2 == 1),
        ("Observation?_count=3&patient=p1", |i| i % 3 == 1),
        ("Observation?_count=3&patient=p1&_sort=-value-string", |i| i % 3 == 1),
        ("Observation?_count=8&_include=Observation:subject", |_| true),
        ("Observation?_count=8&value-quantity=ge1", |i| matches!(i % 5, 1 | 2)),
        ("Observation?_count=4&subject:Patient.family=a&_sort=value-quantity", |i| i % 3 == 1),
    ];
    for (text, matches) in rows {
        let wanted: BTreeSet<String> =
            (0..LASTING).filter(|i| matches(*i)).map(|i| format!("l{i:02}")).collect();
        for backwards in [false, true] {
            let seen = walk(&store, text, backwards).await;
            let twice: Vec<_> = seen.iter().filter(|(id, n)| **n != 1 && id.starts_with('l')).collect();
            assert!(twice.is_empty(), "{text}, backwards: {backwards}: {twice:?}");
            let found: BTreeSet<String> = seen.into_keys().filter(|id| id.starts_with('l')).collect();
            let missed: Vec<_> = wanted.symmetric_difference(&found).collect();
            assert!(missed.is_empty(), "{text}, backwards: {backwards}: {missed:?} are wrong");
        }
    }
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0, "nobody disturbed");
    }
}
