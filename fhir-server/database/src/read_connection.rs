//! A connection of a pool, for statements of a request whose client may go away in their middle.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool_postgres::{Client, Object};
use fhir_model::Result;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure;

/// A connection to read by. When it is dropped while a statement runs, the statement is stopped, and the connection does not go
/// back to the pool: the next one would wait for what nobody waits for any more.
pub struct ReadConnection {
    /// `None` once it is dropped.
    client: Option<Object>,
    connector: MakeRustlsConnect,
    /// Statements under way.
    running: AtomicUsize,
}

impl std::fmt::Debug for ReadConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadConnection")
    }
}

impl ReadConnection {
    pub(crate) fn new(client: Object, connector: MakeRustlsConnect) -> ReadConnection {
        ReadConnection { client: Some(client), connector, running: AtomicUsize::new(0) }
    }

    /// Awaits what a statement answers.
    pub async fn run<T>(&self, statement: impl Future<Output = T>) -> T {
        self.running.fetch_add(1, Ordering::Relaxed);
        let answer = statement.await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    /// The rows of a statement.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn rows(&self, text: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.run(async {
            let statement = self.prepare_cached(text).await.map_err(failure::classify)?;
            self.query(&statement, values).await.map_err(failure::classify)
        })
        .await
    }

    /// Has it end when it is dropped.
    pub fn discard(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }
}

impl Deref for ReadConnection {
    type Target = Client;

    #[expect(clippy::expect_used, reason = "it is taken when this is dropped, and never before")]
    fn deref(&self) -> &Client {
        self.client.as_ref().expect("it is there until this is dropped")
    }
}

impl Drop for ReadConnection {
    fn drop(&mut self) {
        let is_running = *self.running.get_mut() > 0;
        if let Some(client) = self.client.take_if(|_| is_running) {
            stop(client.cancel_token(), self.connector.clone());
            drop(Object::take(client));
        }
    }
}

/// Has the database stop what nobody waits for.
fn stop(token: CancelToken, connector: MakeRustlsConnect) {
    // Without a runtime the process is ending, and the database notices that.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            if let Err(e) = token.cancel_query(connector).await {
                tracing::debug!("a statement that nobody waits for could not be stopped: {e}");
            }
        });
    }
}
