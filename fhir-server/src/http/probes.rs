//! Pages for operators: `/health`, `/ready`, `/metrics`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::{HeaderMap, Method, StatusCode};

use super::App;
use crate::metrics::{Backups, Gauges};
use crate::reply::{self, Answer};

const JSON: &str = "application/json";

/// How long the database may take to give a sign of life.
const PING_MAX: Duration = Duration::from_secs(2);

/// The page at `path`, if it is one of ours. They pass the gate: a busy server must still be able to say that it lives.
/// Web pages that may call may read how the server is.
pub(crate) async fn at(app: &App, method: &Method, path: &str, headers: &HeaderMap) -> Option<Answer> {
    if !matches!(path, "/health" | "/ready" | "/metrics") {
        return None;
    }
    if let Some(answer) = app.origins.preflight(method, headers) {
        return Some(answer);
    }
    let mut answer = own(app, method, path).await;
    app.origins.mark(headers, &mut answer);
    Some(answer)
}

async fn own(app: &App, method: &Method, path: &str) -> Answer {
    if method != Method::GET && method != Method::HEAD {
        return reply::page(StatusCode::METHOD_NOT_ALLOWED, JSON, "{\"status\":\"only GET\"}\n");
    }
    match path {
        "/health" => reply::page(StatusCode::OK, JSON, "{\"status\":\"ok\"}\n"),
        "/ready" => ready(app).await,
        _ => {
            let (requests, waiting) = app.concurrency.usage();
            let (pool_used, pool_max) = app.cx.store.pool();
            let full_text_lag = app.cx.store.full_text_lag().map(|lag| lag.as_secs());
            let backups = app.backups.as_deref().map(Backups::from_status);
            let gauges = Gauges { requests, waiting, pool_used, pool_max, full_text_lag, backups };
            let text = app.metrics.text(gauges);
            reply::page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
        }
    }
}

/// Whether requests should be sent here: not while stopping, not without a database, and not when its clock differs, as
/// nothing can be written then.
async fn ready(app: &App) -> Answer {
    let unready = |text| reply::page(StatusCode::SERVICE_UNAVAILABLE, JSON, text);
    if app.stopping.load(Ordering::Relaxed) {
        return unready("{\"status\":\"stopping\"}\n");
    }
    match tokio::time::timeout(PING_MAX, app.cx.store.ping()).await {
        Ok(Ok(())) if app.cx.store.clock_failure().is_some() => {
            unready("{\"status\":\"the clocks of this server and of the database differ\"}\n")
        }
        Ok(Ok(())) => reply::page(StatusCode::OK, JSON, "{\"status\":\"ready\"}\n"),
        _ => unready("{\"status\":\"no database\"}\n"),
    }
}
