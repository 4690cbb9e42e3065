//! Indexes that are made anew.

use fhir_model::date::Zone;
use fhir_search::{Bases, IndexSettings};
use fhir_store::{Options, ReindexOptions, ReindexState, testing};

use super::parameters::{fresh, index, open, patients, until};
use super::*;

/// A build that makes other entries gives them to all that is there before it answers, and goes on where it was stopped.
#[tokio::test]
async fn an_index_of_an_earlier_build_is_made_anew_first() {
    let (store, url) = fresh().await;
    patients(&store, 7).await;
    let whole = index(&url).await;
    store.leave().await;
    drop(store);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let format = async || {
        let row = client.query_one("select format, version from search_version", &[]).await.unwrap();
        (row.get::<_, i32>(0), row.get::<_, i64>(1))
    };
    let (ours, version) = format().await;
    // A walk of old over a type that has no resources any more is none of this.
    let empty = "insert into reindex (type_id, wanted, done, until_at, position_at, position_handle, rows_done) \
        values (63, 0, 0, 0, 0, 0, 0)";
    client.batch_execute(empty).await.unwrap();
    let lost = "delete from string_entry; update resource set keys = '{}', beginnings = null, present = 0;";
    client
        .batch_execute(&format!("{lost} update search_version set format = 0, format_wanted = 0"))
        .await
        .unwrap();
    let store = open(&url, ReindexOptions { batch: 3, ..ReindexOptions::default() }).await;
    assert_eq!(search(&store, "Patient?given=given3").await, "p3");
    assert_eq!(index(&url).await, whole);
    assert_eq!(format().await, (ours, version + 2));
    store.leave().await;
    drop(store);
    // Stopped after the first three: they are not looked at again.
    let stopped = "update search_version set format = 0; \
        update reindex j set done = 0, walking = j.wanted, rows_done = 3, position_at = r.updated_at, \
        position_handle = r.handle from (select updated_at, handle from resource order by 1, 2 offset 2 limit 1) r";
    client.batch_execute(&format!("{lost} {stopped}")).await.unwrap();
    let store = open(&url, ReindexOptions { batch: 3, ..ReindexOptions::default() }).await;
    assert_eq!(search(&store, "Patient?given=given2").await, "");
    assert_eq!(search(&store, "Patient?given=given3").await, "p3");
    assert_eq!(format().await, (ours, version + 3));
    client.batch_execute("update search_version set format = format + 1").await.unwrap();
    let registry = testing::registry().await.unwrap();
    let refused = Store::open(&url, Options::default(), registry).await.unwrap_err();
    assert!(refused.text.contains("a later build"), "{refused}");
}

/// Entries that went missing come back, and resources stay as they are.
#[tokio::test]
async fn an_index_is_made_anew() {
    let (store, url) = fresh().await;
    patients(&store, 7).await;
    let whole = index(&url).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    client
        .batch_execute("delete from string_entry; update resource set keys = '{}', present = 0")
        .await
        .unwrap();
    drop(client);
    task.abort();
    assert_eq!(search(&store, "Patient?given=given3").await, "");
    store.reindex(&all(), &["Patient", "Group"]).await.unwrap();
    let jobs = async || store.reindex_jobs(&all()).await.unwrap();
    until("all is done", async || jobs().await.iter().all(|job| job.state == ReindexState::Done)).await;
    assert_eq!(index(&url).await, whole);
    assert_eq!(search(&store, "Patient?given=given3").await, "p3");
    let counts: Vec<_> = jobs().await.into_iter().map(|job| (job.type_name, job.done, job.total)).collect();
    assert_eq!(counts, [("Group".into(), 0, 0), ("Patient".into(), 7, 7)]);
    let ResourceState::Current(version) = store.read(&all(), &Key::new("Patient", "p3")).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(version.version, 1);
}

async fn with(url: &str, settings: &IndexSettings) -> fhir_model::Result<Arc<Store>> {
    let reindex = ReindexOptions { batch: 3, ..ReindexOptions::default() };
    let options = Options { connections_max: 4, reindex, settings: settings.clone(), ..Options::default() };
    Store::open(url, options, testing::registry().await.unwrap()).await
}

/// All entries there are, of whatever kind, as texts.
pub(super) async fn entries(url: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    let mut all = Vec::new();
    for sql in [
        "select e::text from ordered_entry e order by e.key, e.value, e.handle, e.extra",
        "select e::text from string_entry e order by e.key, e.value, e.handle",
        "select (r.handle, r.date, r.date_high, r.primary_code, r.patient, r.present, r.keys, r.beginnings)::text \
         from resource r order by r.handle",
    ] {
        all.extend(client.query(sql, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
    }
    drop(client);
    task.abort();
    all
}

/// The version of what is to be indexed, which each walk that is asked for makes one more.
async fn walks_asked_for(url: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query_one("select version from search_version", &[]).await.unwrap().get(0)
}

/// What each setting changes: a search that finds something under some settings alone.
#[tokio::test]
async fn other_settings_make_the_index_anew_first() {
    let (store, url) = fresh().await;
    for (type_name, id, body) in [
        (
            "Observation",
            "night",
            r#"{"status":"final","code":{"text":"x"},"effectiveDateTime":"2026-11-29T22:30:00Z"}"#,
        ),
        (
            "Observation",
            "day",
            r#"{"status":"final","code":{"coding":[{"system":"http://c","code":"Mg"}]},
            "effectiveDateTime":"2026-11-30","issued":"2026-11-29T22:30:00Z","subject":{"reference":"http://b/fhir/Patient/p"}}"#,
        ),
        (
            "Patient",
            "p",
            r#"{"birthDate":"1990-01-01","deceasedDateTime":"2026-11-30","identifier":[{"value":"Ab"}],
            "name":[{"family":"Ng'ang'a","period":{"start":"2020"}}]}"#,
        ),
        (
            "Encounter",
            "e",
            r#"{"status":"finished","class":{"code":"Amb"},"subject":{"reference":"http://c/fhir/Patient/p"},
            "period":{"start":"2026-11-30","end":"2026-12-01"}}"#,
        ),
    ] {
        put(&store, type_name, id, body).await;
    }
    store.leave().await;
    drop(store);
    let of = |zone: &str, base: &[&str], fold_codes: bool| IndexSettings {
        zone: Zone::parse(zone).unwrap(),
        bases: Bases::new(base),
        fold_codes,
        references: false,
    };
    let plain = IndexSettings::default();
    let nairobi = of("Africa/Nairobi", &["http://b/fhir"], true);
    let other = of("America/New_York", &["http://b/fhir", "http://c/fhir"], false);
    let searches: &[(&str, &str, &str, &str)] = &[
        ("Observation?date=2026-11-30&_sort=_id", "day", "day night", "day"),
        ("Observation?date=2026-11-29&_sort=_id", "night", "", "night"),
        ("Observation?date=lt2026-11-29T23:00:00Z&_sort=_id", "night", "day night", "night"),
        ("Patient?death-date=ge2026-11-30T04:30:00Z", "p", "p", "p"),
        ("Patient?death-date=lt2026-11-30T02:00:00Z", "p", "p", ""),
        ("Patient?death-date=lt2026-11-29T22:00:00Z", "", "p", ""),
        ("Observation?patient=p", "", "day", "day"),
        ("Observation?subject=http://b/fhir/Patient/p", "day", "day", "day"),
        ("Encounter?patient=p", "", "", "e"),
        ("Patient?_has:Encounter:patient:status=finished", "", "", "p"),
        ("Patient?identifier=AB", "", "p", ""),
        ("Observation?code=http://c|mg", "", "day", ""),
        ("Encounter?class=amb", "", "e", ""),
        ("Patient?family=nganga", "p", "p", "p"),
    ];
    let mut whole = Vec::new();
    for settings in [&plain, &nairobi, &other] {
        let store = with(&url, settings).await.unwrap();
        let at = whole.len();
        for (text, first, second, third) in searches {
            assert_eq!(search(&store, text).await, [*first, *second, *third][at], "{text} by {settings:?}");
        }
        whole.push(entries(&url).await);
        store.leave().await;
        drop(store);
        // Again with the same: there is nothing to do.
        let before = walks_asked_for(&url).await;
        let store = with(&url, settings).await.unwrap();
        assert_eq!((walks_asked_for(&url).await, entries(&url).await), (before, whole[at].clone()));
        store.leave().await;
    }
    // Nothing is left of the settings between.
    let store = with(&url, &plain).await.unwrap();
    assert_eq!(entries(&url).await, whole[0]);
    store.leave().await;
    drop(store);
    // A walk that another setting cuts off leaves nothing either: what is known of both goes.
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let cut_off = serde_json::json!([plain.to_text(), nairobi.to_text()]).to_string();
    let store = with(&url, &nairobi).await.unwrap();
    store.leave().await;
    drop(store);
    client.execute("update search_version set index_settings = $1", &[&cut_off]).await.unwrap();
    let store = with(&url, &other).await.unwrap();
    assert_eq!(entries(&url).await, whole[2]);
    let row = client.query_one("select index_settings from search_version", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), serde_json::json!([other.to_text()]).to_string());
    // Programs beside the server go by what it goes by.
    let options = Options { keep_settings: true, connections_max: 4, ..Options::default() };
    let beside = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
    assert_eq!(beside.zone().name(), "America/New_York");
    beside.leave().await;
    drop(beside);
    // Beside a process that lives nobody begins with other settings; with the same anybody does.
    let refused = with(&url, &plain).await.unwrap_err();
    assert!(refused.text.contains("another process") && refused.text.contains("time_zone"), "{refused}");
    assert!(refused.text.contains("America/New_York"), "{refused}");
    let same = with(&url, &other).await.unwrap();
    same.leave().await;
    assert_eq!(search(&store, "Encounter?patient=p").await, "e");
}

/// A process that was taken for dead while another one began with other settings writes no more.
#[tokio::test]
async fn a_process_that_others_have_overtaken_writes_no_more() {
    let (store, url) = fresh().await;
    put(&store, "Patient", "p", r#"{"birthDate":"1990-01-01"}"#).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    assert!(store.refresh_catalog().await.is_ok());
    let theirs = IndexSettings { fold_codes: true, ..IndexSettings::default() };
    let theirs = serde_json::json!([theirs.to_text()]).to_string();
    client.execute("update search_version set index_settings = $1", &[&theirs]).await.unwrap();
    let error = store.refresh_catalog().await.unwrap_err();
    assert_eq!(error.kind, fhir_model::Kind::Internal);
}
