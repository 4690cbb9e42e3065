//! All that answering needs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use fhir_interactions::Cx;
use fhir_model::{Error, Result};

use crate::body_budget::BodyBudget;
use crate::client_address::TrustedProxies;
use crate::concurrency_limit::ConcurrencyLimit;
use crate::cors::CorsOrigins;
use crate::hosts::Hosts;
use crate::limits::HttpLimits;
use crate::metrics::Metrics;
use crate::module_routes::RouteTable;
use crate::openapi;
use crate::rate_limits::{RateLimitOptions, RateLimits};
use crate::request_id::RequestIds;

/// All that answering needs: made once, shared by all connections.
pub struct Edge {
    pub(crate) cx: Arc<Cx>,
    pub(crate) limits: HttpLimits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) hosts: Hosts,
    pub(crate) origins: CorsOrigins,
    pub(crate) proxies: TrustedProxies,
    pub(crate) rate_limits: RateLimits,
    pub(crate) modules: RouteTable,
    pub(crate) openapi: Bytes,
    pub(crate) concurrency: Arc<ConcurrencyLimit>,
    pub(crate) ids: RequestIds,
    pub(crate) body_budget: Arc<BodyBudget>,
    pub(crate) stopping: AtomicBool,
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
    /// Whose word on addresses is believed.
    pub proxies: TrustedProxies,
    /// How many requests a minute are answered.
    pub rate_limits: RateLimitOptions,
}

impl Edge {
    /// An edge with nobody at it yet.
    ///
    /// # Errors
    ///
    /// When its routes cannot be described, or something with these metrics was there before: defects of the program.
    pub fn new(cx: Arc<Cx>, options: EdgeOptions) -> Result<Edge> {
        let EdgeOptions { limits, metrics, hosts, origins, modules, proxies, rate_limits } = options;
        let is_operation = |code: &&str| cx.operations.routes().iter().any(|route| route.code == *code);
        if let Some(code) = modules.operation_codes().find(is_operation) {
            return Err(Error::internal(format!("a module wants the path of the operation ${code}")));
        }
        let openapi = openapi::document(&cx, &modules)?;
        let store = cx.store.clone();
        let (secret, clock) = (store.secret().0, move || store.now());
        let (running, wait) = (limits.requests_max, limits.queue_wait_max);
        let edge = Edge {
            concurrency: Arc::new(ConcurrencyLimit::new(running, limits.queue_max, wait)),
            body_budget: Arc::new(BodyBudget::new(limits.bodies_bytes_max, wait)),
            openapi: Bytes::from(openapi.to_json().map_err(Error::internal)?),
            ids: RequestIds::new(),
            stopping: AtomicBool::new(false),
            rate_limits: RateLimits::new(rate_limits, &secret, clock, metrics.clone())?,
            proxies,
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
