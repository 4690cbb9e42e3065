//! Bytes in, bytes out: connections, limits, request ids, and the way from an HTTP request to the interactions.
//!
//! <https://hl7.org/fhir/R4/http.html>
//!
//! A hand-written hyper service rather than a router with layers: FHIR's paths are read in one place
//! (`fhir_model::interaction`), so a second table of routes would only be able to disagree with it.
//!
//! **Invariant:** whatever happens inside, the client gets a response: an error becomes an OperationOutcome, a panic a 500.

mod answer;
pub(crate) mod binary;
pub(crate) mod body;
mod body_budget;
mod browser;
mod concurrency_limit;
mod cors;
mod hosts;
pub(crate) mod limits;
pub mod media;
mod pace;
mod panics;
mod probes;
mod request;
mod request_id;
mod server;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fhir_interactions::Cx;

pub use concurrency_limit::ConcurrencyLimit;
pub use cors::CorsOrigins;
pub use hosts::Hosts;
pub use limits::HttpLimits;
pub use request_id::{HEADER as REQUEST_ID, RequestIds};
pub use server::{Server, Stop};

use crate::metrics::Metrics;

/// Where FHIR is mounted; the first that fits is taken.
pub const MOUNTS: [&str; 2] = ["/fhir/R4", "/fhir"];

/// All that answering needs: made once, shared by all connections.
pub struct App {
    /// The server behind the interactions.
    pub cx: Arc<Cx>,
    /// Bounds at the edge.
    pub limits: HttpLimits,
    /// What is counted. Shared with the panic hook, which outlives every server.
    pub metrics: Arc<Metrics>,
    /// What clients call it.
    pub hosts: Hosts,
    /// Web pages that may call.
    pub origins: CorsOrigins,
    /// What adapters answer, when there are any.
    pub adapters: Option<Adapters>,
    /// How the backups are, when there are to be any.
    pub backups: Option<Arc<fhir_postgres::backup::Status>>,
    concurrency: ConcurrencyLimit,
    ids: RequestIds,
    body_budget: Arc<body_budget::BodyBudget>,
    stopping: AtomicBool,
}

/// What adapters answer.
#[derive(Debug, Clone)]
pub struct Adapters {
    /// Their routes.
    pub router: axum::Router,
    /// What their paths begin with.
    pub paths: Vec<&'static str>,
}

impl Adapters {
    /// True for a path that one of them asked for, and for what is below it.
    pub(crate) fn answer(&self, path: &str) -> bool {
        let is_below =
            |of: &&str| path.strip_prefix(*of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.paths.iter().any(is_below)
    }
}

impl App {
    /// An application with nobody in it yet.
    pub fn new(
        cx: Arc<Cx>,
        limits: HttpLimits,
        metrics: Arc<Metrics>,
        hosts: Hosts,
        origins: CorsOrigins,
    ) -> App {
        App {
            concurrency: ConcurrencyLimit::new(limits.requests_max, limits.queue_max, limits.queue_wait_max),
            body_budget: Arc::new(body_budget::BodyBudget::new(
                limits.bodies_bytes_max,
                limits.queue_wait_max,
            )),
            cx,
            limits,
            metrics,
            hosts,
            origins,
            adapters: None,
            backups: None,
            ids: RequestIds::new(),
            stopping: AtomicBool::new(false),
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}
