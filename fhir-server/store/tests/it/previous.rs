//! A database of the release before this one, with data, is migrated and serves as it did.
//!
//! `tests/data/previous.py` made it. With each release it is made anew, by the release that was.

use std::io::Read;

use fhir_store::{HistoryPage, HistoryTarget};
use flate2::read::GzDecoder;

use super::*;

const DUMP: &[u8] = include_bytes!("../data/previous.sql.gz");

/// The previous release's database, as it was left.
async fn restored() -> String {
    let mut sql = String::new();
    GzDecoder::new(DUMP).read_to_string(&mut sql).unwrap();
    let url = fhir_postgres::testing::database().await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    client.batch_execute(&sql).await.unwrap();
    drop(client);
    task.await.unwrap().unwrap();
    url
}

async fn body(store: &Store, type_name: &str, id: &str) -> String {
    match store.read(&all(), &Key::new(type_name, id)).await.unwrap() {
        ResourceState::Current(version) => String::from_utf8(version.body.unwrap().to_vec()).unwrap(),
        other => panic!("{type_name}/{id}: {other:?}"),
    }
}

#[tokio::test]
async fn a_database_of_the_previous_release_is_migrated() {
    let url = restored().await;
    fhir_store::migrate(&url).await.unwrap();
    // A second time there is nothing to do.
    fhir_store::migrate(&url).await.unwrap();
    let registry = fhir_store::testing::registry().await.unwrap();
    // By the settings that its server had: its entries are asked as they are.
    let options =
        fhir_store::Options { connections_max: 4, keep_settings: true, ..fhir_store::Options::default() };
    let store = Store::open(&url, options, registry).await.unwrap();

    // What is there, and what it was.
    assert!(body(&store, "Patient", "p4").await.contains("MRN-004"));
    assert!(body(&store, "Basic", "exact").await.contains("long long long"));
    let gone = store.read(&all(), &Key::new("Patient", "p2")).await.unwrap();
    assert!(matches!(gone, ResourceState::Deleted(version) if version.version == 2));
    let versions = [(1, "female"), (2, "other"), (3, "unknown"), (4, "female")];
    for (version, gender) in versions {
        let found = store.vread(&all(), &Key::new("Patient", "p1"), version).await.unwrap();
        let ResourceState::Current(found) = found else { panic!("version {version}") };
        let body: serde_json::Value = serde_json::from_slice(&found.body.unwrap()).unwrap();
        assert_eq!(body["gender"], gender, "version {version}: {body}");
    }
    let history = |of: HistoryTarget| {
        let store = store.clone();
        let page = HistoryPage { count: 1000, ..HistoryPage::default() };
        async move { store.history(&all(), &of, &page).await.unwrap().versions.len() }
    };
    assert_eq!(history(HistoryTarget::Instance(Key::new("Patient", "p1"))).await, 4);
    assert_eq!(history(HistoryTarget::Instance(Key::new("Patient", "p3"))).await, 3);
    assert_eq!(history(HistoryTarget::Type("Patient".into())).await, 13 + 3 + 1 + 2);

    // Every kind of index, and the parameter that the database has of its own.
    let count = |text: &'static str| {
        let store = store.clone();
        async move { store.count(&all(), &query(&store, text)).await.unwrap().n }
    };
    let mut wrong = Vec::new();
    for (text, found) in [
        ("Patient", 12),
        ("Patient?family=nal", 0),
        ("Patient?family=unal", 3),
        ("Patient?gender=other", 1),
        ("Patient?identifier=http://example.org/mrn|TX", 1),
        ("Patient?birthdate=lt1955", 4),
        ("Patient?eye=blue", 6),
        ("Patient?eye=brown", 5),
        ("Observation?patient=p5&code=http://loinc.org|8867-4", 2),
        ("Observation?value-quantity=ge80|http://unitsofmeasure.org|mm[Hg]", 4),
        ("Observation?date=2026-03", 3),
        ("Observation?subject:Patient.family=smith", 6),
        ("Patient?_has:Encounter:subject:class=AMB", 1),
        ("Condition?subject:Patient.identifier=TX", 1),
        ("Organization?partof=parent", 1),
    ] {
        let n = count(text).await;
        if n != found {
            wrong.push(format!("{text}: {n}, not {found}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // And it is written to as ever.
    let write = next(&store, &Key::new("Patient", "p1"), Some(r#"{"gender":"other"}"#), None).await;
    assert_eq!(write.version, 5);
    assert_eq!(
        store.commit(&all(), &store.commit_timestamp().unwrap(), &[write]).await.unwrap(),
        Commit::Done
    );
    let write = next(&store, &Key::new("Patient", "p2"), Some(r#"{"gender":"other"}"#), None).await;
    assert_eq!(write.version, 3);
    assert_eq!(
        store.commit(&all(), &store.commit_timestamp().unwrap(), &[write]).await.unwrap(),
        Commit::Done
    );
    assert_eq!(count("Patient?gender=other").await, 3);
    store.leave().await;
}
