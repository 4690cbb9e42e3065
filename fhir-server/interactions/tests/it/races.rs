//! Many at the same time: exactly one wins.

use std::sync::Arc;

use serde_json::json;

use crate::app::App;

/// Rounds of a race, each with as many tasks at the same time.
const ROUNDS: usize = 8;
const TASKS: usize = 8;

async fn race(app: &Arc<App>, line: String, body: serde_json::Value) -> Vec<u16> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (app, line, body) = (app.clone(), line.clone(), body.clone());
            tokio::spawn(async move { app.send(&line, &body).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.unwrap());
    }
    statuses.sort_unstable();
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_conditional_creates_creates() {
    let app = Arc::new(App::new().await);
    for round in 0..ROUNDS {
        let patient = json!({"resourceType": "Patient", "identifier": [{"system": "http://s", "value": round.to_string()}]});
        let line = format!("POST Patient | If-None-Exist: identifier=http://s|{round}");
        let statuses = race(&app, line, patient).await;
        assert_eq!(statuses.iter().filter(|s| **s == 201).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|s| matches!(s, 200 | 201)), "{statuses:?}");
    }
    assert_eq!(app.found("Patient").await.split(' ').count(), ROUNDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_updates_of_a_version_wins() {
    let app = Arc::new(App::new().await);
    let patient = json!({"resourceType": "Patient", "id": "a"});
    app.send("PUT Patient/a", &patient).await;
    for round in 1..=ROUNDS {
        let statuses = race(&app, format!("PUT Patient/a | If-Match: W/\"{round}\""), patient.clone()).await;
        assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|s| matches!(s, 200 | 412)), "{statuses:?}");
    }
    assert_eq!(app.ask("GET Patient/a").await.version, Some(ROUNDS as u32 + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost() {
    let app = Arc::new(App::new().await);
    let patient = json!({"resourceType": "Patient", "id": "a"});
    let statuses = race(&app, "PUT Patient/a".to_owned(), patient).await;
    assert_eq!(statuses.iter().filter(|s| **s == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|s| matches!(s, 200 | 201)), "{statuses:?}");
    assert_eq!(app.ask("GET Patient/a").await.version, Some(TASKS as u32));
    assert_eq!(app.ask("GET Patient/a/_history").await.body["total"], TASKS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_transactions_creates() {
    let app = Arc::new(App::new().await);
    for round in 0..ROUNDS {
        let identifier = json!([{"system": "http://s", "value": round.to_string()}]);
        let observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"},
            "subject": {"reference": "urn:uuid:p"}, "identifier": identifier});
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"fullUrl": "urn:uuid:p", "resource": {"resourceType": "Patient", "identifier": identifier},
             "request": {"method": "POST", "url": "Patient", "ifNoneExist": format!("identifier=http://s|{round}")}},
            {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        ]});
        let statuses = race(&app, "POST ".to_owned(), bundle).await;
        assert!(statuses.iter().all(|s| *s == 200), "{statuses:?}");
        let patients = app.found(&format!("Patient?identifier=http://s|{round}")).await;
        assert_eq!(patients.split(' ').count(), 1, "{patients}");
        let observations = app.found(&format!("Observation?subject=Patient/{patients}")).await;
        assert_eq!(observations.split(' ').count(), TASKS);
    }
}
