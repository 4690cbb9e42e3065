//! What one connection and one request may cost before an interaction sees it.

use std::time::Duration;

/// Bounds at the edge. Those of the interactions themselves are `fhir_interactions::RequestLimits`.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Longest body, in bytes: as sent, and again after decompression.
    pub body_bytes_max: usize,
    /// The body budget: bytes of all bodies in memory at the same time. A request beyond it waits for at most `queue_wait_max`.
    pub bodies_bytes_max: usize,
    /// Longest path and query.
    pub url_bytes_max: usize,
    /// Longest request line and headers together.
    pub head_bytes_max: usize,
    /// Connections open at the same time; further ones wait to be accepted.
    pub connections_max: usize,
    /// Requests worked on at the same time.
    pub requests_max: usize,
    /// Requests that wait for their turn.
    pub queue_max: usize,
    /// How long they wait.
    pub queue_wait_max: Duration,
    /// How long a connection may be silent before or within a request's head.
    pub head_wait_max: Duration,
    /// How long a body may pause.
    pub body_pause_max: Duration,
    /// How long a body may take altogether.
    pub body_wait_max: Duration,
    /// How long a stopping server waits for what it has begun.
    pub drain_max: Duration,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        const MIB: usize = 1024 * 1024;
        HttpLimits {
            body_bytes_max: 100 * MIB,
            bodies_bytes_max: 400 * MIB,
            url_bytes_max: 16 * 1024,
            head_bytes_max: 64 * 1024,
            connections_max: 4096,
            requests_max: 64,
            queue_max: 512,
            queue_wait_max: Duration::from_secs(5),
            head_wait_max: Duration::from_secs(60),
            body_pause_max: Duration::from_secs(10),
            body_wait_max: Duration::from_secs(300),
            drain_max: Duration::from_secs(30),
        }
    }
}
