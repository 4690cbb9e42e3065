//! `/health`, `/ready`, `/metrics`.

use crate::app::TestApp;

#[tokio::test]
async fn a_healthy_server_says_so() {
    let app = TestApp::start().await;
    let health = app.at("GET", "/health").send().await.unwrap().text().await.unwrap();
    assert_eq!(health, "{\"status\":\"ok\",\"postgres\":\"ok\",\"redis\":\"off\"}\n");
    for path in ["/health", "/live", "/ready"] {
        let answer = app.at("GET", path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        assert_eq!(app.at("POST", path).send().await.unwrap().status().as_u16(), 405, "{path}");
    }
    assert_eq!(app.at("GET", "/").send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test]
async fn answers_are_counted() {
    let app = TestApp::start().await;
    app.ask("GET", "Patient/none").send().await.unwrap();
    app.send("POST", "Patient", r#"{"resourceType":"Patient"}"#).send().await.unwrap();
    app.ask("GET", "Nonsense/1").send().await.unwrap();
    for (metric, wanted) in [
        ("fhir_requests_total{interaction=\"read\",status=\"404\"}", "1"),
        ("fhir_requests_total{interaction=\"create\",status=\"201\"}", "1"),
        ("fhir_requests_total{interaction=\"none\",status=\"404\"}", "1"),
        ("fhir_request_duration_seconds_count{interaction=\"create\"}", "1"),
        ("fhir_requests_in_flight", "0"),
        ("fhir_requests_queued", "0"),
        ("fhir_panics_total", "0"),
    ] {
        assert_eq!(app.metric(metric).await, wanted, "{metric}");
    }
}

#[tokio::test]
async fn a_server_whose_clock_is_wrong_is_not_ready_and_writes_nothing() {
    const SECONDS: i64 = 1_000_000;
    let app = TestApp::start().await;
    app.cx.store.clock().shift(-90 * SECONDS);
    let ready = app.at("GET", "/ready").send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    assert!(ready.text().await.unwrap().contains("clocks"));
    let patient = r#"{"resourceType":"Patient"}"#;
    let refused = app.send("POST", "Patient", patient).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.text().await.unwrap().contains("90 s behind the database's"));
    assert_eq!(app.ask("GET", "Patient").send().await.unwrap().status().as_u16(), 200);
    app.cx.store.clock().shift(90 * SECONDS);
    assert_eq!(app.at("GET", "/ready").send().await.unwrap().status().as_u16(), 200);
    assert_eq!(app.send("POST", "Patient", patient).send().await.unwrap().status().as_u16(), 201);
}
