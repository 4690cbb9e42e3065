//! The edge: bytes in, bytes out. Connections, limits, formats, and the way from a request to an answer.
//!
//! <https://hl7.org/fhir/R4/http.html>
//!
//! One way for all requests (`answer.rs`). FHIR's paths are read in one place (`fhir_model::interaction`), so that a second
//! table of routes cannot disagree with it; everything else is a route of a module ([`RouteTable`]).
//!
//! **Invariant:** whatever happens inside, the client gets a response: an error becomes an OperationOutcome or the envelope of
//! its path, a panic a 500.

mod answer;
mod authenticate;
mod binary;
mod body;
mod body_budget;
mod browser;
mod caller;
mod concurrency_limit;
mod cors;
mod docs;
pub mod envelope;
mod fhir;
mod hosts;
mod limits;
pub mod media;
mod metrics;
mod module;
mod module_routes;
mod openapi;
mod pace;
mod panics;
mod probes;
pub mod reply;
mod request;
mod request_id;
mod routes;
mod server;
mod target;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use fhir_interactions::Cx;
use fhir_model::{Error, Result};

pub use caller::Caller;
pub use concurrency_limit::ConcurrencyLimit;
pub use cors::CorsOrigins;
pub use hosts::Hosts;
pub use limits::HttpLimits;
pub use metrics::Metrics;
pub use module_routes::{ModuleRoutes, RouteTable};
pub use request_id::{HEADER as REQUEST_ID, RequestIds};
pub use routes::{Access, Routes};
pub use server::{Server, Stop};
pub use utoipa;
pub use utoipa_axum::routes;

/// Where FHIR is mounted; the first that fits is taken.
pub const MOUNTS: [&str; 2] = ["/fhir/R4", "/fhir"];

/// All that answering needs: made once, shared by all connections.
pub struct Edge {
    cx: Arc<Cx>,
    limits: HttpLimits,
    metrics: Arc<Metrics>,
    hosts: Hosts,
    origins: CorsOrigins,
    modules: RouteTable,
    openapi: Bytes,
    concurrency: Arc<ConcurrencyLimit>,
    ids: RequestIds,
    body_budget: Arc<body_budget::BodyBudget>,
    stopping: AtomicBool,
}

/// What an [`Edge`] is made of.
#[derive(Debug)]
pub struct EdgeOptions {
    /// Bounds.
    pub limits: HttpLimits,
    /// What is counted. Shared with the panic hook, which outlives every server.
    pub metrics: Arc<Metrics>,
    /// What clients call the server.
    pub hosts: Hosts,
    /// Web pages that may call.
    pub origins: CorsOrigins,
    /// What modules answer.
    pub modules: RouteTable,
}

impl Edge {
    /// An edge with nobody at it yet.
    ///
    /// # Errors
    ///
    /// When its routes cannot be described, or something with these metrics was there before: defects of the program.
    pub fn new(cx: Arc<Cx>, options: EdgeOptions) -> Result<Edge> {
        let EdgeOptions { limits, metrics, hosts, origins, modules } = options;
        let openapi = openapi::document(&cx, &modules)?;
        let (running, wait) = (limits.requests_max, limits.queue_wait_max);
        let edge = Edge {
            concurrency: Arc::new(ConcurrencyLimit::new(running, limits.queue_max, wait)),
            body_budget: Arc::new(body_budget::BodyBudget::new(limits.bodies_bytes_max, wait)),
            openapi: Bytes::from(openapi.to_json().map_err(Error::internal)?),
            ids: RequestIds::new(),
            stopping: AtomicBool::new(false),
            cx,
            limits,
            metrics,
            hosts,
            origins,
            modules,
        };
        edge.observe()?;
        Ok(edge)
    }

    /// Shows how full it is.
    fn observe(&self) -> Result<()> {
        let show = |name, help, read: fn(&ConcurrencyLimit) -> usize| {
            let limit = self.concurrency.clone();
            self.metrics.observe(name, help, move || Some(read(&limit) as u64))
        };
        show("fhir_requests_in_flight", "Requests being worked on.", |limit| limit.usage().0)?;
        show("fhir_requests_queued", "Requests waiting for their turn.", |limit| limit.usage().1)?;
        let store = Arc::downgrade(&self.cx.store);
        let pool = move || store.upgrade().map(|store| store.pool());
        let (used, max) = (pool.clone(), pool);
        let text = "Database connections in use.";
        self.metrics.observe("fhir_database_connections", text, move || Some(used()?.0 as u64))?;
        let text = "Database connections allowed.";
        self.metrics.observe("fhir_database_connections_max", text, move || Some(max()?.1 as u64))
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Edge")
    }
}
