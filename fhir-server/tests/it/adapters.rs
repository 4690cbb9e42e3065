//! Doors beside FHIR: their paths are served, and kept apart.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use fhir_adapters::Adapter;
use fhir_interactions::Cx;
use fhir_model::Result;
use fhir_server::http::{CorsOrigins, HttpLimits};
use fhir_server::wiring;

use crate::app::TestApp;

struct Echo(&'static str);

#[async_trait]
impl Adapter for Echo {
    fn name(&self) -> &'static str {
        self.0
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/echo"]
    }

    fn routes(&self, _: Arc<Cx>) -> Router {
        let name = self.0;
        Router::new().route("/echo", get(move || async move { name }))
    }

    async fn serve(&self, _: Arc<Cx>) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_adapter_answers_beside_fhir() {
    let app =
        TestApp::with_adapters(HttpLimits::default(), CorsOrigins::default(), &[Box::new(Echo("one"))]).await;
    let answer = app.at("GET", "/echo").header("x-request-id", "trace").send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "trace");
    assert_eq!(answer.text().await.unwrap(), "one");
    // What is nobody's is answered as it is without adapters.
    for path in ["/no/such/page", "/echoes"] {
        let (status, outcome) = crate::app::json(app.at("GET", path).send().await.unwrap()).await;
        assert_eq!((status, &outcome["resourceType"]), (404, &"OperationOutcome".into()), "{path}");
    }
    assert_eq!(app.at("GET", "/other").send().await.unwrap().status().as_u16(), 404);
    assert_eq!(app.ask("GET", "metadata").send().await.unwrap().status().as_u16(), 200);
    assert_eq!(app.metric("fhir_requests_total{interaction=\"adapter\",status=\"200\"}").await, "1");
}

#[tokio::test]
async fn a_path_that_is_taken_stops_the_start() {
    let app = TestApp::start().await;
    let adapters: [Box<dyn Adapter>; 2] = [Box::new(Echo("one")), Box::new(Echo("two"))];
    let refused = wiring::routes(&app.cx, &adapters).unwrap_err().to_string();
    assert!(refused.contains("two"), "{refused}");
}
