//! Search parameters that come and go at runtime.

use std::sync::Arc;
use std::time::Duration;

use fhir_model::Key;
use fhir_search::custom::Stage;
use fhir_store::{Commit, Options, ReindexJob, ReindexOptions, ReindexState, ResourceState, Store, testing};
use serde_json::{Value, json};

use super::{all, next, put, search};

/// How long something may take that other processes have to notice.
const PATIENCE: Duration = Duration::from_secs(60);

/// A definition of Patient.
fn definition(code: &str, kind: &str, expression: &str) -> Value {
    json!({
        "url": format!("http://example.org/{code}"), "name": code, "status": "active", "description": "d",
        "code": code, "base": ["Patient"], "type": kind, "expression": expression,
    })
}

async fn define(store: &Store, id: &str, definition: &Value) -> Key {
    put(store, "SearchParameter", id, &definition.to_string()).await
}

async fn refused(store: &Store, id: &str, definition: &Value) -> String {
    let key = Key::new("SearchParameter", id);
    let write = next(store, &key, Some(&definition.to_string()), None).await;
    let error = store.commit(&all(), &store.commit_timestamp().unwrap(), &[write]).await.unwrap_err();
    assert_eq!(error.kind.status(), 422, "{error}");
    error.text
}

async fn delete(store: &Store, key: &Key) {
    let write = next(store, key, None, None).await;
    let done = store.commit(&all(), &store.commit_timestamp().unwrap(), &[write]).await.unwrap();
    assert_eq!(done, Commit::Done);
}

/// Waits until something is as it should be.
pub(super) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn stage(store: &Store, code: &str) -> Option<Stage> {
    let customs = store.registry().customs();
    customs
        .iter()
        .filter(|c| c.stage != Stage::Retiring)
        .find(|c| *c.definition.code == *code)
        .map(|c| c.stage)
}

async fn ready(store: &Store, code: &str) {
    until(&format!("{code} is ready"), async || stage(store, code) == Some(Stage::Ready)).await;
}

/// Waits until nothing is left of any.
async fn nothing(store: &Store) {
    until("all are gone", async || store.registry().customs().is_empty()).await;
}

pub(super) async fn patients(store: &Store, count: usize) {
    for n in 0..count {
        let nick = if n % 2 == 0 { "even" } else { "odd" };
        let body = json!({
            "name": [{"text": format!("{nick} {n}"), "given": [format!("Given{n}")]}],
            "multipleBirthInteger": n, "birthDate": format!("19{:02}-01-01", n % 100),
            "extension": [{"url": "http://e/colour", "valueCode": nick}],
            "maritalStatus": {"text": format!("{nick} one")},
        });
        put(store, "Patient", &format!("p{n}"), &body.to_string()).await;
    }
}

async fn ids(store: &Arc<Store>, text: &str) -> String {
    let found = search(store, text).await;
    let mut found: Vec<&str> = found.split(' ').filter(|id| !id.is_empty()).collect();
    found.sort_by_key(|id| id.trim_start_matches('p').parse::<usize>().unwrap_or(0));
    found.join(" ")
}

/// Entries by order, entries by text, and equality keys, without those of SearchParameters themselves.
pub(super) async fn index(url: &str) -> [i64; 3] {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    let number = i32::from(testing::registry().await.unwrap().number("SearchParameter").unwrap());
    let mut counts = Vec::new();
    for sql in [
        "select count(*) from ordered_entry e where e.handle not in (select handle from resource where type_id = $1)",
        "select count(*) from string_entry e where e.handle not in (select handle from resource where type_id = $1)",
        "select coalesce(sum(cardinality(r.keys)), 0)::int8 from resource r where r.type_id <> $1",
    ] {
        counts.push(client.query_one(sql, &[&number]).await.unwrap().get(0));
    }
    drop(client);
    task.abort();
    counts.try_into().unwrap()
}

/// Defines these before there is anything else, and then puts the patients of another store: nothing is left to a job.
async fn from_the_start(definitions: &[Value], from: &Store, count: usize) -> [i64; 3] {
    let (store, url) = fresh().await;
    for (n, definition) in definitions.iter().enumerate() {
        define(&store, &format!("d{n}"), definition).await;
    }
    for definition in definitions {
        ready(&store, definition["code"].as_str().unwrap()).await;
    }
    for n in 0..count {
        let found = from.read(&all(), &Key::new("Patient", format!("p{n}"))).await.unwrap();
        let ResourceState::Current(version) = found else { continue };
        let mut body: Value = serde_json::from_slice(&version.body.unwrap()).unwrap();
        for own in ["resourceType", "id", "meta"] {
            body.as_object_mut().unwrap().remove(own);
        }
        put(&store, "Patient", &format!("p{n}"), &body.to_string()).await;
    }
    index(&url).await
}

pub(super) async fn fresh() -> (Arc<Store>, String) {
    let url = testing::database().await.unwrap();
    (open(&url, ReindexOptions { batch: 3, ..ReindexOptions::default() }).await, url)
}

pub(super) async fn open(url: &str, reindex: ReindexOptions) -> Arc<Store> {
    let options = Options { connections_max: 4, reindex, ..Options::default() };
    Store::open(url, options, testing::registry().await.unwrap()).await.unwrap()
}

/// One of each kind: what was there before is found once it is ready, what comes later at once.
#[tokio::test]
async fn old_and_new_resources_are_found() {
    let (store, url) = fresh().await;
    patients(&store, 8).await;
    let definitions = [
        definition("nick", "string", "Patient.name.text"),
        definition("birth-order", "number", "Patient.multipleBirth as integer"),
        definition("colour", "token", "Patient.extension('http://e/colour').value"),
        definition("born", "date", "Patient.birthDate"),
        definition("married", "token", "Patient.maritalStatus"),
    ];
    for (n, definition) in definitions.iter().enumerate() {
        define(&store, &format!("d{n}"), definition).await;
    }
    for definition in &definitions {
        ready(&store, definition["code"].as_str().unwrap()).await;
    }
    put(&store, "Patient", "p9", r#"{"name": [{"text": "odd 9"}], "multipleBirthInteger": 9}"#).await;
    for (query, found) in [
        ("nick=odd", "p1 p3 p5 p7 p9"),
        ("nick:contains=n 4", "p4"),
        ("birth-order=gt5", "p6 p7 p9"),
        ("colour=even", "p0 p2 p4 p6"),
        ("married:text=ODD", "p1 p3 p5 p7"),
        ("colour:missing=true", "p9"),
        ("born=lt1903", "p0 p1 p2"),
        ("nick=odd&birth-order=lt6", "p1 p3 p5"),
    ] {
        assert_eq!(ids(&store, &format!("Patient?{query}")).await, found, "{query}");
    }
    assert_eq!(search(&store, "Patient?nick=odd&_sort=-birth-order").await, "p9 p7 p5 p3 p1");
    assert_eq!(search(&store, "Patient?colour=odd&_sort=colour,-born").await, "p7 p5 p3 p1");
    let job = store.reindex_jobs(&all()).await.unwrap().remove(0);
    let done = ReindexJob {
        type_name: "Patient".into(),
        state: ReindexState::Done,
        done: 8,
        total: 8,
        failure: None,
    };
    assert_eq!(job, done);
    assert_eq!(index(&url).await, from_the_start(&definitions, &store, 10).await);
}

/// What stood within resources before is found by chains: only the type that the parameter is of is indexed anew.
#[tokio::test]
async fn contained_resources_are_found_by_added_parameters() {
    let (store, _) = fresh().await;
    let containing = |nick: &str| {
        json!({
            "subject": {"reference": "#p"}, "performer": [{"reference": "#p"}],
            "contained": [{"resourceType": "Patient", "id": "p", "gender": "male", "name": [{"text": nick}]}],
        })
        .to_string()
    };
    put(&store, "Observation", "p1", &containing("odd one")).await;
    define(&store, "d0", &definition("nick", "string", "Patient.name.text")).await;
    ready(&store, "nick").await;
    put(&store, "Observation", "p2", &containing("even one")).await;
    put(&store, "Observation", "p3", &containing("odd three")).await;
    for (query, found) in [
        ("subject:Patient.nick=odd", "p1 p3"),
        ("subject:Patient.nick=odd&subject:Patient.gender=male", "p1 p3"),
        ("subject:Patient.nick:exact=odd one", "p1"),
        ("patient.nick:missing=false", "p1 p2 p3"),
        ("_filter=patient.nick sw odd", "p1 p3"),
    ] {
        assert_eq!(ids(&store, &format!("Observation?{query}")).await, found, "{query}");
    }
}

/// Composites of R4's parameters and of added ones, of the whole resource and of elements.
#[tokio::test]
async fn composites_are_added() {
    let (store, url) = fresh().await;
    patients(&store, 8).await;
    let colour = definition("colour", "token", "Patient.extension.value");
    define(&store, "d0", &colour).await;
    let composite = |code: &str, expression: &str, parts: [(&str, &str); 2]| {
        let part = |(url, expression): (&str, &str)| json!({ "definition": url, "expression": expression });
        let mut composite = definition(code, "composite", expression);
        composite["component"] = json!(parts.map(part));
        composite
    };
    let given = "http://hl7.org/fhir/SearchParameter/individual-given";
    let definitions = [
        composite(
            "colour-born",
            "Patient",
            [
                ("http://example.org/colour", "extension.value"),
                ("http://hl7.org/fhir/SearchParameter/individual-birthdate|4.0.1", "birthDate"),
            ],
        ),
        composite("use-given", "Patient.name", [("http://example.org/colour", "use"), (given, "given")]),
    ];
    for (n, definition) in definitions.iter().enumerate() {
        define(&store, &format!("d{}", n + 1), definition).await;
        ready(&store, definition["code"].as_str().unwrap()).await;
    }
    let names = r#"{"name": [{"use": "old", "given": ["Ada", "Bo"]}, {"use": "usual", "given": ["Cy"]}],
        "extension": [{"url": "u", "valueCode": "even"}, {"url": "v", "valueCoding": {"code": "red"}}]}"#;
    put(&store, "Patient", "p9", names).await;
    let rows = [
        ("colour-born=even$lt1903", "p0 p2"),
        ("colour-born=even$1904,odd$1905", "p4 p5"),
        ("colour-born:missing=true", "p9"),
        ("colour=|even&_id=p2,p3,p9", "p2 p9"),
        ("colour=|red", "p9"),
        ("use-given=old$bo", "p9"),
        ("use-given=usual$bo", ""),
        ("use-given=old$cy,usual$c", "p9"),
        ("use-given:missing=false", "p9"),
    ];
    for (query, found) in rows {
        assert_eq!(ids(&store, &format!("Patient?{query}")).await, found, "{query}");
    }
    // What a part is named after may go; the composite keeps what it was.
    delete(&store, &Key::new("SearchParameter", "d0")).await;
    until("colour is gone", async || store.registry().customs().len() == 2).await;
    assert_eq!(ids(&store, "Patient?colour-born=even$lt1903").await, "p0 p2");
    assert!(refused(&store, "d3", &definitions[0]).await.contains("http://example.org/colour"));
    for id in ["d1", "d2"] {
        delete(&store, &Key::new("SearchParameter", id)).await;
    }
    nothing(&store).await;
    assert_eq!(index(&url).await, from_the_start(&[], &store, 10).await);
}

/// A resource that has more combinations than may be stored was there before the composite: it keeps that from being
/// ready, and can be mended or deleted.
#[tokio::test]
async fn too_many_combinations_can_be_taken_away() {
    let (store, _) = fresh().await;
    let many: Vec<String> = (0..101).map(|n| format!("n{n}")).collect();
    let many = json!({ "name": [{ "given": many, "suffix": many }] }).to_string();
    put(&store, "Patient", "p0", &many).await;
    let url = "http://hl7.org/fhir/SearchParameter/individual-gender";
    let mut pairs = definition("pairs", "composite", "Patient.name");
    pairs["component"] =
        json!([{ "definition": url, "expression": "given" }, { "definition": url, "expression": "suffix" }]);
    define(&store, "pairs", &pairs).await;
    let failing = async || {
        store.reindex_jobs(&all()).await.unwrap().into_iter().find(|j| j.state == ReindexState::Failing)
    };
    until("the walk has come to it", async || failing().await.is_some()).await;
    let why = failing().await.unwrap().failure.unwrap();
    assert!(why.starts_with("Patient/p0: the values for `pairs@"), "{why}");
    let write = next(&store, &Key::new("Patient", "p1"), Some(&many), None).await;
    let error = store.commit(&all(), &store.commit_timestamp().unwrap(), &[write]).await.unwrap_err();
    assert!(error.text.contains("10000 combinations"), "{error}");
    assert_ne!(stage(&store, "pairs"), Some(Stage::Ready));
    put(&store, "Patient", "p0", r#"{"name": [{"given": ["a"], "suffix": ["b"]}]}"#).await;
    ready(&store, "pairs").await;
    assert_eq!(ids(&store, "Patient?pairs=a$b").await, "p0");
}

/// A resource that changes while its type is walked over keeps no entry of what it was, and misses none.
#[tokio::test]
async fn what_changes_meanwhile_is_indexed_as_it_is() {
    let url = testing::database().await.unwrap();
    let slow = ReindexOptions { batch: 2, pause: Duration::from_millis(20), ..ReindexOptions::default() };
    let store = open(&url, slow).await;
    patients(&store, 20).await;
    let nick = definition("nick", "string", "Patient.name.text");
    define(&store, "nick", &nick).await;
    let mut turn = 0;
    while stage(&store, "nick") != Some(Stage::Ready) {
        for n in [0, 7, 19] {
            // The text of one changes, that of another does not, a third is deleted and comes back.
            let text = if n == 7 { "same".to_owned() } else { format!("turn{turn}") };
            let key = Key::new("Patient", format!("p{n}"));
            if n == 19 {
                delete(&store, &key).await;
            }
            put(&store, "Patient", &key.id, &json!({ "name": [{ "text": text }] }).to_string()).await;
        }
        turn += 1;
    }
    assert!(turn > 2, "the walk was over too soon to tell anything");
    assert_eq!(ids(&store, &format!("Patient?nick=turn{}", turn - 1)).await, "p0 p19");
    assert_eq!(ids(&store, "Patient?nick=same").await, "p7");
    assert_eq!(ids(&store, "Patient?nick=even").await, "p2 p4 p6 p8 p10 p12 p14 p16 p18");
    assert_eq!(index(&url).await, from_the_start(&[nick], &store, 20).await);
}

#[tokio::test]
async fn another_process_goes_on_where_one_was_killed() {
    let url = testing::database().await.unwrap();
    let lease = Duration::from_millis(500);
    let first = open(&url, ReindexOptions { batch: 2, pause: Duration::from_millis(100), lease }).await;
    patients(&first, 20).await;
    let nick = definition("nick", "string", "Patient.name.text");
    define(&first, "nick", &nick).await;
    let job = async |store: &Store| store.reindex_jobs(&all()).await.unwrap().pop();
    until("the walk is under way", async || job(&first).await.is_some_and(|j| j.done >= 4)).await;
    let left = job(&first).await.unwrap();
    assert!(left.state == ReindexState::Running && left.done < 20, "{left:?}");
    // With the store its tasks end: nobody holds on to the lease.
    drop(first);
    let second = open(&url, ReindexOptions { batch: 1, pause: Duration::from_millis(20), lease }).await;
    let mut least = left.done;
    until("the walk is over", async || {
        let now = job(&second).await.unwrap();
        assert!(now.done >= least, "{now:?} after {least}: it began anew");
        least = now.done;
        now.state == ReindexState::Done
    })
    .await;
    ready(&second, "nick").await;
    assert_eq!(least, 20);
    assert_eq!(ids(&second, "Patient?nick=odd").await, "p1 p3 p5 p7 p9 p11 p13 p15 p17 p19");
    assert_eq!(index(&url).await, from_the_start(&[nick], &second, 20).await);
}

/// A process that has not learned of a parameter yet writes all the same, and nothing that it writes is lost.
#[tokio::test]
async fn processes_that_learn_at_different_times_agree() {
    let (one, url) = fresh().await;
    let other = open(&url, ReindexOptions::default()).await;
    patients(&one, 6).await;
    let nick = definition("nick", "string", "Patient.name.text");
    define(&one, "nick", &nick).await;
    assert_eq!(stage(&other, "nick"), None, "it learns in time, not at once");
    let mut turn = 0;
    while stage(&one, "nick") != Some(Stage::Ready) || stage(&other, "nick") != Some(Stage::Ready) {
        for (store, id) in
            [(&one, "p1"), (&other, "p2"), (&one, "p3"), (&other, "p3"), (&other, "p4"), (&one, "p4")]
        {
            put(store, "Patient", id, &json!({ "name": [{ "text": format!("turn{turn}") }] }).to_string())
                .await;
        }
        turn += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for store in [&one, &other] {
        assert_eq!(ids(store, &format!("Patient?nick=turn{}", turn - 1)).await, "p1 p2 p3 p4");
        assert_eq!(ids(store, "Patient?nick=turn").await, "p1 p2 p3 p4");
        assert_eq!(ids(store, "Patient?nick=odd,even").await, "p0 p5");
    }
    assert_eq!(index(&url).await, from_the_start(&[nick], &one, 6).await);
}

#[tokio::test]
async fn what_is_not_in_force_any_more_leaves_nothing() {
    let (store, url) = fresh().await;
    patients(&store, 8).await;
    let plain = index(&url).await;
    let colour = definition("colour", "token", "Patient.extension('http://e/colour').value");
    let nick = definition("nick", "string", "Patient.name.text");
    // By its status, by its deletion, by another expression.
    define(&store, "colour", &colour).await;
    define(&store, "nick", &nick).await;
    ready(&store, "nick").await;
    ready(&store, "colour").await;
    assert_ne!(index(&url).await, plain);
    let mut retired = colour.clone();
    retired["status"] = json!("retired");
    define(&store, "colour", &retired).await;
    assert!(store.registry().for_type("Patient").unwrap().param("colour").is_none(), "at once");
    delete(&store, &Key::new("SearchParameter", "nick")).await;
    nothing(&store).await;
    assert_eq!(index(&url).await, plain);
    // Again, and then something else under the same code.
    define(&store, "nick", &nick).await;
    ready(&store, "nick").await;
    let other = definition("nick", "string", "Patient.name.given");
    define(&store, "nick", &other).await;
    ready(&store, "nick").await;
    until("the former is gone", async || store.registry().customs().len() == 1).await;
    assert_eq!(ids(&store, "Patient?nick=odd").await, "");
    assert_eq!(ids(&store, "Patient?nick=given3").await, "p3");
    assert_eq!(index(&url).await, from_the_start(std::slice::from_ref(&other), &store, 8).await);
    // What says the same in other words changes nothing.
    let version = store.registry().customs()[0].number;
    let mut again = other;
    again["description"] = json!("in other words");
    define(&store, "nick", &again).await;
    let custom = store.registry().customs().remove(0);
    assert_eq!((custom.number, custom.stage), (version, Stage::Ready));
    assert_eq!(&*custom.definition.description, "in other words");
}

#[tokio::test]
async fn a_code_is_taken_once() {
    let (store, _) = fresh().await;
    let nick = definition("nick", "string", "Patient.name.text");
    let mut other = nick.clone();
    other["url"] = json!("http://example.org/other");
    // At the same time, in one transaction, and one after another.
    let key = |id: &str| Key::new("SearchParameter", id);
    let text = nick.to_string();
    let (a, b) =
        (next(&store, &key("a"), Some(&text), None).await, next(&store, &key("b"), Some(&text), None).await);
    let error = store.commit(&all(), &store.commit_timestamp().unwrap(), &[a, b]).await.unwrap_err();
    assert_eq!(error.kind.status(), 422, "{error}");
    assert!(matches!(store.read(&all(), &key("a")).await.unwrap(), ResourceState::Absent), "all or nothing");
    let (a, b) =
        (next(&store, &key("a"), Some(&text), None).await, next(&store, &key("b"), Some(&text), None).await);
    let stamps = (store.commit_timestamp().unwrap(), store.commit_timestamp().unwrap());
    let (all, a, b) = (all(), [a], [b]);
    let (a, b) = tokio::join!(store.commit(&all, &stamps.0, &a), store.commit(&all, &stamps.1, &b));
    drop(stamps);
    assert_eq!((a.is_ok() as u8) + (b.is_ok() as u8), 1, "{a:?} {b:?}");
    let (holder, loser) = if a.is_ok() { ("a", "b") } else { ("b", "a") };
    let text = refused(&store, loser, &other).await;
    assert_eq!(text, "Patient has a search parameter `nick` already: http://example.org/nick");
    // For another type, it is another parameter.
    let mut person = definition("nick", "string", "Person.name.text");
    person["base"] = json!(["Person"]);
    define(&store, "person", &person).await;
    person["base"] = json!(["Patient", "Person"]);
    refused(&store, "person", &person).await;
    // Once its holder has given it up, it is free.
    delete(&store, &key(holder)).await;
    define(&store, loser, &other).await;
    ready(&store, "nick").await;
    let found = store.registry().for_type("Patient").unwrap().param("nick").unwrap().definition.url.clone();
    assert_eq!(&*found, "http://example.org/other");
}

#[tokio::test]
async fn there_are_not_too_many() {
    const MAX: usize = 500;
    let (store, _) = fresh().await;
    let definition = |n: usize| {
        let mut definition = definition(&format!("c{n}"), "token", "Basic.id");
        definition["base"] = json!(["Basic"]);
        definition
    };
    let mut writes = Vec::new();
    for n in 0..MAX {
        let key = Key::new("SearchParameter", format!("d{n}"));
        writes.push(next(&store, &key, Some(&definition(n).to_string()), None).await);
    }
    assert_eq!(
        store.commit(&all(), &store.commit_timestamp().unwrap(), &writes).await.unwrap(),
        Commit::Done
    );
    assert_eq!(store.registry().customs().len(), MAX);
    let text = refused(&store, "more", &definition(MAX)).await;
    assert!(text.contains("500"), "{text}");
}
