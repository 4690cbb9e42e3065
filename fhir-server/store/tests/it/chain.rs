//! Chains and `_has` at their bounds. That they find what they should is asked of brute force.

use std::sync::Arc;

use fhir_model::Kind;
use fhir_store::{Options, Store, testing};

use super::*;

/// Five patients with an observation each, which all hang on one another: the same number at each end.
async fn fill(options: Options) -> Arc<Store> {
    let store = testing::fresh_with(Options { connections_max: 4, ..options }).await.unwrap();
    for i in 0..5 {
        let body = |rest: &str| {
            format!(r#"{{"text":{{"status":"generated","div":"{}"}},{rest}}}"#, "x".repeat(3000))
        };
        put(&store, "Organization", &format!("o{i}"), &body(r#""active":true"#)).await;
        let managing = format!(r#""managingOrganization":{{"reference":"Organization/o{i}"}}"#);
        put(&store, "Patient", &format!("p{i}"), &body(&format!(r#""gender":"male",{managing}"#))).await;
        let subject = format!(r#""subject":{{"reference":"Patient/p{i}"}}"#);
        put(&store, "Observation", &format!("b{i}"), &body(&format!(r#""status":"final",{subject}"#))).await;
    }
    store
}

/// Searches of which five resources are at the other end.
const FIVE: &[(&str, &str)] = &[
    ("Observation?subject:Patient.gender=male", "b0 b1 b2 b3 b4"),
    ("Patient?_has:Observation:patient:status=final", "p0 p1 p2 p3 p4"),
    // By the bodies of the other end: nothing but them says which organization it is.
    ("Organization?_has:Patient:organization:gender=male", "o0 o1 o2 o3 o4"),
];

#[tokio::test]
async fn so_many_other_ends_are_looked_for_and_no_more() {
    let options = |chain_rare, chain_max| Options { chain_rare, chain_max, ..Options::default() };
    // All of them are wanted: for a number, and where no page is walked.
    for (chain_max, answered) in [(5, true), (4, false)] {
        let store = fill(options(1, chain_max)).await;
        for (search, _) in FIVE {
            let count = store.count(&all(), &query(&store, search)).await;
            match answered {
                true => assert_eq!(count.unwrap().n, 5, "{search}"),
                false => {
                    let refused = count.unwrap_err();
                    assert_eq!(refused.kind, Kind::TooCostly, "{search}");
                    assert!(refused.text.contains("more than 4"), "{search}: {refused}");
                }
            }
        }
    }
}

#[tokio::test]
async fn ends_are_rare_up_to_the_bound_and_found_past_it() {
    // Rare: from the ends. Common: match by match, and no end is too many for it.
    for chain_rare in [5, 4, 0] {
        let store = fill(Options { chain_rare, chain_max: chain_rare, ..Options::default() }).await;
        for (text, found) in FIVE {
            assert_eq!(search(&store, &format!("{text}&_sort=_id")).await, *found, "{chain_rare}: {text}");
        }
    }
}

/// A page of a search that is walked match by match ends by bytes, too.
#[tokio::test]
async fn big_resources_make_small_pages_of_chains() {
    let bytes = 5_000;
    for chain_rare in [0, 50] {
        let store = fill(Options { chain_rare, page_bytes_max: bytes, ..Options::default() }).await;
        for (text, found) in FIVE {
            let mut at = query(&store, &format!("{text}&_sort=_id"));
            let (mut ids, mut pages) = (Vec::new(), 0);
            loop {
                let page = store.search(&all(), &at).await.unwrap();
                let size: usize = page.matches.iter().map(|v| v.body.as_ref().unwrap().len()).sum();
                // The one that fills it may be as big as it is.
                assert!(size < bytes + 4_000, "{chain_rare}: {text}: {size}");
                ids.extend(page.matches.iter().map(|version| version.key.id.to_string()));
                pages += 1;
                let Some(next) = page.next else { break };
                at.cursor = Some(next);
            }
            assert_eq!((ids.join(" "), pages), ((*found).to_owned(), 3), "{chain_rare}: {text}");
        }
    }
}
