//! Links of searches whose criteria are longer than a URL may be: <https://hl7.org/fhir/R4/search.html>

use std::time::Duration;

use fhir_interactions::{Body, RequestLimits, Settings};
use fhir_store::{Options, Store, testing};
use serde_json::json;

use super::some;
use crate::app::{App, BASE, ids, link, request};

/// A search by ids that has so many bytes.
fn long_search(bytes: usize) -> String {
    let form = "_sort=_id&_count=2&_id=a,b,c,d,e,";
    format!("{form}{}", "x".repeat(bytes - form.len()))
}

async fn post(app: &App, url: &str, form: &str) -> serde_json::Value {
    let found = app.run(request(&format!("POST {url}"), Some(Body::Form(form.to_owned())))).await;
    assert_eq!(found.status, 200, "{}", found.body);
    found.body
}

#[tokio::test]
async fn pages_of_a_search_that_no_url_can_hold_are_reached_by_short_links() {
    let app = some().await;
    let long = long_search(40_000);
    let first = post(&app, "Patient/_search", &long).await;
    assert_eq!(ids(&first), "a b");
    // It says what was asked, whatever its length.
    assert!(link(&first, "self").unwrap().len() > 40_000);
    let next = link(&first, "next").unwrap();
    assert!(next.len() < 200, "{next}");
    let second = app.ask(&format!("GET {next}")).await.body;
    assert_eq!(ids(&second), "c d");
    assert!(link(&second, "self").unwrap().len() > 40_000);
    let third = app.ask(&format!("GET {}", link(&second, "next").unwrap())).await.body;
    assert_eq!((ids(&third).as_str(), link(&third, "next")), ("e", None));
    for (page, relation, found) in [
        (&second, "previous", "a b"),
        (&second, "first", "a b"),
        (&first, "first", "a b"),
        (&third, "previous", "c d"),
        (&third, "first", "a b"),
        (&second, "last", "d e"),
    ] {
        assert_eq!(app.found(link(page, relation).unwrap()).await, found, "{relation}");
    }
    // The same search has the same links, and still takes its cursor by POST.
    assert_eq!(link(&post(&app, "Patient/_search", &long).await, "next"), Some(next));
    let cursor = next.rsplit_once('&').unwrap().1;
    assert_eq!(ids(&post(&app, "Patient/_search", &format!("{long}&{cursor}")).await), "c d");

    // Wherever a search is.
    let observation = json!({"resourceType": "Observation", "id": "y", "status": "final", "code": {"text": "c"},
        "subject": {"reference": "Patient/a"}});
    app.send("PUT Observation/y", &observation).await;
    let of_patient = format!("{},x,y", long.replace("_count=2", "_count=1"));
    for (url, form, walked) in [
        ("_search", format!("_type=Patient&{long}"), "a b c d e"),
        ("Patient/a/Observation/_search", of_patient.clone(), "x y"),
        ("Patient/a/*/_search", format!("_type=Observation&{of_patient}"), "x y"),
    ] {
        let mut page = post(&app, url, &form).await;
        let mut seen = ids(&page);
        while let Some(next) = link(&page, "next") {
            assert!(next.len() < 300, "{next}");
            let following = app.ask(&format!("GET {next}")).await;
            assert_eq!(following.status, 200, "{}", following.body);
            page = following.body;
            seen = format!("{seen} {}", ids(&page));
        }
        assert_eq!(seen, walked, "{url}");
    }

    // In a batch, but not where it could fail after the commit.
    for (kind, status) in [("batch", 200), ("transaction", 400)] {
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [{"request": {"method": "GET", "url": next}}]});
        let answer = app.send("POST ", &bundle).await;
        assert_eq!(answer.status, status, "{kind}: {}", answer.body);
        if status == 200 {
            assert_eq!(ids(&answer.body["entry"][0]["resource"]), "c d");
        }
    }

    // It is a link to this search alone.
    let (path, token) = next.split_once("_criteria=").unwrap();
    let token = token.split('&').next().unwrap();
    let other = if token.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{path}_criteria={other}{}&{cursor}", &token[1..]);
    for bad in [
        forged.as_str(),
        &next.replace("Patient?", "Observation?"),
        "Patient?_criteria=",
        &format!("Patient?_criteria={token}&gender=male&{cursor}"),
    ] {
        let refused = app.ask(&format!("GET {bad} | Prefer: handling=strict")).await;
        assert_eq!(refused.status, 400, "{bad}: {}", refused.body);
    }
    // More criteria narrow it, as everywhere.
    assert_eq!(app.found(&format!("Patient?_criteria={token}&family=ada")).await, "a d");
}

#[tokio::test]
async fn only_what_does_not_fit_has_short_links() {
    let app = some().await;
    // It depends on the link: one that just fits is one, and leads there.
    let short = post(&app, "Patient/_search", &long_search(4_000)).await;
    let next = link(&short, "next").unwrap();
    assert_eq!(app.found(next).await, "c d");
    let spare = app.cx.limits.url_bytes_max - link(&short, "next").unwrap().len() - BASE.len() - 1;
    for (bytes, fits) in [(4_000 + spare, true), (4_000 + spare + 1, false)] {
        let found = post(&app, "Patient/_search", &long_search(bytes)).await;
        for relation in ["first", "next", "last"] {
            let link = link(&found, relation).unwrap();
            assert_eq!(!link.contains("_criteria"), fits, "{bytes}, {relation}");
        }
    }
    // A search by GET whose own URL fits, but not with the cursor.
    let own = long_search(4_000 + spare + 1);
    let found = app.ask(&format!("GET Patient?{own}")).await.body;
    assert!(link(&found, "next").unwrap().contains("_criteria"));
    // One page needs no links to others.
    let whole = long_search(40_000).replace("_count=2", "_count=9");
    let found = post(&app, "Patient/_search", &whole).await;
    assert_eq!(
        (ids(&found).as_str(), link(&found, "first"), link(&found, "next")),
        ("a b c d e", None, None)
    );
}

#[tokio::test]
async fn short_links_work_everywhere_until_they_expire() {
    let url = testing::database().await.unwrap();
    let open = async |lifetime: Duration| {
        let long_searches = fhir_store::LongSearches { lifetime, ..Default::default() };
        let options = Options { connections_max: 4, long_searches, ..Options::default() };
        let store = Store::open(&url, options, testing::registry().await.unwrap()).await.unwrap();
        App::on(store, Settings::default(), RequestLimits::default())
    };
    let (day, short) = (Duration::from_secs(86_400), Duration::from_millis(50));
    let one = open(day).await;
    for id in ["a", "b", "c"] {
        one.send(&format!("PUT Patient/{id}"), &json!({"resourceType": "Patient", "id": id})).await;
    }
    let first = post(&one, "Patient/_search", &long_search(40_000)).await;
    let next = link(&first, "next").unwrap();
    drop(one);
    // After a restart, and on another process.
    assert_eq!(open(day).await.found(next).await, "c");
    let other = open(short).await;
    let first = post(&other, "Patient/_search", &long_search(40_001)).await;
    let next = link(&first, "next").unwrap();
    tokio::time::sleep(short * 2).await;
    let gone = other.ask(&format!("GET {next}")).await;
    assert_eq!(gone.status, 410, "{}", gone.body);
    assert!(gone.body.to_string().contains("send the search again"), "{}", gone.body);
    // Asked again, it is there again: for a day, as a machine may be slow.
    let again = open(day).await;
    assert_eq!(link(&post(&again, "Patient/_search", &long_search(40_001)).await, "next"), Some(next));
    assert_eq!(open(day).await.found(next).await, "c");
}

#[tokio::test]
async fn what_is_too_long_to_be_kept_is_refused_where_it_has_more_pages() {
    let long_searches = fhir_store::LongSearches { bytes_max: 16 * 50_000, ..Default::default() };
    let options = Options { connections_max: 4, long_searches, ..Options::default() };
    let app =
        App::on(testing::fresh_with(options).await.unwrap(), Settings::default(), RequestLimits::default());
    for id in ["a", "b", "c"] {
        app.send(&format!("PUT Patient/{id}"), &json!({"resourceType": "Patient", "id": id})).await;
    }
    let ask = async |form: String| app.run(request("POST Patient/_search", Some(Body::Form(form)))).await;
    assert_eq!(ask(long_search(50_000)).await.status, 200);
    let refused = ask(long_search(50_001)).await;
    assert_eq!(refused.status, 413, "{}", refused.body);
    assert!(refused.body.to_string().contains("_count"), "{}", refused.body);
    assert_eq!(ask(long_search(50_001).replace("_count=2", "_count=3")).await.status, 200);
}
