//! Another format of the index: resources get its entries while the server answers.

mod figures;
mod formats;

use std::collections::BTreeSet;
use std::time::Duration;

use fhir_model::Kind;
use fhir_search::TenantId;
use fhir_search::index_hash::Form;
use fhir_search::param::Param;
use fhir_search::registry::index_change::{FormerEntries, IndexChange};
use fhir_search::rows::{Ordered, Rows, Text};
use fhir_store::{Options, ReindexOptions, ReindexState, testing};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::parameters::{fresh, until};
use super::reindex::entries;
use super::*;

/// Texts, a code, and a date that is no primary one.
const CHANGED: [&str; 4] = ["given", "name", "gender", "death-date"];

/// A format that makes entries of these parameters of Patient, where the one before made others.
fn next_format() -> IndexChange {
    IndexChange::Parameters {
        changed: |type_name, param| type_name == "Patient" && CHANGED.contains(&&*param.code),
        former: Some(former),
    }
}

/// As if the former format had kept other given names, and other ends of dates.
fn former(of: &FormerEntries<'_>) -> fhir_model::Result<Rows> {
    let mut rows = Rows::default();
    if *of.search.type_name != *"Patient" {
        return Ok(rows);
    }
    let key = |name: &str, form| of.hasher.key(of.search.number, name, form, &[]);
    let texts = ["given", "name"].map(|name| key(name, Form::Normalized));
    let texts = of.rows.strings.iter().filter(|e| texts.contains(&e.key) && e.value.starts_with("given"));
    rows.strings.extend(texts.map(|e| Text { value: format!("former {}", e.value), ..e.clone() }));
    let dates = key("death-date", Form::Ordered);
    let dates = of.rows.ordered.iter().filter(|e| e.key == dates);
    rows.ordered.extend(dates.map(|e| Ordered { extra: e.extra + 1, ..*e }));
    Ok(rows)
}

fn reindex(batch: usize, pause: Duration) -> ReindexOptions {
    ReindexOptions { batch, pause, lease: Duration::from_millis(500) }
}

/// It begins with one scan, and never comes to the next step within the time of a test.
fn held() -> ReindexOptions {
    reindex(1, Duration::from_secs(3600))
}

fn quick() -> ReindexOptions {
    reindex(3, Duration::ZERO)
}

async fn open(url: &str, formats: &[IndexChange], reindex: ReindexOptions) -> fhir_model::Result<Arc<Store>> {
    let options = Options {
        connections_max: 4,
        further_formats: formats.to_vec(),
        reindex,
        statement_timeout: Duration::from_secs(2),
        ..Options::default()
    };
    Store::open(url, options, testing::registry().await.unwrap()).await
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn patient(n: usize, given: &str) -> String {
    json!({
        "name": [{"family": format!("Family{n}"), "given": [given, format!("Second{n}")]}],
        "gender": if n.is_multiple_of(2) { "male" } else { "female" },
        "birthDate": format!("19{:02}-01-01", n % 100),
        "deceasedDateTime": format!("2020-01-{:02}", n % 28 + 1),
    })
    .to_string()
}

/// An Observation that contains the Patient it is about.
fn observation(given: &str) -> String {
    json!({
        "status": "final", "code": {"text": "x"}, "subject": {"reference": "#p"},
        "contained": [{"resourceType": "Patient", "id": "p", "gender": "male", "name": [{"given": [given]}]}],
    })
    .to_string()
}

/// A body without what the changed parameters look at, wherever it stands.
fn without_changed(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["gender", "given", "deceasedDateTime"] {
                members.remove(name);
            }
            members.values_mut().for_each(without_changed);
        }
        Value::Array(items) => items.iter_mut().for_each(without_changed),
        _ => {}
    }
}

/// Makes the entries of all resources those of the former format: what the changed parameters leave is not there, but what `former`
/// names is.
async fn make_former(store: &Store, client: &Client) {
    let registry = store.registry();
    let sql = "select handle, type_id, coalesce(id, ''), json::text from resource order by handle";
    for row in client.query(sql, &[]).await.unwrap() {
        let (handle, type_id, id): (i64, i32, String) = (row.get(0), row.get(1), row.get(2));
        let type_name = registry.definitions().type_name(u16::try_from(type_id).unwrap()).unwrap();
        let key = Key::new(type_name, id);
        let rows = |text: &str| {
            let doc = Doc::parse(text.to_owned(), JsonLimits::default()).unwrap();
            store.index_rows(TenantId::DEFAULT, &key, &doc).unwrap()
        };
        let text: &str = row.get(3);
        let mut less: Value = serde_json::from_str(text).unwrap();
        without_changed(&mut less);
        let (all, less) = (rows(text), rows(&less.to_string()));
        for entry in all.strings.iter().filter(|e| !less.strings.contains(e)) {
            let sql = match *type_name == *"Patient" && entry.value.starts_with("given") {
                true => {
                    "update string_entry set value = 'former ' || value where key = $1 and value = $2 and handle = $3"
                }
                false => "delete from string_entry where key = $1 and value = $2 and handle = $3",
            };
            client.execute(sql, &[&entry.key, &entry.value, &handle]).await.unwrap();
        }
        for entry in all.ordered.iter().filter(|e| !less.ordered.contains(e)) {
            let sql =
                "update ordered_entry set extra = extra + 1 where key = $1 and value = $2 and handle = $3";
            client.execute(sql, &[&entry.key, &entry.value, &handle]).await.unwrap();
        }
        let beginnings = Some(less.prefix_hashes).filter(|all| !all.is_empty());
        let sql = "update resource set keys = $2, beginnings = $3, present = $4 where handle = $1";
        client.execute(sql, &[&handle, &less.keys, &beginnings, &less.present]).await.unwrap();
    }
}

/// A database of the former format.
async fn former_database(patients: usize) -> (String, Client) {
    let (store, url) = fresh().await;
    for n in 0..patients {
        put(&store, "Patient", &format!("p{n}"), &patient(n, &format!("Given{n}"))).await;
    }
    put(&store, "Observation", "o", &observation("Given0")).await;
    put(&store, "Organization", "org", r#"{"name": "Given"}"#).await;
    let client = connect(&url).await;
    let whole = entries(&url).await;
    make_former(&store, &client).await;
    assert_ne!(entries(&url).await, whole);
    store.leave().await;
    (url, client)
}

/// The entries of a database into which the current versions were written by a build of the later format alone.
async fn fresh_load(from: &Store, client: &Client, formats: &[IndexChange]) -> Vec<String> {
    let url = testing::database().await.unwrap();
    let other = connect(&url).await;
    // What is kept are hashes under the database's secret.
    for row in client.query("select name, value from setting where name like 'secret.%'", &[]).await.unwrap()
    {
        let (name, value): (String, Vec<u8>) = (row.get(0), row.get(1));
        let sql =
            "insert into setting (name, value) values ($1, $2) on conflict (name) do update set value = $2";
        other.execute(sql, &[&name, &value]).await.unwrap();
    }
    let store = open(&url, formats, quick()).await.unwrap();
    for row in client.query("select type_id, id, json::text from resource", &[]).await.unwrap() {
        let number = u16::try_from(row.get::<_, i32>(0)).unwrap();
        let type_name = from.registry().definitions().type_name(number).unwrap().to_owned();
        let mut body: Value = serde_json::from_str(row.get(2)).unwrap();
        for own in ["resourceType", "id", "meta"] {
            body.as_object_mut().unwrap().remove(own);
        }
        put(&store, &type_name, row.get(1), &body.to_string()).await;
    }
    store.leave().await;
    entries(&url).await
}

async fn delete(store: &Store, id: &str) {
    let write = next(store, &Key::new("Patient", id), None, None).await;
    let done = store.commit(&all(), &store.commit_timestamp().unwrap(), &[write]).await.unwrap();
    assert_eq!(done, Commit::Done);
}

async fn is_done(store: &Store) -> bool {
    let jobs = store.reindex_jobs(&all()).await.unwrap();
    jobs.iter().all(|job| job.state == ReindexState::Done) && store.registry().pending_change().is_none()
}

async fn formats_of(client: &Client) -> (i32, i32) {
    let row = client.query_one("select format, format_wanted from search_version", &[]).await.unwrap();
    (row.get(0), row.get(1))
}

fn refused(store: &Arc<Store>, text: &str) -> bool {
    match parse(store, text) {
        Ok(_) => false,
        Err(e) => {
            assert!(e.kind == Kind::Unavailable && e.text.contains("is being indexed"), "{text}: {e}");
            true
        }
    }
}

/// Searches that rely on what changes, and what they find of what `former_database` holds.
const RELYING: [(&str, &str); 10] = [
    ("Patient?given=given1", "p1"),
    ("Patient?name=given1", "p1"),
    ("Patient?gender=female&_sort=_id", "p1 p3"),
    ("Patient?death-date=2020-01-03", "p2"),
    ("Patient?given:missing=true", ""),
    ("Patient?_id=p0,p1&_sort=-gender", "p0 p1"),
    ("Patient?_sort=-death-date", "p3 p2 p1 p0"),
    ("Observation?subject:Patient.given=given0", "o"),
    ("Observation?patient.gender=male", "o"),
    ("Patient?_filter=gender eq female and given eq Given3", "p3"),
];

/// What does not, is answered at once.
const OTHERS: [(&str, &str); 5] = [
    ("Patient?family=family2", "p2"),
    ("Patient?_id=p0,p1&_sort=birthdate", "p0 p1"),
    ("Patient?birthdate=gt1902", "p3"),
    ("Observation?patient.birthdate:missing=true", "o"),
    ("Organization?name=given", "org"),
];

#[tokio::test]
async fn a_server_answers_while_resources_are_indexed_anew() {
    let (url, client) = former_database(4).await;
    let (former, _) = formats_of(&client).await;
    let format = [next_format()];
    let store = open(&url, &format, held()).await.unwrap();
    // Others begin in the middle; none walks.
    let other = open(&url, &format, held()).await.unwrap();
    assert_eq!(formats_of(&client).await, (former, former + 1));
    for store in [&store, &other] {
        for (text, _) in RELYING {
            assert!(refused(store, text), "{text}");
        }
        for (text, found) in OTHERS {
            assert_eq!(search(store, text).await, found, "{text}");
        }
    }
    put(&other, "Patient", "p4", &patient(4, "Given4")).await;
    let read = store.read(&all(), &Key::new("Patient", "p4")).await.unwrap();
    assert!(matches!(read, ResourceState::Current(_)));
    delete(&store, "p4").await;
    for store in [store, other] {
        store.leave().await;
    }
    // A build of the former format would write its entries.
    let refused_build = open(&url, &[], quick()).await.unwrap_err();
    assert!(refused_build.text.contains("a later build"), "{refused_build}");
    let (store, other) =
        (open(&url, &format, quick()).await.unwrap(), open(&url, &format, held()).await.unwrap());
    for store in [&store, &other] {
        until("all is indexed", async || is_done(store).await).await;
        for (text, found) in RELYING.into_iter().chain(OTHERS) {
            assert_eq!(search(store, text).await, found, "{text}");
        }
    }
    assert_eq!(formats_of(&client).await, (former + 1, former + 1));
    assert_eq!(entries(&url).await, fresh_load(&store, &client, &format).await);
}

/// Versions of rows that the walk has not come to are replaced and deleted with what the former format left, and leave what the
/// later one does.
#[tokio::test]
async fn writes_meanwhile_leave_what_a_fresh_load_does() {
    let (url, client) = former_database(12).await;
    let format = [next_format()];
    let store = open(&url, &format, held()).await.unwrap();
    let change = async |store: &Arc<Store>, turn: usize| {
        // The same again, another text, nothing of it, gone, gone and back, new, several at once.
        put(store, "Patient", "p0", &patient(0, "Given0")).await;
        put(store, "Patient", "p1", &patient(1, &format!("Turn{turn}"))).await;
        put(store, "Patient", "p2", r#"{"birthDate": "1990-01-01"}"#).await;
        delete(store, &format!("p{}", 3 + turn % 4)).await;
        put(store, "Patient", &format!("p{}", 3 + turn % 4), &patient(turn, "Given3")).await;
        put(store, "Patient", &format!("n{turn}"), &patient(turn, &format!("New{turn}"))).await;
        put(store, "Observation", "o", &observation(&format!("Turn{turn}"))).await;
        let mut writes = Vec::new();
        for (id, body) in [("p7", Some(patient(7, &format!("Turn{turn}")))), ("p8", None)] {
            writes.push(next(store, &Key::new("Patient", id), body.as_deref(), None).await);
        }
        let done = store.commit(&all(), &store.commit_timestamp().unwrap(), &writes).await.unwrap();
        assert_eq!(done, Commit::Done);
    };
    change(&store, 0).await;
    delete(&store, "p9").await;
    // What was written has nothing of the former format, what was deleted nothing at all, before any walk.
    let gone = "select count(*) from string_entry e where e.handle not in (select handle from resource) \
        or (e.value like 'former %' and e.handle in (select handle from resource where id in ('p0', 'p1', 'p2', 'p3', 'p7', 'n0')))";
    assert_eq!(client.query_one(gone, &[]).await.unwrap().get::<_, i64>(0), 0);
    let left = "select count(*) from string_entry e where e.value like 'former %'";
    assert!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) > 0, "some rows are as they were");
    store.leave().await;
    drop(store);
    let store = open(&url, &format, reindex(1, Duration::from_millis(20))).await.unwrap();
    let mut turn = 1;
    while !is_done(&store).await {
        put(&store, "Patient", "p8", &patient(8, "Back")).await;
        change(&store, turn).await;
        turn += 1;
    }
    assert!(turn > 2, "the walk was over too soon to tell anything");
    assert_eq!(search(&store, &format!("Patient?given=turn{}&_sort=_id", turn - 1)).await, "p1 p7");
    assert_eq!(entries(&url).await, fresh_load(&store, &client, &format).await);
}

/// What was killed is gone on with where it was, and answers at once.
#[tokio::test]
async fn a_walk_goes_on_after_a_restart() {
    let (url, client) = former_database(20).await;
    let format = [next_format()];
    let first = open(&url, &format, reindex(2, Duration::from_millis(100))).await.unwrap();
    let job = async |store: &Store| {
        let jobs = store.reindex_jobs(&all()).await.unwrap();
        jobs.into_iter().find(|job| *job.type_name == *"Patient").unwrap()
    };
    until("the walk is under way", async || job(&first).await.done >= 4).await;
    drop(first);
    let second = open(&url, &format, reindex(1, Duration::from_millis(20))).await.unwrap();
    let mut least = job(&second).await.done;
    assert!((4..20).contains(&least), "{least}");
    assert!(refused(&second, "Patient?given=given1"));
    assert_eq!(search(&second, "Patient?family=family5").await, "p5");
    until("the walk is over", async || {
        let now = job(&second).await;
        assert!(now.done >= least, "{now:?} after {least}: it began anew");
        least = now.done;
        is_done(&second).await
    })
    .await;
    assert_eq!(entries(&url).await, fresh_load(&second, &client, &format).await);
}

/// Each type is searched by what changes when it is done, while others are not.
#[tokio::test]
async fn types_are_done_one_by_one() {
    let (url, client) = former_database(4).await;
    let format = [IndexChange::Parameters {
        changed: |_, param| matches!(&*param.code, "given" | "gender" | "death-date" | "name"),
        former: Some(former),
    }];
    let lock = async |type_name: &str| {
        let number = testing::registry().await.unwrap().number(type_name).unwrap();
        let holder = connect(&url).await;
        let sql = format!("begin; select from resource where type_id = {number} for update");
        holder.batch_execute(&sql).await.unwrap();
        holder
    };
    let [patients, observations] = [lock("Patient").await, lock("Observation").await];
    let store = open(&url, &format, quick()).await.unwrap();
    until("Organizations are done", async || !refused(&store, "Organization?name=given")).await;
    assert_eq!(search(&store, "Organization?name=given").await, "org");
    assert!(refused(&store, "Patient?given=given1") && refused(&store, "Patient?name=given1"));
    assert!(refused(&store, "Observation?subject:Patient.given=given0"));
    let types: BTreeSet<_> = store.registry().pending_change().unwrap().types.keys().cloned().collect();
    assert!(types.contains("Patient") && !types.contains("Organization"), "{types:?}");
    patients.batch_execute("rollback").await.unwrap();
    until("Patients are done", async || !refused(&store, "Patient?given=given1")).await;
    assert_eq!(search(&store, "Patient?given=given1").await, "p1");
    // An Observation may contain the Patient that is asked for.
    assert!(refused(&store, "Observation?subject:Patient.given=given0"));
    observations.batch_execute("rollback").await.unwrap();
    until("all is indexed", async || is_done(&store).await).await;
    assert_eq!(search(&store, "Observation?subject:Patient.given=given0").await, "o");
    assert_eq!(entries(&url).await, fresh_load(&store, &client, &format).await);
}

/// Canonical urls are looked up by what their resources leave under `url`, whatever is searched.
#[tokio::test]
async fn canonical_urls_are_refused_meanwhile() {
    let (store, url) = fresh().await;
    put(&store, "Questionnaire", "q", r#"{"status": "active", "url": "http://q"}"#).await;
    put(&store, "QuestionnaireResponse", "r", r#"{"status": "completed", "questionnaire": "http://q"}"#)
        .await;
    let body = r#"{"status": "active", "url": "http://v", "expansion": {"contains": [{"system": "s", "code": "c"}]}}"#;
    put(&store, "ValueSet", "v", body).await;
    store.leave().await;
    let format = [IndexChange::Parameters {
        changed: |type_name, param| {
            matches!(type_name, "Questionnaire" | "ValueSet") && *param.code == *"url"
        },
        former: None,
    }];
    let asked = [
        "QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire",
        "QuestionnaireResponse?_sort=questionnaire.title",
        "Observation?code:in=http://v",
    ];
    let store = open(&url, &format, held()).await.unwrap();
    for text in asked {
        let refused = store.search(&all(), &query(&store, text)).await.unwrap_err();
        assert!(
            refused.kind == Kind::Unavailable && refused.text.contains("`url` is being"),
            "{text}: {refused}"
        );
    }
    store.leave().await;
    let store = open(&url, &format, quick()).await.unwrap();
    until("all is indexed", async || is_done(&store).await).await;
    for (text, found) in asked.into_iter().zip(["r", "r", ""]) {
        assert_eq!(search(&store, text).await, found, "{text}");
    }
}

/// What every answer relies on is made before any is given; so are the entries of other settings.
#[tokio::test]
async fn what_every_answer_relies_on_is_indexed_first() {
    let references =
        IndexChange::Parameters { changed: |_: &str, param: &Param| *param.code == *"subject", former: None };
    for (formats, references) in [
        (vec![IndexChange::Everything], false),
        (vec![next_format(), references], false),
        (vec![next_format()], true),
    ] {
        let (url, client) = former_database(4).await;
        let holder = connect(&url).await;
        holder.batch_execute("begin; select from resource for update").await.unwrap();
        let options = Options {
            connections_max: 4,
            further_formats: formats.clone(),
            settings: fhir_search::IndexSettings { references, ..Default::default() },
            ..Options::default()
        };
        let registry = testing::registry().await.unwrap();
        let opening = {
            let url = url.clone();
            tokio::spawn(async move { Store::open(&url, options, registry).await })
        };
        let walks = "select count(*) from reindex where walking is not null";
        until("the walk has begun", async || {
            client.query_one(walks, &[]).await.unwrap().get::<_, i64>(0) > 0
        })
        .await;
        assert!(!opening.is_finished(), "{formats:?} {references}");
        holder.batch_execute("rollback").await.unwrap();
        let store = opening.await.unwrap().unwrap();
        assert!(is_done(&store).await);
        for (text, found) in RELYING {
            assert_eq!(search(&store, text).await, found, "{text} {formats:?}");
        }
    }
}

/// Another process with the same format is no reason to wait, one with another is.
#[tokio::test]
async fn processes_of_the_former_build_are_stopped_first() {
    let (url, _) = former_database(1).await;
    let former = open(&url, &[], quick()).await.unwrap();
    let refused = open(&url, &[next_format()], quick()).await.unwrap_err();
    assert!(refused.text.contains("another process"), "{refused}");
    former.leave().await;
    open(&url, &[next_format()], quick()).await.unwrap();
}
