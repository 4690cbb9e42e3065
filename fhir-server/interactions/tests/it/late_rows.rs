//! Conditional interactions of two servers on a database whose rows become visible after their commit, as one of several
//! machines makes them.

use std::sync::Arc;

use fhir_interactions::{RequestLimits, Settings};
use fhir_store::testing::{LateRows, late_rows, late_rows_database};
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::app::App;

/// Those who race.
const TASKS: usize = 8;
/// Races at the same time.
const PARALLEL: usize = 6;

/// Of conditional creates and conditional updates under the same criteria one creates. `CARI_RACES` says how many races there are.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_creates_however_late_it_is_seen() {
    let races: usize = std::env::var("CARI_RACES").map_or(200, |n| n.parse().unwrap());
    let (cluster, url) = late_rows_database().await.unwrap();
    let mut apps = Vec::new();
    for _ in 0..2 {
        let store = late_rows(&url, LateRows::RANDOM).await.unwrap();
        apps.push(Arc::new(App::on(store, Settings::default(), RequestLimits::default())));
    }
    let race = async |race: usize| {
        let criteria = format!("identifier=http://s|{race}");
        let identifier = json!([{"system": "http://s", "value": race.to_string()}]);
        let patient = json!({"resourceType": "Patient", "identifier": identifier});
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let (app, patient) = (apps[task % 2].clone(), patient.clone());
            let line = match task / 2 % 2 {
                0 => format!("POST Patient | If-None-Exist: {criteria}"),
                _ => format!("PUT Patient?{criteria}"),
            };
            tasks.spawn(async move { app.send(&line, &patient).await.status });
        }
        let mut statuses = tasks.join_all().await;
        statuses.sort_unstable();
        (race, statuses)
    };
    let ended: Vec<_> = stream::iter((0..races).map(race)).buffer_unordered(PARALLEL).collect().await;
    // All is visible.
    while cluster.ask("select count(*) from pg_prepared_xacts").await.as_deref() != Some("0") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut wrong = Vec::new();
    for (race, statuses) in ended {
        let found = apps[0].found(&format!("Patient?identifier=http://s|{race}")).await;
        let created = statuses.iter().filter(|status| **status == 201).count();
        let is_one = found.split(' ').count() == 1 && !found.is_empty() && created == 1;
        if !is_one || !statuses.iter().all(|status| matches!(status, 200 | 201)) {
            wrong.push((race, found, statuses));
        }
    }
    assert!(wrong.is_empty(), "{} of {races} races: {wrong:?}", wrong.len());
    for app in apps {
        app.cx.store.leave().await;
    }
}
