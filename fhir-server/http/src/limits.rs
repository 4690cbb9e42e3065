//! What one connection and one request may cost before an interaction sees it.

use std::time::Duration;

/// What is longer than this is unpacked, parsed or packed on a thread that may block.
pub(crate) const HEAVY_BYTES: usize = 256 * 1024;

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
    /// Longest time from the first byte of a request's head to its last.
    pub head_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// Bytes a second that a body must come with, and an answer be taken with; 0: any.
    pub bytes_per_second_min: u64,
    /// The time over which that is averaged, when the client is waited for; twice as long for answers.
    pub rate_window: Duration,
    /// How long the handler of a module may take.
    pub handler_timeout: Duration,
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
            head_timeout: Duration::from_secs(15),
            // Longer than the 60 s after which a proxy usually closes a connection that it keeps, so that no request meets a
            // closing one.
            idle_timeout: Duration::from_secs(75),
            bytes_per_second_min: 500,
            rate_window: Duration::from_secs(15),
            handler_timeout: Duration::from_secs(60),
            drain_max: Duration::from_secs(30),
        }
    }
}
