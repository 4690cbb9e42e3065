//! Several formats at once.

use fhir_search::condition::Condition;
use fhir_search::cursor::{Cursor, SortValue};
use fhir_store::{Rule, Rules};

use super::*;

/// Each format changed the same texts once more: what the first one changed is made of what the second one did.
#[tokio::test]
async fn formats_of_one_parameter_add_up() {
    fn prefixed(of: &FormerEntries<'_>, from: &str, to: &str) -> fhir_model::Result<Rows> {
        let mut rows = Rows::default();
        let texts = of.rows.strings.iter().filter_map(|e| Some((e, e.value.strip_prefix(from)?)));
        rows.strings.extend(texts.map(|(e, rest)| Text { value: format!("{to}{rest}"), ..e.clone() }));
        Ok(rows)
    }
    let changed = |type_name: &str, param: &Param| type_name == "Patient" && CHANGED.contains(&&*param.code);
    let first = IndexChange::Parameters { changed, former: Some(|of| prefixed(of, "b given", "a b given")) };
    let second = IndexChange::Parameters { changed, former: Some(|of| prefixed(of, "given", "b given")) };
    let (store, url) = fresh().await;
    for n in 0..4 {
        put(&store, "Patient", &format!("p{n}"), &patient(n, &format!("Given{n}"))).await;
    }
    let client = connect(&url).await;
    let make_former = "update string_entry set value = 'a b ' || value where value like 'given%'";
    assert!(client.execute(make_former, &[]).await.unwrap() > 0);
    store.leave().await;
    drop(store);
    let formats = [first, second];
    let store = open(&url, &formats, held()).await.unwrap();
    // A write takes them away as well as the walk.
    put(&store, "Patient", "p3", &patient(3, "Third")).await;
    store.leave().await;
    drop(store);
    let store = open(&url, &formats, quick()).await.unwrap();
    until("all is indexed", async || is_done(&store).await).await;
    assert_eq!(entries(&url).await, fresh_load(&store, &client, &formats).await);
}

/// A build of a format after that which is walked for walks for both.
#[tokio::test]
async fn formats_add_up() {
    let (url, client) = former_database(4).await;
    let (before, _) = formats_of(&client).await;
    let further = IndexChange::Parameters {
        changed: |type_name, param| type_name == "Patient" && *param.code == *"family",
        former: None,
    };
    let store = open(&url, &[next_format()], held()).await.unwrap();
    assert!(!refused(&store, "Patient?family=family1"));
    store.leave().await;
    drop(store);
    let formats = [next_format(), further];
    let store = open(&url, &formats, held()).await.unwrap();
    assert!(refused(&store, "Patient?family=family1") && refused(&store, "Patient?gender=male"));
    store.leave().await;
    drop(store);
    let store = open(&url, &formats, quick()).await.unwrap();
    until("all is indexed", async || is_done(&store).await).await;
    assert_eq!(formats_of(&client).await, (before + 2, before + 2));
    assert_eq!(entries(&url).await, fresh_load(&store, &client, &formats).await);
}

/// What a rule asks of the version that goes is answered by the columns of this build, whatever else that version may have.
#[tokio::test]
async fn rules_of_writes_hold_meanwhile() {
    let (url, _client) = former_database(2).await;
    let store = open(&url, &[next_format()], held()).await.unwrap();
    let dead = store.condition(TenantId::DEFAULT, &query(&store, "Patient?deceased=true"));
    for (filter, allowed) in [(dead.clone(), true), (Condition::Not(Box::new(dead)), false)] {
        let rule = Rule { filter, ..Rule::all() };
        let rules = Rules::by_type([("Patient".into(), rule)].into()).unwrap();
        let scope = Scope::new(TenantId::DEFAULT, vec![(TenantId::DEFAULT, rules)]);
        let write = next(&store, &Key::new("Patient", "p1"), Some(&patient(1, "Ruled")), None).await;
        let done = store.commit(&scope, &store.commit_timestamp().unwrap(), &[write]).await;
        assert_eq!(done.is_ok(), allowed, "{done:?}");
    }
    store.leave().await;
}

/// A page link names the value to sort by of the row where the page ended, as the index had it.
#[tokio::test]
async fn page_links_end_with_the_index_that_gave_them() {
    let (url, _client) = former_database(1).await;
    let cursor = Cursor {
        sort_values: vec![SortValue::Text("a".to_owned())],
        handle: 1,
        backwards: false,
        within: None,
    };
    let mut link = None;
    for (formats, is_taken) in [(vec![], true), (vec![], true), (vec![next_format()], false)] {
        let store = open(&url, &formats, quick()).await.unwrap();
        let link = link.get_or_insert_with(|| cursor.seal(store.secret(), "search"));
        let opened = Cursor::open(link, store.secret(), "search");
        assert_eq!(opened.is_ok(), is_taken, "{} further formats", formats.len());
        store.leave().await;
    }
}
