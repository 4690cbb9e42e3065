//! Pages for operators: `/health`, `/live`, `/ready`, `/metrics`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::header::{ALLOW, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};

use crate::edge::Edge;
use crate::reply::{self, Answer};

const JSON: &str = "application/json";

/// How long the database may take to give a sign of life.
const PING_MAX: Duration = Duration::from_secs(2);

/// The page at `path`, if it is one of ours. They pass the gate: a busy server must still be able to say that it lives.
/// Web pages that may call may read how the server is.
pub(crate) async fn at(edge: &Edge, method: &Method, path: &str, headers: &HeaderMap) -> Option<Answer> {
    if !matches!(path, "/health" | "/live" | "/ready" | "/metrics") {
        return None;
    }
    if let Some(answer) = edge.origins.preflight(method, headers) {
        return Some(answer);
    }
    // Its future is large, and that of every request would be as large.
    let mut answer = Box::pin(own(edge, method, path)).await;
    edge.origins.mark(headers, &mut answer);
    Some(answer)
}

async fn own(edge: &Edge, method: &Method, path: &str) -> Answer {
    if method != Method::GET && method != Method::HEAD {
        let mut answer =
            reply::page(StatusCode::METHOD_NOT_ALLOWED, JSON, "{\"status\":\"this is read with GET\"}\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/health" => health(edge).await,
        // For who restarts what hangs: a database that is away is no reason.
        "/live" => reply::page(StatusCode::OK, JSON, "{\"status\":\"ok\"}\n"),
        "/ready" => ready(edge).await,
        _ => {
            let Ok(text) = edge.metrics.text() else {
                return reply::page(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "");
            };
            reply::page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
        }
    }
}

/// What the server stands on: its PostgreSQL, and the Redis of its rate limits where it has one.
async fn health(edge: &Edge) -> Answer {
    let ping = tokio::time::timeout(PING_MAX, edge.cx.store.ping());
    let (database, redis) = tokio::join!(ping, edge.rate_limits.redis_answers());
    let is_there = matches!(database, Ok(Ok(())));
    let word = |is_up: bool| if is_up { "ok" } else { "down" };
    let is_well = is_there && redis != Some(false);
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let text = format!(
        "{{\"status\":\"{}\",\"postgres\":\"{}\",\"redis\":\"{}\"}}\n",
        word(is_well),
        word(is_there),
        redis.map_or("off", word)
    );
    reply::page(status, JSON, text)
}

/// Whether requests should be sent here: not while stopping, not without a database, and not when its clock differs, as
/// nothing can be written then.
async fn ready(edge: &Edge) -> Answer {
    let unready = |text| reply::page(StatusCode::SERVICE_UNAVAILABLE, JSON, text);
    if edge.stopping.load(Ordering::Relaxed) {
        return unready("{\"status\":\"stopping\"}\n");
    }
    match tokio::time::timeout(PING_MAX, edge.cx.store.ping()).await {
        Ok(Ok(())) if edge.cx.store.clock_failure().is_some() => {
            unready("{\"status\":\"the clocks of this server and of the database differ\"}\n")
        }
        Ok(Ok(())) => reply::page(StatusCode::OK, JSON, "{\"status\":\"ready\"}\n"),
        _ => unready("{\"status\":\"no database\"}\n"),
    }
}
