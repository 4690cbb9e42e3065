//! Connections: accepted, served, and drained at the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::{App, answer};

/// A bound address, not yet answering.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
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
    pub fn new(listener: TcpListener, app: App) -> (Server, Stop) {
        let (stop, stopping) = watch::channel(false);
        (Server { listener, app: Arc::new(app), stopping }, Stop(stop))
    }

    /// The address, with the port that was given for port 0.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it answers with.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until it is stopped and every request in flight is finished, or until `HttpLimits::drain_max` is over.
    pub async fn run(mut self) {
        // What cannot be read as a request hyper answers itself, without a body, and closes the connection: 400 for broken
        // heads, lengths and encodings, 431 for long heads, 414 for lines beyond 65,534 bytes. With a length beside chunks it
        // goes by the chunks, and closes. A body that is broken in its chunks is ours to answer (`http/body.rs`).
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.app.limits.head_wait_max)
            .max_buf_size(self.app.limits.head_bytes_max.max(HEAD_BYTES_MIN));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(self.app.limits.head_bytes_max as u32)
            .keep_alive_interval(Some(self.app.limits.head_wait_max));
        let builder = Arc::new(builder);
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.app.limits.connections_max.max(1)));
        loop {
            let accepted = tokio::select! {
                _ = self.stopping.wait_for(|stop| *stop) => break,
                accepted = accept(&self.listener, &places) => accepted,
            };
            let (stream, place) = accepted;
            let (app, builder) = (self.app.clone(), builder.clone());
            // Small answers must not wait for the client's acknowledgement of the previous one.
            let _ = stream.set_nodelay(true);
            let service = service_fn({
                let app = app.clone();
                move |request| {
                    let app = app.clone();
                    async move { Ok::<_, Infallible>(answer::answer(&app, request).await) }
                }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            app.metrics.connections.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                // A client that goes away or talks nonsense is its own affair.
                if let Err(error) = connection.await {
                    tracing::debug!("a connection ended early: {error}");
                }
                app.metrics.connections.fetch_sub(1, Relaxed);
                drop(place);
            });
        }
        drop(self.listener);
        self.app.stopping.store(true, Relaxed);
        drain(&self.app, graceful).await;
    }
}

/// hyper's own minimum.
const HEAD_BYTES_MIN: usize = 8192;

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, tokio::sync::OwnedSemaphorePermit) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            // Too many open files, a connection reset before it was taken: both pass.
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn drain(app: &App, graceful: GracefulShutdown) {
    let deadline = Instant::now() + app.limits.drain_max;
    if tokio::time::timeout_at(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open after {} s", app.limits.drain_max.as_secs());
    }
    // A write whose client went away is finished too: what was begun is all or nothing, but nothing is a pity.
    if tokio::time::timeout_at(deadline, app.concurrency.drained()).await.is_err() {
        tracing::warn!("requests were still under way after {} s", app.limits.drain_max.as_secs());
    }
}
