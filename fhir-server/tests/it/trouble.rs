//! What goes wrong inside stays inside.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fhir_http::{CorsOrigins, HttpLimits};

use crate::app::{TestApp, issue, json};

#[tokio::test]
async fn a_panic_is_counted_and_answered_without_a_word_of_it() {
    let app = TestApp::start().await;
    fhir_server::logging::count_panics(app.metrics.clone());
    for method in ["GET", "POST"] {
        let (status, outcome) = json(app.ask(method, "$panic").send().await.unwrap()).await;
        assert_eq!((status, issue(&outcome).0.as_str()), (500, "exception"), "{method}");
        assert!(!outcome.to_string().contains("secret"), "{outcome}");
    }
    // From here on a failing test prints what it has to say again.
    drop(std::panic::take_hook());
    assert_eq!(app.metric("fhir_panics_total").await, "2");
    // And the server goes on.
    assert_eq!(app.ask("GET", "metadata").send().await.unwrap().status().as_u16(), 200);
    assert_eq!(app.metric("fhir_requests_in_flight").await, "0");
}

#[tokio::test]
async fn who_finds_no_place_is_told_to_come_back() {
    let limits = HttpLimits {
        requests_max: 1,
        queue_max: 1,
        queue_wait_max: Duration::from_secs(60),
        ..HttpLimits::default()
    };
    let app = TestApp::with(limits, CorsOrigins::default()).await;
    let inside = tokio::spawn(app.ask("GET", "$hold").send());
    app.hold.arrived.acquire().await.unwrap().forget();
    let waiting = tokio::spawn(app.ask("GET", "Patient/none").send());
    while app.metric("fhir_requests_queued").await != "1" {
        tokio::task::yield_now().await;
    }
    let refused = app.ask("GET", "Patient/none").send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(issue(&json(refused).await.1).0, "transient");
    assert_eq!(app.at("GET", "/ready").send().await.unwrap().status().as_u16(), 200, "busy is not ill");
    app.hold.go_on.notify_waiters();
    assert_eq!(inside.await.unwrap().unwrap().status().as_u16(), 200);
    assert_eq!(waiting.await.unwrap().unwrap().status().as_u16(), 404);
}

#[tokio::test]
async fn a_crowd_that_is_sent_away_does_not_fill_the_log() {
    let (told, _ours) = listen();
    let began = Instant::now();
    let limits = HttpLimits { requests_max: 1, queue_max: 0, ..HttpLimits::default() };
    let app = TestApp::with(limits, CorsOrigins::default()).await;
    let inside = tokio::spawn(app.ask("GET", "$hold").send());
    app.hold.arrived.acquire().await.unwrap().forget();
    for _ in 0..50 {
        assert_eq!(app.ask("GET", "Patient/none").send().await.unwrap().status().as_u16(), 503);
    }
    app.hold.go_on.notify_waiters();
    inside.await.unwrap().unwrap();
    let told = String::from_utf8(told.0.lock().unwrap().clone()).unwrap();
    let lines = told.lines().filter(|line| line.contains("503")).count() as u64;
    assert!(lines >= 1 && lines <= 1 + began.elapsed().as_secs(), "{told}");
}

#[tokio::test]
async fn entries_that_fail_do_not_fill_the_log() {
    let (told, _ours) = listen();
    let began = Instant::now();
    let app = TestApp::start().await;
    let entry = r#"{"request":{"method":"GET","url":"$away"}}"#;
    let entries = vec![entry; 50].join(",");
    let batch = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entries}]}}"#);
    let (status, answer) = json(app.send("POST", "", &batch).send().await.unwrap()).await;
    assert_eq!(
        (status, &answer["entry"][49]["response"]["status"]),
        (200, &"503 Service Unavailable".into())
    );
    assert!(!answer.to_string().contains("secret"), "{answer}");
    assert_eq!(app.ask("GET", "$away").send().await.unwrap().status().as_u16(), 503);
    let told = String::from_utf8(told.0.lock().unwrap().clone()).unwrap();
    let lines = told.lines().filter(|line| line.contains("the database is away: a secret")).count() as u64;
    assert!(lines >= 1 && lines <= 1 + began.elapsed().as_secs(), "{told}");
}

/// What is logged from here on, as the server answers on this very thread.
fn listen() -> (Told, tracing::subscriber::DefaultGuard) {
    let told = Told::default();
    let lines = tracing_subscriber::fmt().with_writer({
        let told = told.clone();
        move || told.clone()
    });
    (told, tracing::subscriber::set_default(lines.finish()))
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_write_is_finished_when_its_client_goes_away() {
    let app = TestApp::start().await;
    let asked = tokio::spawn(app.ask("POST", "$hold").send());
    app.hold.arrived.acquire().await.unwrap().forget();
    asked.abort();
    let _ = asked.await;
    assert_eq!(app.metric("fhir_requests_in_flight").await, "1");
    app.hold.go_on.notify_waiters();
    while app.metric("fhir_requests_in_flight").await != "0" {
        tokio::task::yield_now().await;
    }
}
