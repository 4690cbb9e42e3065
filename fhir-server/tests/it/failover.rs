//! The primary of a database is lost, and its standby takes over: no restart of the server, nothing acknowledged lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fhir_postgres::testing::NetworkCluster;
use reqwest::Response;
use serde_json::Value;

use crate::app::{Setup, TestApp};

/// Acknowledged writes before the primary is lost, and after it.
const WRITES: usize = 60;

#[tokio::test]
async fn a_standby_takes_over_and_nothing_acknowledged_is_lost() {
    let (mut primary, standby) = NetworkCluster::pair("synchronous_commit = on", "clinic").await;
    // From here on what is acknowledged is on both.
    primary.ask("alter system set synchronous_standby_names = '*'").await;
    primary.reload().await;
    // The standby comes first: a start has to pass it over.
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/clinic?target_session_attrs=read-write",
        standby.port, primary.port
    );
    let app = TestApp::set_up(Setup { database: Some(url), ..Setup::default() }).await;
    let (acknowledged, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let count = || acknowledged.lock().unwrap().len();
    let writer = async |number: usize| {
        let mut at = 0;
        while !stop.load(Ordering::Relaxed) {
            at += 1;
            let value = format!("{number}-{at}");
            let patient = serde_json::json!({"resourceType": "Patient", "identifier": [{"system": "urn:failover", "value": value}]});
            let answer = app.send("POST", "Patient", &patient.to_string()).send().await.unwrap();
            match answer.status().as_u16() {
                201 => {
                    let body = json(answer).await;
                    acknowledged.lock().unwrap().push((body["id"].as_str().unwrap().to_owned(), value));
                }
                // Meanwhile nothing can be written, and every client is told so.
                503 => tokio::time::sleep(Duration::from_millis(20)).await,
                other => panic!("{other}: {}", answer.text().await.unwrap()),
            }
        }
    };
    let take_over = async {
        wait_for(|| count() >= WRITES).await;
        primary.crash();
        let before = count();
        standby.ask("select pg_promote()").await;
        wait_for(|| count() >= before + WRITES).await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(writer(0), writer(1), writer(2), writer(3), take_over);
    for (id, value) in acknowledged.into_inner().unwrap() {
        let found = app.ask("GET", &format!("Patient/{id}")).send().await.unwrap();
        assert_eq!(found.status(), 200, "Patient/{id} was acknowledged");
        let url = format!("Patient?identifier=urn:failover|{value}");
        let found = json(app.ask("GET", &url).send().await.unwrap()).await;
        let ids: Vec<&Value> =
            found["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]["id"]).collect();
        assert_eq!(ids, [&Value::from(id)], "{value} is found, once");
    }
}

async fn json(answer: Response) -> Value {
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn wait_for(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
