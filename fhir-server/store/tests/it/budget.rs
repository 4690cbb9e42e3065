//! Where more rows are looked through than a budget has, none that matches is passed over.

use fhir_store::{Commit, Options, testing};

use super::*;

/// More than any walk looks through before it is answered in another way.
const ROWS: usize = 2_400;
/// Older than all others, and coded otherwise first.
const OLD: usize = 30;

async fn fill(store: &Store) {
    let mut writes = Vec::new();
    for i in 0..ROWS + OLD {
        let code = |code: &str| format!(r#"{{"system":"s","code":"{code}"}}"#);
        let (codes, year) = match i < ROWS {
            true => (code("a"), 2020),
            false => (format!("{},{}", code("b"), code("a")), 1990),
        };
        // The last of the new ones, and all old ones.
        let status = if i + 10 < ROWS { "final" } else { "amended" };
        let body = format!(
            r#"{{"status":"{status}","code":{{"coding":[{codes}]}},"effectiveDateTime":"{year}-01-{:02}T{:02}:{:02}:00Z",
                "valueString":"text {}"}}"#,
            28 - i / 1440 % 28,
            23 - i / 60 % 24,
            59 - i % 60,
            i % 7,
        );
        writes.push(next(store, &Key::new("Observation", format!("o{i:04}")), Some(&body), None).await);
        if writes.len() == 500 || i + 1 == ROWS + OLD {
            let all_written =
                store.commit(&all(), &store.commit_timestamp().unwrap(), &writes).await.unwrap();
            assert_eq!(all_written, Commit::Done);
            writes.clear();
        }
    }
}

async fn walk(store: &Arc<Store>, search: &str) -> Vec<String> {
    let mut query = Query { count: 7, ..query(store, search) };
    let mut found = Vec::new();
    loop {
        let page = store.search(&all(), &query).await.unwrap();
        found.extend(page.matches.iter().map(|version| version.key.id.to_string()));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return found,
        }
    }
}

#[tokio::test]
async fn what_is_beyond_a_budget_is_found() {
    let options = Options { entries_few: 5, connections_max: 4, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    fill(&store).await;
    let amended: Vec<String> = (ROWS - 10..ROWS + OLD).map(|i| format!("o{i:04}")).collect();
    // Both ways to a code, of which one is longer than the budget: the newest first all the same.
    for rest in ["status=amended", "status=amended&value-string=text", "status=amended&value-string=te"] {
        assert_eq!(walk(&store, &format!("Observation?code=s|a&{rest}")).await, amended, "{rest}");
    }
    let old = amended[10..].to_vec();
    // Sorted by what bodies say: all of them are gathered, not those that were looked at first.
    for (search, wanted) in [
        ("Observation?date=lt1999&_sort=status,_id", &old),
        ("Observation?date=lt1999&value-string=tex&_sort=status,_id", &old),
        ("Observation?value-string=text&date=lt1999&_sort=-status,_id", &old),
        ("Observation?code=s|a&status=amended&_sort=status,_id", &amended),
        ("Observation?code=s|a&status=amended&value-string=te&_sort=status,_id", &amended),
    ] {
        let mut found = walk(&store, search).await;
        found.sort();
        assert_eq!(found, *wanted, "{search}");
    }
}
