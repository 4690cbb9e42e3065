use super::*;
use fhir_store::FeedPlace;

#[tokio::test]
async fn changes_come_in_order_without_holes() {
    let store = fhir_store::testing::fresh().await.unwrap();
    let key = put(&store, "Patient", "a", r#"{"gender":"male"}"#).await;
    put(&store, "Patient", "a", r#"{"gender":"female"}"#).await;
    // An open write holds back what is younger than it.
    let open = store.stamp().unwrap();
    put(&store, "Patient", "b", "{}").await;
    let seen = |after: FeedPlace| {
        let store = store.clone();
        async move { store.changes(&all(), after, 100).await.unwrap() }
    };
    let first = seen(FeedPlace::default()).await;
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
    let rest = seen(first.last().unwrap().place).await;
    assert_eq!(names(&rest), "a/3 b/1");
    assert!(rest[0].version.body.is_none());
    assert_eq!(names(&seen(rest.last().unwrap().place).await), "");
    let mut walked = Vec::new();
    let mut place = FeedPlace::default();
    while let Some(change) = store.changes(&all(), place, 1).await.unwrap().pop() {
        place = change.place;
        walked.push(change);
    }
    assert_eq!(names(&walked), "a/1 a/2 a/3 b/1");
}
