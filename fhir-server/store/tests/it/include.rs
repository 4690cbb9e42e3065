//! Includes: rounds, cycles, pages. <https://hl7.org/fhir/R4/search.html#revinclude>

use std::collections::BTreeSet;

use fhir_model::Kind;
use fhir_store::{Options, Page, testing};

use super::*;

/// What is included, sorted: `Patient/p@1` for a version.
async fn included(store: &Arc<Store>, text: &str) -> String {
    let page = store.search(&all(), &query(store, text)).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    assert_eq!(page.next, None, "{text}");
    let mut found: Vec<_> = page.included.iter().map(|v| v.key.to_string()).collect();
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len(), "{text}: {found:?}");
    found.sort();
    found.join(" ")
}

/// A small world with cycles: patients that link to each other, organizations within each other.
async fn world(store: &Arc<Store>) {
    put(store, "Organization", "a", r#"{"partOf":{"reference":"Organization/b"}}"#).await;
    put(store, "Organization", "b", r#"{"partOf":{"reference":"Organization/c"}}"#).await;
    put(store, "Organization", "c", r#"{"partOf":{"reference":"Organization/a"}}"#).await;
    put(store, "Practitioner", "d", "{}").await;
    put(
        store,
        "Patient",
        "p",
        r#"{"managingOrganization":{"reference":"Organization/a"},"generalPractitioner":[{"reference":"Practitioner/d"}],
            "link":[{"other":{"reference":"Patient/q"},"type":"seealso"}]}"#,
    )
    .await;
    put(store, "Patient", "q", r#"{"link":[{"other":{"reference":"Patient/p"},"type":"seealso"}]}"#).await;
    put(store, "Encounter", "e", r#"{"subject":{"reference":"Patient/p"}}"#).await;
    put(
        store,
        "Observation",
        "o",
        r##"{"subject":{"reference":"Patient/p"},"encounter":{"reference":"Encounter/e"},
            "performer":[{"reference":"#c"},{"identifier":{"value":"x"}},{"reference":"Practitioner/gone"}]}"##,
    )
    .await;
    put(store, "Observation", "n", r#"{"hasMember":[{"reference":"Observation/o"}]}"#).await;
    put(store, "Provenance", "v", r#"{"target":[{"reference":"Observation/o"},{"reference":"Patient/p"}]}"#)
        .await;
}

#[tokio::test]
async fn includes_follow_what_they_say() {
    let store = testing::fresh().await.unwrap();
    world(&store).await;
    let rows = [
        // One level, unless it is said otherwise.
        ("Observation?_id=o&_include=Observation:subject", "Patient/p"),
        (
            "Observation?_id=o&_include=Observation:subject&_include:iterate=Patient:organization",
            "Organization/a Patient/p",
        ),
        (
            "Observation?_id=o&_include=Observation:subject&_include:recurse=Patient:organization",
            "Organization/a Patient/p",
        ),
        // To a fixpoint, in a cycle.
        (
            "Observation?_id=o&_include=Observation:subject&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
            "Organization/a Organization/b Organization/c Patient/p",
        ),
        ("Organization?_id=a&_include=Organization:partof", "Organization/b"),
        ("Organization?_id=a&_include:iterate=Organization:partof", "Organization/b Organization/c"),
        ("Patient?_id=p&_include:iterate=Patient:link", "Patient/q"),
        ("Organization?_id=b&_revinclude:iterate=Organization:partof", "Organization/a Organization/c"),
        // Everything.
        ("Observation?_id=o&_include=*", "Encounter/e Patient/p"),
        ("Observation?_id=o&_include=Observation:*", "Encounter/e Patient/p"),
        ("Observation?_id=o&_include=Observation:*:Encounter", "Encounter/e"),
        (
            "Observation?_id=o&_include:iterate=*",
            "Encounter/e Organization/a Organization/b Organization/c Patient/p Patient/q Practitioner/d",
        ),
        ("Observation?_id=o&_revinclude=*", "Observation/n Provenance/v"),
        ("Patient?_id=p&_revinclude=*", "Encounter/e Observation/o Patient/q Provenance/v"),
        ("Patient?_id=p&_revinclude=Observation:*", "Observation/o"),
        (
            "Patient?_id=p&_revinclude=Observation:*&_revinclude:iterate=Observation:has-member",
            "Observation/n Observation/o",
        ),
        (
            "Patient?_id=p&_revinclude=Observation:subject&_include:iterate=Observation:encounter",
            "Encounter/e Observation/o",
        ),
        // What refers in two ways, or is found by two includes, is there once.
        (
            "Patient?_id=p&_revinclude=Observation:subject&_revinclude=Observation:patient&_revinclude=Observation:*",
            "Observation/o",
        ),
        // Only targets of a type.
        ("Provenance?_id=v&_include=Provenance:target:Patient", "Patient/p"),
        ("Patient?_id=p&_revinclude=Provenance:target:Patient", "Provenance/v"),
        // Both ways at once, and into a cycle.
        (
            "Patient?_id=p&_revinclude:iterate=Observation:subject&_include:iterate=Observation:subject&_include:iterate=Patient:link",
            "Observation/o Patient/q",
        ),
        // A match is not included.
        ("Patient?_include=Patient:link&_revinclude=Patient:link", ""),
    ];
    for (text, wanted) in rows {
        assert_eq!(included(&store, text).await, wanted, "{text}");
    }
}

#[tokio::test]
async fn a_reference_may_name_a_version() {
    let store = testing::fresh().await.unwrap();
    put(&store, "Patient", "p", r#"{"gender":"male"}"#).await;
    put(&store, "Patient", "p", r#"{"gender":"female"}"#).await;
    let subject = |text: &str| format!(r#"{{"subject":{{"reference":"{text}"}}}}"#);
    for (id, reference) in [
        ("old", "Patient/p/_history/1"),
        ("new", "Patient/p/_history/2"),
        ("never", "Patient/p/_history/9"),
        ("plain", "Patient/p"),
    ] {
        put(&store, "Observation", id, &subject(reference)).await;
    }
    let rows = [("old", 1), ("new", 2), ("never", 2), ("plain", 2), ("old,plain", 2), ("old,new", 2)];
    for (ids, version) in rows {
        let text = format!("Observation?_id={ids}&_include=Observation:subject");
        let page = store.search(&all(), &query(&store, &text)).await.unwrap();
        let found: Vec<u32> = page.included.iter().map(|v| v.version).collect();
        assert_eq!(found, [version], "{text}");
    }
}

/// All pages: the ids of the matches, and what is included on each.
async fn walk(store: &Arc<Store>, text: &str) -> (String, Vec<Vec<String>>) {
    let mut at = query(store, text);
    let (mut matches, mut included) = (Vec::new(), Vec::new());
    loop {
        let page = store.search(&all(), &at).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
        matches.extend(page.matches.iter().map(|v| v.key.id.to_string()));
        included.push(page.included.iter().map(|v| v.key.id.to_string()).collect());
        match page.next {
            Some(next) => at.cursor = Some(next),
            None => return (matches.join(" "), included),
        }
    }
}

async fn fans(max: usize) -> Arc<Store> {
    let options = Options { connections_max: 4, include_max: max, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    for (id, fan) in [("p", 2), ("q", 9), ("r", 1), ("s", 0)] {
        put(&store, "Patient", id, "{}").await;
        for i in 0..fan {
            let body = format!(
                r#"{{"subject":{{"reference":"Patient/{id}"}},"encounter":{{"reference":"Encounter/{id}"}}}}"#
            );
            put(&store, "Observation", &format!("{id}{i}"), &body).await;
        }
        put(&store, "Encounter", id, "{}").await;
    }
    store
}

#[tokio::test]
async fn what_does_not_fit_comes_with_the_next_page() {
    let plain = "Patient?_sort=_id&_revinclude=Observation:subject";
    let iterated = format!("{plain}&_include:iterate=Observation:encounter");
    for (text, of_each) in [(plain, 0), (&*iterated, 1)] {
        for max in 1..=16 {
            let store = fans(max).await;
            for count in [1, 2, 100] {
                let text = format!("{text}&_count={count}");
                let (matches, pages) = walk(&store, &text).await;
                assert_eq!(matches, "p q r s", "{text} {max}");
                assert!(pages.iter().all(|page| page.len() <= max), "{text} {max}: {pages:?}");
                // Includes belong to one match each here, so nothing comes twice on all pages together.
                let mut all: Vec<_> = pages.concat();
                all.sort();
                let before = all.len();
                all.dedup();
                assert_eq!(
                    (all.len(), before),
                    (12 + 3 * of_each, 12 + 3 * of_each),
                    "{text} {max}: {pages:?}"
                );
            }
        }
    }
    // At the limit and past it.
    let one_page = |pages: &[Vec<String>]| pages.len() == 1;
    assert!(one_page(&walk(&fans(12).await, plain).await.1));
    assert!(!one_page(&walk(&fans(11).await, plain).await.1));
}

#[tokio::test]
async fn pages_of_includes_outlive_changes() {
    let store = fans(2).await;
    let text = "Patient?_id=q,r&_sort=_id&_revinclude=Observation:subject";
    let at = |page: &Page| {
        let mut at = query(&store, text);
        at.cursor.clone_from(&page.next);
        at
    };
    let first = store.search(&all(), &query(&store, text)).await.unwrap();
    assert_eq!((first.matches.len(), first.included.len()), (1, 2));
    let second = store.search(&all(), &at(&first)).await.unwrap();
    assert_eq!((second.matches.len(), second.included.len()), (0, 2));
    // The match goes: the search goes on after it.
    let gone = next(&store, &Key::new("Patient", "q"), None, None).await;
    store.commit(&all(), &store.commit_timestamp().unwrap(), &[gone]).await.unwrap();
    let third = store.search(&all(), &at(&second)).await.unwrap();
    assert_eq!(third.matches.iter().map(|v| &*v.key.id).collect::<Vec<_>>(), ["r"]);
    assert_eq!(third.included.len(), 1);
    assert_eq!(third.next, None);
}

#[tokio::test]
async fn pages_of_includes_are_walked_backwards_too() {
    let store = fans(3).await;
    let mut at = query(&store, "Patient?_sort=_id&_count=2&_revinclude=Observation:subject");
    at.cursor = Some(fhir_search::cursor::Cursor::end());
    let mut matches = Vec::new();
    loop {
        let page = store.search(&all(), &at).await.unwrap();
        assert!(page.included.len() <= 3);
        matches.splice(0..0, page.matches.iter().map(|v| v.key.id.to_string()));
        match page.previous {
            Some(previous) => at.cursor = Some(previous),
            None => break,
        }
    }
    assert_eq!(matches.join(" "), "p q r s");
}

#[tokio::test]
async fn what_is_followed_without_end_is_refused_by_name() {
    // One page of includes times a hundred is the bound.
    for (members, refused) in [(100, false), (101, true)] {
        let options = Options { connections_max: 4, include_max: 1, ..Options::default() };
        let store = testing::fresh_with(options).await.unwrap();
        put(&store, "Patient", "p", "{}").await;
        for i in 0..members {
            put(&store, "Observation", &format!("o{i}"), r#"{"subject":{"reference":"Patient/p"}}"#).await;
        }
        let asked = query(&store, "Patient?_revinclude:iterate=Observation:subject");
        let found = store.search(&all(), &asked).await;
        match refused {
            false => assert_eq!(found.unwrap().included.len(), 1),
            true => {
                let error = found.unwrap_err();
                assert_eq!(error.kind, Kind::TooCostly);
                assert!(error.text.contains("Patient/p"), "{error}");
            }
        }
        // Without following there is no bound.
        let (_, pages) = walk(&store, "Patient?_revinclude=Observation:subject").await;
        assert_eq!(pages.concat().len(), members);
    }
}

/// Whether all that is included fits is said by its bytes together, not by which resource the database finds first.
#[tokio::test]
async fn what_fits_does_not_depend_on_the_order_of_rows() {
    for big in ["p1", "p2"] {
        let options = Options { connections_max: 4, page_bytes_max: 2_500, ..Options::default() };
        let store = testing::fresh_with(options).await.unwrap();
        for (id, match_id) in [("p1", "o1"), ("p2", "o2")] {
            let text = "x".repeat(if id == big { 3_000 } else { 1_000 });
            put(&store, "Patient", id, &format!(r#"{{"implicitRules":"{text}"}}"#)).await;
            let body = format!(r#"{{"subject":{{"reference":"Patient/{id}"}}}}"#);
            put(&store, "Observation", match_id, &body).await;
        }
        let found = search(&store, "Observation?_sort=_id&_include=Observation:subject").await;
        assert_eq!(found, "o1", "{big} is big");
    }
}

/// A full page ends, by bytes as by number, and what is left comes with the next.
#[tokio::test]
async fn big_resources_make_small_pages() {
    let bytes = 10_000;
    let options = Options { connections_max: 4, page_bytes_max: bytes, ..Options::default() };
    let store = testing::fresh_with(options).await.unwrap();
    let size = 3_000;
    let text = "x".repeat(size);
    for i in 0..9 {
        let (kind, id) = if i % 2 == 0 { ("Patient", format!("p{i}")) } else { ("Group", format!("g{i}")) };
        put(&store, kind, &id, &format!(r#"{{"text":{{"status":"generated","div":"{text}"}}}}"#)).await;
        let body = format!(
            r#"{{"subject":{{"reference":"{kind}/{id}"}},"text":{{"status":"generated","div":"{text}"}}}}"#
        );
        for n in 0..if i == 4 { 7 } else { 1 } {
            put(&store, "Observation", &format!("o{i}{n}"), &body).await;
        }
    }
    let observations = "o00 o10 o20 o30 o40 o41 o42 o43 o44 o45 o46 o50 o60 o70 o80";
    for (text, found) in [
        ("Observation?_sort=_id", observations),
        ("Observation?_sort=_id&_include=Observation:subject", observations),
        ("Patient?_sort=_id&_revinclude=Observation:subject", "p0 p2 p4 p6 p8"),
        ("Patient?_sort=_id&_revinclude:iterate=Observation:subject", "p0 p2 p4 p6 p8"),
    ] {
        let mut at = query(&store, text);
        let (mut ids, mut included, mut pages) = (Vec::new(), BTreeSet::new(), 0);
        loop {
            let page = store.search(&all(), &at).await.unwrap();
            let sizes = |of: &[fhir_store::Version]| -> usize {
                of.iter().map(|version| version.body.as_ref().unwrap().len()).sum()
            };
            // One more may have begun before it was full.
            let limit = bytes + 2 * size;
            assert!(sizes(&page.matches) < limit && sizes(&page.included) < limit, "{text}");
            ids.extend(page.matches.iter().map(|version| version.key.id.to_string()));
            included.extend(page.included.iter().map(|version| version.key.to_string()));
            pages += 1;
            match page.next {
                Some(next) => at.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(ids.join(" "), found, "{text}");
        assert!(pages > 2, "{text}: {pages}");
        let wanted = match text.split_once("_include=") {
            Some(_) => 9,
            None if text.contains("revinclude") => 5 + 6,
            None => 0,
        };
        assert_eq!(included.len(), wanted, "{text}: {included:?}");
    }
    // Below the bound all are on one page.
    let roomy = Options { connections_max: 4, page_bytes_max: 100_000, ..Options::default() };
    let store = testing::fresh_with(roomy).await.unwrap();
    for i in 0..15 {
        put(
            &store,
            "Patient",
            &format!("p{i}"),
            &format!(r#"{{"text":{{"status":"generated","div":"{text}"}}}}"#),
        )
        .await;
    }
    assert_eq!(store.search(&all(), &query(&store, "Patient")).await.unwrap().next, None);
}
