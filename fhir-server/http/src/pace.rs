//! How fast a client must be: what it sends and what it takes, measured at its connection.
//!
//! Three rules, each for what the server waits for. A request's head is complete within `head_timeout` of its first byte.
//! A connection without a request is closed after `idle_timeout`. While a body is awaited, or an answer waits to be taken, the
//! connection moves `bytes_per_second_min` on average, so that a slow line is served and a client that sends a byte a
//! second is not.
//!
//! The rate is the connection's, not the stream's: over HTTP/2 many bodies share a slow line.

mod answer_body;
mod frames;
mod request_body;
mod transport;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use answer_body::AnswerBody;
pub(crate) use request_body::{BodyError, RequestBody};
pub(crate) use transport::Transport;

use super::limits::HttpLimits;
use frames::{Frames, Partial};

/// What every HTTP/2 connection starts with: <https://www.rfc-editor.org/rfc/rfc9113#section-3.4>
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slow {
    /// A request's head did not arrive in time.
    Head,
    /// There was no request.
    Idle,
    /// A body arrived too slowly; its request was answered so.
    Body,
    /// The client did not take its answer.
    Answer,
}

/// The state of one connection, shared by its socket, its bodies and its watch.
#[derive(Debug)]
pub(crate) struct Pace {
    head_timeout: Duration,
    idle_timeout: Duration,
    bytes_per_second_min: u64,
    window: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    protocol: Protocol,
    /// Requests whose head has arrived and whose answer is not yet given to the connection as a whole.
    requests: usize,
    /// Answers whose next part is there and waits for the client.
    untaken: usize,
    /// Since when there is no request; meaningless while there is one.
    idle_since: Instant,
    /// When the first byte of what is not yet a whole head arrived.
    partial_since: Option<Instant>,
    bytes_read: u64,
    bytes_written: u64,
    /// The socket takes nothing, as the client does not.
    is_write_blocked: bool,
    /// When the client began to owe the server a progress in its answers, and the bytes written by then.
    answer_window: Option<(Instant, u64)>,
    is_body_slow: bool,
}

#[derive(Debug)]
enum Protocol {
    /// So many bytes of the preface of HTTP/2 arrived, and nothing else.
    Unknown(usize),
    Http1,
    Http2(Frames),
}

impl Pace {
    /// The pace of a connection that is open since `now`.
    pub(crate) fn new(limits: &HttpLimits, now: Instant) -> Pace {
        Pace {
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            bytes_per_second_min: limits.bytes_per_second_min,
            window: limits.rate_window,
            state: Mutex::new(State {
                protocol: Protocol::Unknown(0),
                requests: 0,
                untaken: 0,
                idle_since: now,
                partial_since: None,
                bytes_read: 0,
                bytes_written: 0,
                is_write_blocked: false,
                answer_window: None,
                is_body_slow: false,
            }),
        }
    }

    /// How often [`Pace::check`] should be asked.
    pub(crate) fn interval(&self) -> Duration {
        const INTERVAL_MAX: Duration = Duration::from_secs(1);
        let shortest = self.head_timeout.min(self.idle_timeout).min(self.window);
        (shortest / 4).clamp(Duration::from_millis(1), INTERVAL_MAX)
    }

    /// Why the connection should be ended at `now`. Returns `None` while all is well.
    pub(crate) fn check(&self, now: Instant) -> Option<Slow> {
        let mut state = self.state();
        if state.is_body_slow {
            return Some(Slow::Body);
        }
        let is_partial = match &state.protocol {
            Protocol::Unknown(_) | Protocol::Http1 => state.requests == 0,
            // Data that belongs to a request is its body's affair.
            Protocol::Http2(frames) => state.requests == 0 || frames.partial() == Partial::Head,
        };
        if is_partial && state.partial_since.is_some_and(|since| now - since >= self.head_timeout) {
            return Some(Slow::Head);
        }
        if self.is_answer_slow(&mut state, now) {
            return Some(Slow::Answer);
        }
        let is_idle = state.requests == 0 && !state.is_write_blocked && state.partial_since.is_none();
        (is_idle && now - state.idle_since >= self.idle_timeout).then_some(Slow::Idle)
    }

    /// A socket takes bytes in lumps, and lost packets hold it up: an answer has two windows.
    fn is_answer_slow(&self, state: &mut State, now: Instant) -> bool {
        if !state.is_write_blocked && state.untaken == 0 {
            state.answer_window = None;
            return false;
        }
        let window = self.window * 2;
        let (since, bytes) = *state.answer_window.get_or_insert((now, state.bytes_written));
        if now - since < window {
            return false;
        }
        let moved = state.bytes_written - bytes;
        state.answer_window = Some((now, state.bytes_written));
        moved < self.bytes_min(window)
    }

    /// The bytes that must move within `window`.
    fn bytes_min(&self, window: Duration) -> u64 {
        (self.bytes_per_second_min as f64 * window.as_secs_f64()) as u64
    }

    /// A request's head has arrived; the request lasts until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Pace>) -> Begun {
        let mut state = self.state();
        state.requests += 1;
        if !matches!(state.protocol, Protocol::Http2(_)) {
            state.partial_since = None;
        }
        drop(state);
        Begun(self.clone())
    }

    /// These bytes arrived at `now`.
    fn on_read(&self, bytes: &[u8], now: Instant) {
        let mut state = self.state();
        let state = &mut *state;
        state.bytes_read += bytes.len() as u64;
        let mut rest = bytes;
        if let Protocol::Unknown(seen) = state.protocol {
            let expected = PREFACE.get(seen..).unwrap_or_default();
            let length = expected.len().min(bytes.len());
            let (start, after) = bytes.split_at(length);
            match expected.starts_with(start) {
                false => state.protocol = Protocol::Http1,
                true if length == expected.len() => {
                    (state.protocol, rest) = (Protocol::Http2(Frames::default()), after);
                }
                true => state.protocol = Protocol::Unknown(seen + length),
            }
        }
        match &mut state.protocol {
            Protocol::Unknown(_) | Protocol::Http1 => {
                if state.requests == 0 {
                    state.partial_since.get_or_insert(now);
                }
            }
            Protocol::Http2(frames) => {
                let has_ended = frames.feed(rest);
                if frames.partial() == Partial::None {
                    state.partial_since = None;
                } else if has_ended {
                    state.partial_since = Some(now);
                } else {
                    state.partial_since.get_or_insert(now);
                }
            }
        }
    }

    /// The socket took so many bytes.
    fn on_written(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes_written += bytes as u64;
        state.is_write_blocked = false;
        // The end of an answer may still be on its way when its request is over.
        if state.requests == 0 && matches!(state.protocol, Protocol::Http1) {
            state.idle_since = Instant::now();
        }
    }

    fn on_write_blocked(&self) {
        self.state().is_write_blocked = true;
    }

    fn bytes_read(&self) -> u64 {
        self.state().bytes_read
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being worked on or answered.
#[derive(Debug)]
pub(crate) struct Begun(Arc<Pace>);

impl Begun {
    fn set_untaken(&self, is_untaken: bool) {
        let mut state = self.0.state();
        state.untaken = if is_untaken { state.untaken + 1 } else { state.untaken.saturating_sub(1) };
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests = state.requests.saturating_sub(1);
        if state.requests == 0 {
            state.idle_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests;
