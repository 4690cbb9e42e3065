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
mod binary_request;
mod body;
mod body_budget;
mod browser;
mod caller;
mod client_address;
mod concurrency_limit;
mod cors;
mod docs;
mod edge;
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
mod rate_limits;
pub mod reply;
mod request;
mod request_id;
mod routes;
mod server;
mod shape;
mod target;

pub use caller::Caller;
pub use client_address::{ProxyHeader, TrustedProxies};
pub use concurrency_limit::ConcurrencyLimit;
pub use cors::CorsOrigins;
pub use edge::{Edge, EdgeOptions};
pub use hosts::Hosts;
pub use limits::HttpLimits;
pub use metrics::Metrics;
pub use module_routes::{ModuleRoutes, RouteTable};
pub use rate_limits::{LimitedMount, MountFigures, NetworkLimit, RateLimitOptions, RedisOptions};
pub use request_id::{HEADER as REQUEST_ID, RequestIds};
pub use routes::{Access, Routes};
pub use server::{Server, Stop};
pub use utoipa;
pub use utoipa_axum::routes;
