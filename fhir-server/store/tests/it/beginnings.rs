//! What many texts begin with is looked for along the order of the answer, and rows tell which of them have it.

use fhir_store::{Commit, Options, testing};

use super::*;

const FAMILIES: &[&str] =
    &["Abara", "Abebe", "Abiodun", "Achieng", "Ábel", "Wanjiku", "Wanjiru", "Wafula", "Ab", "日本語"];
const GIVEN: &[&str] = &["Wangari", "abena", "Zuri"];
const PATIENTS: usize = 300;

/// A search, the page it is asked in, and who is found.
type Row = (&'static str, usize, fn(family: &str, given: &str, male: bool) -> bool);

const ROWS: &[Row] = &[
    ("family=a", 20, |f, _, _| f.starts_with('a')),
    ("family=ab", 20, |f, _, _| f.starts_with("ab")),
    ("family=abe", 7, |f, _, _| f.starts_with("abe")),
    ("family=abeb", 7, |f, _, _| f.starts_with("abeb")),
    ("family=wanjik", 20, |f, _, _| f.starts_with("wanjik")),
    ("family=日本", 20, |f, _, _| f.starts_with("日本")),
    ("family=日本語", 20, |f, _, _| f.starts_with("日本")),
    ("name=wan", 20, |f, g, _| f.starts_with("wan") || g.starts_with("wan")),
    ("name=abeba,wangar", 20, |f, g, _| f.starts_with("abeba") || g.starts_with("wangar")),
    ("family=a&given=z", 20, |f, g, _| f.starts_with('a') && g.starts_with('z')),
    ("family=wanj&given=aben&gender=male", 5, |f, g, m| f.starts_with("wanj") && g == "abena" && m),
    ("gender=male&family=ab", 11, |f, _, m| m && f.starts_with("ab")),
    ("_filter=(family sw ab and given sw z) or family sw wafu", 20, |f, g, _| {
        f.starts_with("ab") && g.starts_with('z') || f.starts_with("wafu")
    }),
    ("given=abena&family:missing=false", 20, |_, g, _| g == "abena"),
    ("family=xy", 20, |_, _, _| false),
];

const ORDERS: &[&str] =
    &["", "&_sort=birthdate", "&_sort=-_lastUpdated", "&_sort=family,_id", "&_sort=-given"];

fn of(i: usize) -> (&'static str, &'static str, bool) {
    (FAMILIES[i % FAMILIES.len()], GIVEN[i % 7 % GIVEN.len()], i % 4 < 2)
}

#[tokio::test]
async fn many_texts_that_begin_alike_are_found_in_every_order() {
    let options = Options { entries_few: 3, connections_max: 4, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    let mut writes = Vec::new();
    for i in 0..PATIENTS {
        let (family, given, male) = of(i);
        let gender = if male { "male" } else { "female" };
        let body = format!(
            r#"{{"gender":"{gender}","birthDate":"{}-02-{:02}","name":[{{"family":"{family}","given":["{given}"]}}]}}"#,
            1950 + i % 50,
            1 + i % 28,
        );
        writes.push(next(&store, &Key::new("Patient", format!("p{i:03}")), Some(&body), None).await);
    }
    assert_eq!(
        store.commit(&all(), &store.commit_timestamp().unwrap(), &writes).await.unwrap(),
        Commit::Done
    );
    for (search, count, is_found) in ROWS {
        let wanted: Vec<String> = (0..PATIENTS)
            .filter(|i| {
                let (family, given, male) = of(*i);
                let plain = family.to_lowercase().replace('á', "a");
                is_found(&plain, &given.to_lowercase(), male)
            })
            .map(|i| format!("p{i:03}"))
            .collect();
        for order in ORDERS {
            let mut query = Query { count: *count, ..query(&store, &format!("Patient?{search}{order}")) };
            let mut found = Vec::new();
            loop {
                let page = store.search(&all(), &query).await.unwrap();
                found.extend(page.matches.iter().map(|version| version.key.id.to_string()));
                match page.next {
                    Some(next) => query.cursor = Some(next),
                    None => break,
                }
            }
            found.sort();
            assert_eq!(found, wanted, "{search}{order}");
        }
    }
}

/// One write in a statement, many in a transaction, a version that replaces another: rows tell of what is there now.
#[tokio::test]
async fn rows_tell_what_their_current_texts_begin_with() {
    let options = Options { entries_few: 0, connections_max: 4, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    let family = |name: &str| format!(r#"{{"birthDate":"2000-01-01","name":[{{"family":"{name}"}}]}}"#);
    let found = async |search: &str| {
        let page = store.search(&all(), &query(&store, &format!("Patient?{search}"))).await.unwrap();
        page.matches.iter().map(|version| version.key.id.to_string()).collect::<Vec<_>>().join(" ")
    };
    put(&store, "Patient", "a", &family("Otieno")).await;
    assert_eq!(found("family=o").await, "a");
    put(&store, "Patient", "a", &family("Njoroge")).await;
    assert_eq!((found("family=o").await, found("family=njor").await), (String::new(), "a".to_owned()));
    let key = |id| Key::new("Patient", id);
    let both = [
        next(&store, &key("a"), Some(&family("Kamau")), None).await,
        next(&store, &key("b"), Some(&family("Kariuki")), None).await,
    ];
    assert_eq!(store.commit(&all(), &store.commit_timestamp().unwrap(), &both).await.unwrap(), Commit::Done);
    assert_eq!(
        (found("family=n").await, found("family=ka&_sort=_id").await),
        (String::new(), "a b".to_owned())
    );
    put(&store, "Patient", "a", r#"{"birthDate":"2000-01-01"}"#).await;
    assert_eq!(found("family=ka").await, "b");
}
