//! The end: nothing new is taken, what was begun is finished.

use std::time::Duration;

use fhir_http::{CorsOrigins, HttpLimits};

use crate::app::TestApp;

#[tokio::test]
async fn what_was_begun_is_answered() {
    let app = TestApp::start().await;
    let begun = tokio::spawn(app.ask("GET", "$hold").send());
    app.hold.arrived.acquire().await.unwrap().forget();
    app.stop.now();
    // The address is free again, and the one inside is still waited for.
    while app.at("GET", "/health").send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!app.running.is_finished());
    app.hold.go_on.notify_waiters();
    assert_eq!(begun.await.unwrap().unwrap().status().as_u16(), 200);
    app.running.await.unwrap();
}

#[tokio::test]
async fn what_never_ends_is_not_waited_for_for_ever() {
    let limits = HttpLimits { drain_max: Duration::from_millis(50), ..HttpLimits::default() };
    let app = TestApp::with(limits, CorsOrigins::default()).await;
    let _begun = tokio::spawn(app.ask("GET", "$hold").send());
    app.hold.arrived.acquire().await.unwrap().forget();
    app.stop.now();
    app.running.await.unwrap();
}
