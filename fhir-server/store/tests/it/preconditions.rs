//! What a write relies on holds when it is committed, or the commit is stale and nothing is written.

use fhir_model::Key;
use fhir_store::{Commit, Method, Precondition, ResourceState, Store, Write, testing};

use super::{all, next, put};

fn key(id: &str) -> Key {
    Key::new("Patient", id)
}

/// Commits new Basics, the first with these preconditions.
async fn commit(store: &Store, ids: &[&str], preconditions: &[Precondition]) -> Commit {
    let mut writes = Vec::new();
    for id in ids {
        writes.push(next(store, &Key::new("Basic", *id), Some("{}"), None).await);
    }
    writes[0].preconditions = preconditions.to_vec();
    store.commit(&all(), &store.commit_timestamp().unwrap(), &writes).await.unwrap()
}

#[tokio::test]
async fn each_holds_or_the_commit_is_stale() {
    use Precondition::{Absent, Present, Unchanged};
    let store = testing::fresh().await.unwrap();
    put(&store, "Patient", "once", "{}").await;
    put(&store, "Patient", "twice", "{}").await;
    put(&store, "Patient", "twice", r#"{"active":true}"#).await;
    put(&store, "Patient", "gone", "{}").await;
    let delete = next(&store, &key("gone"), None, None).await;
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &[delete]).await.unwrap(), Commit::Done);
    drop(timestamp);
    // An id as the server gives them, of a resource that a client named so.
    let looks_given = store.new_id();
    put(&store, "Patient", &looks_given, "{}").await;
    let rows: Vec<(Vec<Precondition>, Commit)> = vec![
        (vec![Present(key("once"))], Commit::Done),
        (vec![Present(key(&looks_given))], Commit::Done),
        (vec![Present(key("never"))], Commit::Stale),
        (vec![Present(key("gone"))], Commit::Stale),
        (vec![Present(key("once")), Present(key("never"))], Commit::Stale),
        (vec![Present(Key::new("Group", "once"))], Commit::Stale),
        (vec![Unchanged(key("once"), 1)], Commit::Done),
        (vec![Unchanged(key("twice"), 2)], Commit::Done),
        (vec![Unchanged(key("twice"), 1)], Commit::Stale),
        (vec![Unchanged(key("gone"), 1)], Commit::Stale),
        (vec![Unchanged(key("twice"), 2), Present(key("twice"))], Commit::Done),
        (vec![Present(key("twice")), Unchanged(key("twice"), 1)], Commit::Stale),
        // No resource is current in two versions.
        (vec![Unchanged(key("twice"), 1), Unchanged(key("twice"), 2)], Commit::Stale),
        (vec![Absent(key("never"))], Commit::Done),
        (vec![Absent(key("gone"))], Commit::Done),
        (vec![Absent(key("once"))], Commit::Stale),
        (vec![Absent(key(&looks_given))], Commit::Stale),
        (vec![Absent(key("never")), Present(key("once")), Unchanged(key("twice"), 2)], Commit::Done),
    ];
    for (n, (preconditions, wanted)) in rows.iter().enumerate() {
        // In the one statement of a single write, and in a transaction.
        for ids in [vec![format!("a{n}")], vec![format!("b{n}"), format!("c{n}")]] {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            assert_eq!(commit(&store, &ids, preconditions).await, *wanted, "{preconditions:?} {ids:?}");
            for id in ids {
                let state = store.read(&all(), &Key::new("Basic", id)).await.unwrap();
                let is_there = matches!(state, ResourceState::Current(_));
                assert_eq!(is_there, *wanted == Commit::Done, "{preconditions:?}: {id}");
            }
        }
    }
}

/// Two writes of which each relies on what the other changes: never are both done.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_rely_on_each_other_one_is_stale() {
    let store = testing::fresh().await.unwrap();
    let mut done = 0;
    for n in 0..200 {
        let (one, other) = (key(&format!("a{n}")), key(&format!("b{n}")));
        // Half of them create what the other relies on not to be there, half replace what it relies on.
        let replaces = n % 2 == 0;
        if replaces {
            put(&store, "Patient", &one.id, "{}").await;
            put(&store, "Patient", &other.id, "{}").await;
        }
        let mut writes = Vec::new();
        for (mine, relied_on) in [(&one, &other), (&other, &one)] {
            let mut write = next(&store, mine, Some(r#"{"active":true}"#), None).await;
            write.preconditions = match replaces {
                true => vec![Precondition::Unchanged(relied_on.clone(), 1)],
                false => vec![Precondition::Absent(relied_on.clone())],
            };
            write.method = Method::Put;
            writes.push(write);
        }
        let [first, second] = writes.try_into().unwrap();
        let commit = |write: Write| {
            let (store, at) = (store.clone(), store.commit_timestamp().unwrap());
            tokio::spawn(async move { store.commit(&all(), &at, &[write]).await.unwrap() })
        };
        let (first, second) = (commit(first), commit(second));
        let ended = [first.await.unwrap(), second.await.unwrap()];
        assert_ne!(ended, [Commit::Done; 2], "{n}");
        done += ended.iter().filter(|ended| **ended == Commit::Done).count();
    }
    assert!(done > 100, "of most pairs one is done: {done}");
}
