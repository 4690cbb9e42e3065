//! Connections: accepted, served, and drained at the end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::pace::{AnswerBody, Pace, RequestBody, Slow, Transport};
use crate::answer;
use crate::edge::Edge;

/// A bound address, not yet answering.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    edge: Arc<Edge>,
    stopping: watch::Receiver<bool>,
}

/// Ends a [`Server`]: it stops accepting, finishes what it has begun, and returns.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Begins the end.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// A server for those who connect to `listener`: they are answered once [`Server::run`] runs.
    pub fn new(listener: TcpListener, edge: Edge) -> (Server, Stop) {
        let (stop, stopping) = watch::channel(false);
        (Server { listener, edge: Arc::new(edge), stopping }, Stop(stop))
    }

    /// The address, with the port that was given for port 0.
    ///
    /// # Errors
    ///
    /// When the operating system cannot say it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it answers with.
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// Serves until it is stopped and every request in flight is finished, or until `HttpLimits::drain_max` is over.
    pub async fn run(mut self) {
        // What cannot be read as a request hyper answers itself, without a body, and closes the connection: 400 for broken
        // heads, lengths and encodings, 431 for long heads, 414 for lines beyond 65,534 bytes. With a length beside chunks it
        // goes by the chunks, and closes. A body that is broken in its chunks is ours to answer (`http/body.rs`).
        let builder = Arc::new(builder(&self.edge));
        let places_max =
            self.edge.limits.connections_max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let places = Arc::new(Semaphore::new(places_max));
        loop {
            let (stream, peer, place) = tokio::select! {
                _ = self.stopping.wait_for(|stop| *stop) => break,
                accepted = accept(&self.listener, &places) => accepted,
            };
            let (edge, builder, stopping) = (self.edge.clone(), builder.clone(), self.stopping.clone());
            tokio::spawn(async move {
                let _open = Open::new(edge.metrics.connections.clone());
                serve(&edge, &builder, (stream, peer), stopping).await;
                drop(place);
            });
        }
        drop(self.listener);
        self.edge.stopping.store(true, Relaxed);
        drain(&self.edge, &places, places_max as u32).await;
    }
}

/// An open connection; counted until dropped, also when its task panics.
struct Open(IntGauge);

impl Open {
    fn new(gauge: IntGauge) -> Open {
        gauge.inc();
        Open(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn builder(edge: &Edge) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // How long a head and a silence may last is the pace's to say: hyper knows one time for both.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(edge.limits.head_bytes_max.max(HEAD_BYTES_MIN));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(edge.limits.head_bytes_max as u32)
        .keep_alive_interval(Some(edge.limits.idle_timeout));
    builder
}

/// Answers on one connection until its client closes it, is too slow, or the server stops.
async fn serve(
    edge: &Arc<Edge>,
    builder: &auto::Builder<TokioExecutor>,
    (stream, peer): (TcpStream, IpAddr),
    mut stopping: watch::Receiver<bool>,
) {
    // Small answers must not wait for the client's acknowledgement of the previous one.
    let _ = stream.set_nodelay(true);
    let pace = Arc::new(Pace::new(&edge.limits, Instant::now()));
    let transport = Transport::new(stream, pace.clone());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (edge, pace, begun) = (edge.clone(), pace.clone(), pace.begin());
        async move {
            let request = request.map(|body| RequestBody::new(body, pace));
            // The future has some 10 KB: unboxed it would be moved several times before it is first polled.
            let answer = Box::pin(answer::answer(&edge, peer, request)).await;
            Ok::<_, Infallible>(answer.map(|body| AnswerBody::new(body, begun)))
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(transport), service));
    let mut stopped = pin!(stopping.wait_for(|stop| *stop));
    let mut watch = tokio::time::interval(pace.interval());
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // When a connection is cut that was asked to end.
    let mut ends_at = None;
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                // An answer that says so ends the connection, too.
                if ends_at.is_none() && pace.check(Instant::now()) == Some(Slow::Body) {
                    edge.metrics.slow_connections.inc();
                }
                // A client that goes away or talks nonsense is its own affair.
                if let Err(error) = ended {
                    tracing::debug!("a connection ended early: {error}");
                }
                return;
            }
            _ = &mut stopped, if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            now = watch.tick() => match (ends_at, pace.check(now)) {
                (Some(at), _) if now >= at => return,
                (None, Some(slow)) => {
                    if slow != Slow::Idle {
                        edge.metrics.slow_connections.inc();
                    }
                    if matches!(slow, Slow::Head | Slow::Answer) {
                        return;
                    }
                    // A client is told that a connection ends, so that it sends nothing more on it; and that its body
                    // was too slow.
                    connection.as_mut().graceful_shutdown();
                    ends_at = Some(now + END_MAX.min(edge.limits.head_timeout));
                }
                _ => {}
            },
        }
    }
}

/// How long a connection may take to end that is ended for its slowness.
const END_MAX: Duration = Duration::from_secs(5);

/// hyper's own minimum.
const HEAD_BYTES_MIN: usize = 8192;

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip(), place),
            // Too many open files, a connection reset before it was taken: both pass.
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn drain(edge: &Edge, places: &Semaphore, places_max: u32) {
    let deadline = Instant::now() + edge.limits.drain_max;
    // All places are free when no connection is open.
    if tokio::time::timeout_at(deadline, places.acquire_many(places_max)).await.is_err() {
        tracing::warn!("connections were still open after {} s", edge.limits.drain_max.as_secs());
    }
    // A write whose client went away is finished too: what was begun is all or nothing, but nothing is a pity.
    if tokio::time::timeout_at(deadline, edge.concurrency.drained()).await.is_err() {
        tracing::warn!("requests were still under way after {} s", edge.limits.drain_max.as_secs());
    }
}
