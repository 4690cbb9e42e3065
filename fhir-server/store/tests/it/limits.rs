//! Bounds of the store, at the limit and past it.

use std::time::Duration;

use fhir_model::Kind;
use fhir_search::TenantId;
use fhir_search::condition::Condition;
use fhir_store::{Options, Rule, Rules, testing};

use super::*;

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped_and_said_so() {
    let options =
        Options { connections_max: 4, statement_timeout: Duration::from_millis(100), ..Options::default() };
    let url = testing::database().await.unwrap();
    let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
    put(&store, "Patient", "a", "{}").await;
    let (mut other, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let lock = other.transaction().await.unwrap();
    lock.execute("lock table resource in access exclusive mode", &[]).await.unwrap();
    for (text, what, name) in [
        ("Patient", "one by one", ""),
        ("Patient?gender=male", "one by one", ""),
        ("Patient?identifier=a", "a value which many have", ""),
        ("Patient?family=a", "resources that have a value", ""),
        ("Observation?code=http://l|a", "all resources of the code", ""),
        ("Observation?patient=a", "all resources of the patients", ""),
        ("Patient?_id=a,b&_sort=identifier", "sorting all that match", "_sort"),
        ("Patient?_sort=-identifier", "sorting all that match", "_sort"),
        ("Patient?_sort=family", "values it is sorted by", ""),
        (
            "Observation?subject:Patient.organization:Organization.name=a",
            "resources that have such a value",
            "organization",
        ),
        ("Observation?subject:Patient.gender=male", "one by one", "subject"),
        ("Patient?_has:Observation:patient:code=a", "one by one", "_has:Observation:patient"),
        ("Organization?_has:Patient:organization:gender=a", "one by one", "_has:Patient:organization"),
    ] {
        let refused = store.search(&all(), &query(&store, text)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Timeout, "{text}");
        assert!(refused.text.contains(what), "{text}: {refused}");
        let named: Vec<&str> = refused.expression.iter().map(String::as_str).collect();
        assert_eq!(named, [name].iter().copied().filter(|n| !n.is_empty()).collect::<Vec<_>>(), "{text}");
        assert!(refused.text.contains(name), "{text}: {refused}");
    }
    let key = Key::new("Patient", "a");
    assert_eq!(store.read(&all(), &key).await.unwrap_err().kind, Kind::Timeout);
    let write = Write {
        before: ResourceState::Absent,
        version: 1,
        method: Method::Put,
        doc: Some(doc("{}", &key, 1)),
        preconditions: Vec::new(),
        key: key.clone(),
    };
    let timestamp = store.commit_timestamp().unwrap();
    assert_eq!(store.commit(&all(), &timestamp, &[write]).await.unwrap_err().kind, Kind::Timeout);
    lock.rollback().await.unwrap();
    assert_eq!(search(&store, "Patient").await, "a", "and then it goes on");
}

#[tokio::test]
async fn a_total_that_takes_too_long_is_an_estimate_and_said_so() {
    let options =
        Options { connections_max: 4, total_timeout: Duration::from_millis(100), ..Options::default() };
    let url = testing::database().await.unwrap();
    let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
    for id in ["a", "b", "c"] {
        put(&store, "Patient", id, r#"{"gender":"male"}"#).await;
    }
    let (mut other, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // Whatever is to be counted has to wait, and the estimate, which reads no row, as well: until the lock is let go.
    let lock = other.transaction().await.unwrap();
    lock.execute("lock table resource in access exclusive mode", &[]).await.unwrap();
    let asked = query(&store, "Patient?gender=male&_summary=count");
    let counting = async { store.search(&all(), &asked).await.unwrap() };
    let letting_go = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        lock.rollback().await.unwrap();
    };
    let (page, ()) = tokio::join!(counting, letting_go);
    assert!(!page.total.unwrap().exact);
    assert!(page.warnings[0].contains("estimate"), "{:?}", page.warnings);
    // A busy machine may need several attempts to count within a tenth of a second.
    let mut page = store.search(&all(), &asked).await.unwrap();
    for _ in 0..100 {
        if page.total.is_some_and(|total| total.exact) {
            break;
        }
        page = store.search(&all(), &asked).await.unwrap();
    }
    assert_eq!((page.total.unwrap().n, page.total.unwrap().exact, page.warnings.len()), (3, true, 0));
}

#[tokio::test]
async fn a_store_whose_database_is_gone_says_unavailable() {
    let url = testing::database().await.unwrap();
    let store = Store::open(&url, Options::default(), testing::registry().await.unwrap()).await.unwrap();
    put(&store, "Patient", "a", "{}").await;
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let (admin, connection) =
        tokio_postgres::connect(fhir_postgres::testing::server().await, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.execute(&format!("drop database {name} with (force)"), &[]).await.unwrap();
    for _ in 0..3 {
        let key = Key::new("Patient", "a");
        assert_eq!(store.read(&all(), &key).await.unwrap_err().kind, Kind::Unavailable);
        assert_eq!(
            store.search(&all(), &query(&store, "Patient")).await.unwrap_err().kind,
            Kind::Unavailable
        );
    }
}

#[tokio::test]
async fn more_than_can_be_sorted_is_refused() {
    let store =
        testing::fresh_with(Options { sorted_max: 3, connections_max: 4, ..Options::default() }).await;
    let store = store.unwrap();
    for (id, gender) in [("a", "male"), ("b", "female"), ("c", "other")] {
        put(&store, "Patient", id, &format!(r#"{{"gender":"{gender}","name":[{{"family":"{id}"}}]}}"#)).await;
    }
    assert_eq!(search(&store, "Patient?_sort=gender").await, "b a c");
    put(&store, "Patient", "d", r#"{"gender":"unknown","active":true}"#).await;
    let refused = store.search(&all(), &query(&store, "Patient?_sort=gender")).await.unwrap_err();
    assert_eq!((refused.kind, &*refused.expression), (Kind::TooCostly, &["_sort".to_owned()][..]));
    assert_eq!(search(&store, "Patient?_sort=gender&active=true").await, "d", "fewer can be sorted");
    assert_eq!(search(&store, "Patient?_sort=-family").await, "c b a d", "an index has these in order");
}

/// Pages of three matches by their bytes, more than can be sorted: where they end, and that too many are alike to end one at
/// all, does not depend on entries of hidden rows between them.
#[tokio::test]
async fn what_a_scope_hides_does_not_decide_what_is_refused() {
    let options = Options { sorted_max: 2, page_bytes_max: 2500, connections_max: 4, ..Options::default() };
    for (families, pages) in [(["a", "b", "c", "e"], "a b c|e"), (["a", "a", "a", "a"], "too costly")] {
        for hidden in [&[][..], &["d"], &["a", "aa", "bb", "cc", "d", "f"]] {
            let store = testing::fresh_with(options.clone()).await.unwrap();
            let body = |family| {
                format!(r#"{{"name":[{{"family":"{family}"}}],"implicitRules":"{}"}}"#, "x".repeat(1000))
            };
            for (n, family) in families.iter().enumerate() {
                let id =
                    if families[0] == families[1] { format!("{family}{n}") } else { (*family).to_owned() };
                put(&store, "Patient", &id, &body(family)).await;
            }
            let mut ids = vec!["h".to_owned()];
            for (n, family) in hidden.iter().enumerate() {
                ids.push(format!("h{n}"));
                put(&store, "Patient", &format!("h{n}"), &body(family)).await;
            }
            let found = walk_without(&store, &ids.join(","), "Patient?_sort=family,_id").await;
            assert_eq!(found, pages, "{hidden:?} are hidden");
        }
    }
}

/// The ids on each page for a caller from whom these ids are hidden, or that the search is refused.
async fn walk_without(store: &Arc<Store>, hidden: &str, text: &str) -> String {
    let hidden = store.condition(TenantId::DEFAULT, &query(store, &format!("Patient?_id={hidden}")));
    let rule = Rule { filter: Condition::Not(Box::new(hidden)), ..Rule::all() };
    let rules = Rules::by_type([("Patient".into(), rule)].into()).unwrap();
    let scope = Scope::new(TenantId::DEFAULT, vec![(TenantId::DEFAULT, rules)]);
    let (mut pages, mut at) = (Vec::new(), query(store, text));
    loop {
        match store.search(&scope, &at).await {
            Ok(page) => {
                let ids: Vec<String> = page.matches.iter().map(|v| v.key.id.to_string()).collect();
                pages.push(ids.join(" "));
                at.cursor = page.next;
            }
            Err(e) if e.kind == Kind::TooCostly => {
                pages.push("too costly".to_owned());
                at.cursor = None;
            }
            Err(e) => panic!("{text}: {e:?}"),
        }
        if at.cursor.is_none() {
            return pages.join("|");
        }
    }
}

/// What many have is asked of bodies in order; where all would have to be sorted for it, it is looked up first.
#[tokio::test]
async fn what_is_looked_up_makes_fewer_to_sort() {
    let options = Options { sorted_max: 3, entries_few: 1, connections_max: 4, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    for id in ["a", "b", "c", "d", "e"] {
        let family = if id < "c" { "Odhiambo" } else { "Wanjiku" };
        put(&store, "Patient", id, &format!(r#"{{"gender":"male","name":[{{"family":"{family}"}}]}}"#)).await;
    }
    for _ in 0..2 {
        assert_eq!(search(&store, "Patient?family=odhiambo&_sort=gender,_id").await, "a b");
        assert_eq!(search(&store, "Patient?family=odhiambo&gender=male&_sort=-gender,_id").await, "a b");
        assert_eq!(search(&store, "Patient?family=odhiambo&_sort=_id").await, "a b");
    }
}

/// The ends of chains, the entries of lists, the codes of value sets: all that is looked up for a search counts together.
#[tokio::test]
async fn a_search_holds_so_many_values_and_no_more() {
    for (looked_up_max, answered) in [(4, true), (3, false)] {
        let options = Options { looked_up_max, connections_max: 4, ..Options::default() };
        let store = testing::fresh_with(options).await.unwrap();
        // Two entries of two values each: the row that an id may stand for, and the id.
        let entry = |id: &str| format!(r#"{{"item":{{"reference":"Patient/{id}"}}}}"#);
        for (list, id) in [("k", "a"), ("l", "b")] {
            put(&store, "Patient", id, r#"{"gender":"male"}"#).await;
            put(&store, "List", list, &format!(r#"{{"entry":[{}]}}"#, entry(id))).await;
        }
        assert_eq!(search(&store, "Patient?_list=k").await, "a", "{looked_up_max}");
        let found = store.search(&all(), &query(&store, "Patient?_list=k,l&_sort=_id")).await;
        match answered {
            true => assert_eq!(found.unwrap().matches.len(), 2),
            false => {
                let refused = found.unwrap_err();
                assert_eq!(
                    (refused.kind, &*refused.expression),
                    (Kind::TooCostly, &["_list".to_owned()][..])
                );
                assert!(refused.text.contains("more than 3 values"), "{refused}");
            }
        }
    }
}
