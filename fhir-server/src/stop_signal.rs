//! How the process is asked to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGTERM and Ctrl-C from when it is made: one that comes before somebody waits for it is not lost, and ends nothing
/// at once.
#[derive(Debug)]
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// When the operating system does not let it.
    pub(crate) fn listen() -> io::Result<StopSignal> {
        Ok(StopSignal {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when the process is asked to end.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns when the process is asked to end.
pub(crate) async fn stop_signal() {
    match StopSignal::listen() {
        Ok(mut stop) => stop.received().await,
        Err(_) => std::future::pending().await,
    }
}
