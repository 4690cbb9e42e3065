//! A request's body that may not arrive too slowly.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::Pace;

/// What comes after a request's head.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: Incoming,
    pace: Arc<Pace>,
    /// The first wait for the client makes it: most bodies are there with their heads.
    wait: Option<Wait>,
}

/// Time that was spent waiting for the client. Time in which nobody asked for more of the body does not count.
#[derive(Debug)]
struct Wait {
    /// Since when the client is waited for; `None` while what it sent is worked on.
    since: Option<Instant>,
    /// Waited before that, in this window.
    waited: Duration,
    /// What the connection had read when the window began.
    bytes_before: u64,
    timer: Pin<Box<Sleep>>,
}

/// Why a body ended early.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The connection ended, or the body is not what its head says.
    Broken(hyper::Error),
    /// It came with fewer bytes a second than this.
    Slow(u64),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Broken(_) => {
                f.write_str("the body ended before it was complete, or its chunks are broken")
            }
            BodyError::Slow(rate) => {
                write!(f, "the body did not arrive in time: it came with less than {rate} bytes a second")
            }
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Broken(error) => Some(error),
            BodyError::Slow(_) => None,
        }
    }
}

impl RequestBody {
    /// The body of a request on a connection with this pace.
    pub(crate) fn new(inner: Incoming, pace: Arc<Pace>) -> RequestBody {
        RequestBody { inner, pace, wait: None }
    }

    /// Waits for the client. Ready when it is too slow.
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (pace, now) = (&self.pace, Instant::now());
        let wait = self.wait.get_or_insert_with(|| Wait {
            since: None,
            waited: Duration::ZERO,
            bytes_before: pace.bytes_read(),
            timer: Box::pin(tokio::time::sleep_until(now + pace.window)),
        });
        if wait.since.is_none() {
            wait.since = Some(now);
            wait.timer.as_mut().reset(now + pace.window.saturating_sub(wait.waited));
        }
        loop {
            ready!(wait.timer.as_mut().poll(cx));
            let bytes = pace.bytes_read();
            if bytes - wait.bytes_before < pace.bytes_min(pace.window) {
                pace.state().is_body_slow = true;
                return Poll::Ready(());
            }
            let now = Instant::now();
            (wait.since, wait.waited, wait.bytes_before) = (Some(now), Duration::ZERO, bytes);
            wait.timer.as_mut().reset(now + pace.window);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(wait) = &mut this.wait
                    && let Some(since) = wait.since.take()
                {
                    wait.waited += since.elapsed();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                ready!(this.poll_slow(cx));
                Poll::Ready(Some(Err(BodyError::Slow(this.pace.bytes_per_second_min))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
