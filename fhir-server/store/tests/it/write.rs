use super::*;

pub(crate) async fn what_is_written_is_read(store: &Arc<Store>) {
    let id = store.new_id();
    let key = Key::new("Patient", &*id);
    let body = r#"{"name":[{"family":"Ünal","given":["A","B"]}],"birthDate":"1990-03-15",
        "contained":[{"resourceType":"Organization","id":"o"}]}"#;
    let write = next(store, &key, Some(body), None).await;
    let sent = write.doc.as_ref().unwrap().root().to_value();
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &[write]).await.unwrap(), Commit::Done);
    let ResourceState::Current(found) = store.read(&all(), &key).await.unwrap() else { panic!("not found") };
    let text = found.body.unwrap();
    assert!(text.starts_with(br#"{"resourceType":"#));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), sent);
    assert_eq!((found.version, found.updated_at, found.method), (1, timestamp.micros(), Method::Post));
}

pub(crate) async fn numbers_keep_their_text(store: &Arc<Store>) {
    for (i, number) in ["1.00", "1.5E-10", "-0.0", "1234567890123456789012345678901234", "0.000", "1e9999999"]
        .iter()
        .enumerate()
    {
        let id = format!("n{i}");
        let key =
            put(store, "Observation", &id, &format!(r#"{{"valueQuantity":{{"value":{number}}}}}"#)).await;
        let ResourceState::Current(found) = store.read(&all(), &key).await.unwrap() else {
            panic!("not found")
        };
        let doc = Doc::parse(found.body.unwrap().to_vec(), JsonLimits::default()).unwrap();
        assert_eq!(doc.root().get("valueQuantity").unwrap().get("value").unwrap().number(), Some(*number));
    }
}

pub(crate) async fn versions_deletion_and_recreation(store: &Arc<Store>) {
    let key = put(store, "Patient", "a", r#"{"gender":"male"}"#).await;
    put(store, "Patient", "a", r#"{"gender":"female","name":[{"family":"X"}]}"#).await;
    assert_eq!(search(store, "Patient?gender=female").await, "a");
    assert_eq!(search(store, "Patient?gender=male").await, "");
    let write = next(store, &key, None, None).await;
    assert_eq!(write.version, 3);
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &[write]).await.unwrap(), Commit::Done);
    assert!(matches!(store.read(&all(), &key).await.unwrap(), ResourceState::Deleted(v) if v.version == 3));
    for text in ["Patient?gender=female", "Patient?family=X", "Patient"] {
        assert_eq!(search(store, text).await, "", "{text}");
    }
    put(store, "Patient", "a", r#"{"gender":"other"}"#).await;
    assert!(matches!(store.read(&all(), &key).await.unwrap(), ResourceState::Current(v) if v.version == 4));
    for (version, gender) in [(1, "male"), (2, "female"), (4, "other")] {
        let ResourceState::Current(found) = store.vread(&all(), &key, version).await.unwrap() else {
            panic!("{version}")
        };
        assert!(String::from_utf8_lossy(&found.body.unwrap()).contains(gender));
    }
    assert!(matches!(store.vread(&all(), &key, 3).await.unwrap(), ResourceState::Deleted(_)));
    assert!(matches!(store.vread(&all(), &key, 9).await.unwrap(), ResourceState::Absent));
}

pub(crate) async fn a_stale_write_writes_nothing(store: &Arc<Store>) {
    let key = put(store, "Patient", "a", r#"{"gender":"male"}"#).await;
    let first = next(store, &key, Some(r#"{"gender":"female"}"#), None).await;
    let second = next(store, &key, Some(r#"{"gender":"other"}"#), None).await;
    let other = next(store, &Key::new("Patient", "b"), Some("{}"), None).await;
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &[first]).await.unwrap(), Commit::Done);
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &[second, other]).await.unwrap(), Commit::Stale);
    assert!(matches!(store.read(&all(), &Key::new("Patient", "b")).await.unwrap(), ResourceState::Absent));
    assert_eq!(search(store, "Patient?gender=female").await, "a");
}

pub(crate) async fn one_of_many_claimants_wins(store: &Arc<Store>) {
    for round in 0..20 {
        let mut tasks = Vec::new();
        for racer in 0..6 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                let criteria = format!("Patient?identifier=s|{round}");
                let claim = store.claim(&all(), &criteria).await.unwrap();
                if !store.matches(&all(), &query(&store, &criteria), 2).await.unwrap().is_empty() {
                    return false;
                }
                let key = Key::new("Patient", format!("r{round}-{racer}"));
                let body = format!(r#"{{"identifier":[{{"system":"s","value":"{round}"}}]}}"#);
                let write = next(&store, &key, Some(&body), Some(claim)).await;
                let timestamp = store.commit_timestamp().unwrap();
                store.commit(&all(), &timestamp, &[write]).await.unwrap() == Commit::Done
            }));
        }
        let mut won = 0;
        for task in tasks {
            won += usize::from(task.await.unwrap());
        }
        assert_eq!(won, 1, "round {round}");
    }
}

pub(crate) async fn many_writes_are_one_transaction(store: &Arc<Store>) {
    let old = put(store, "Patient", "old", r#"{"gender":"male","name":[{"family":"Old"}]}"#).await;
    let gone = put(store, "Patient", "gone", r#"{"gender":"male"}"#).await;
    let mut writes = vec![
        next(store, &old, Some(r#"{"gender":"female","name":[{"family":"New"}]}"#), None).await,
        next(store, &gone, None, None).await,
    ];
    for i in 0..300 {
        let key = Key::new("Observation", store.new_id());
        let body = format!(
            r#"{{"subject":{{"reference":"Patient/old"}},"valueQuantity":{{"value":{i}}},
            "effectiveDateTime":"2020-01-01","code":{{"coding":[{{"system":"s","code":"c{}"}}]}}}}"#,
            i % 3
        );
        writes.push(next(store, &key, Some(&body), None).await);
    }
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &writes).await.unwrap(), Commit::Done);
    assert_eq!(search(store, "Patient?family=new").await, "old");
    assert_eq!(search(store, "Patient?family=old").await, "");
    assert_eq!(search(store, "Patient?gender=male").await, "");
    let count = |text: &'static str| {
        let store = store.clone();
        async move { store.count(&all(), &query(&store, text)).await.unwrap().n }
    };
    assert_eq!(count("Observation?patient=old&code=s|c1").await, 100);
    assert_eq!(count("Observation?value-quantity=ge290").await, 10);
    assert_eq!(count("Observation?code=s|c1").await, 100);
}

/// Deletions and creations under one id, all at once: no version is ever there twice, and nothing freezes.
#[tokio::test]
async fn deleting_and_creating_take_turns() {
    let store = fhir_store::testing::fresh().await.unwrap();
    take_turns(&[store]).await;
}

pub(crate) async fn take_turns(stores: &[Arc<Store>]) {
    let store = stores[0].clone();
    let key = Key::new("Patient", "contested");
    let mut tasks = Vec::new();
    for racer in 0..4 {
        let (store, key) = (stores[racer % stores.len()].clone(), key.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..60 {
                let mut write = next(&store, &key, (racer % 2 == 0).then_some("{}"), None).await;
                if write.doc.is_none() && !matches!(write.before, ResourceState::Current(_)) {
                    continue;
                }
                write.method = if write.doc.is_some() { Method::Put } else { Method::Delete };
                let timestamp = store.commit_timestamp().unwrap();
                store.commit(&all(), &timestamp, &[write]).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let page = fhir_store::HistoryPage { count: 1000, ..Default::default() };
    let history =
        store.history(&all(), &fhir_store::HistoryTarget::Instance(key.clone()), &page).await.unwrap();
    let mut versions: Vec<u32> = history.versions.iter().map(|v| v.version).collect();
    versions.sort_unstable();
    assert_eq!(
        versions,
        (1..=versions.len() as u32).collect::<Vec<_>>(),
        "each version once, without a hole"
    );
    // The last of the others need not be visible yet.
    loop {
        let write = next(&store, &key, Some(r#"{"gender":"other"}"#), None).await;
        let timestamp = store.commit_timestamp().unwrap();
        if store.commit(&all(), &timestamp, &[write]).await.unwrap() == Commit::Done {
            break;
        }
    }
    super::parameters::until("it is visible", async || {
        search(&store, "Patient?gender=other").await == "contested"
    })
    .await;
}
