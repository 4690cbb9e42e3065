//! One PostgreSQL for a test binary, and fresh databases in it.
//!
//! With `CARI_TEST_DATABASE_URL` set, that server is used (its role must be allowed to create databases). Otherwise a
//! cluster is started in the temporary directory. Clusters are kept for the next run, one per test binary that runs at the
//! same time, without flushing to disk. The postmaster stops by itself when the test process ends.

mod network;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

pub use network::NetworkCluster;

use crate::{Embedded, Error, Options, Result};

/// The test binaries that may run at the same time.
const CLUSTERS_MAX: u32 = 32;

/// The URL of the server's database `cari`; starts the server at the first call.
///
/// # Panics
///
/// When there is none and none can be started: a test cannot go on without.
pub async fn server() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    // Blocks the caller's runtime for the second it takes: every test of the binary waits for this anyway.
    URL.get_or_init(|| match std::env::var("CARI_TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => start(),
    })
}

/// The URL of a new, empty database.
///
/// # Panics
///
/// When it cannot be made.
pub async fn database() -> String {
    make("create database").await
}

/// The URL of a new database that is a copy of `template`, to which nobody may be connected.
///
/// # Panics
///
/// When it cannot be made.
pub async fn database_like(template: &str) -> String {
    let name = template.rsplit('/').next().unwrap_or(template);
    make(&format!("create database with template {name}")).await
}

#[expect(clippy::panic, reason = "this is how a test says that it cannot go on")]
async fn make(statement: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let server = server().await;
    let statement = statement.replacen("database", &format!("database {name}"), 1);
    if let Err(error) = run(server, &[statement]).await {
        panic!("cannot create a test database: {error}");
    }
    match server.rsplit_once('/') {
        Some((head, _)) => format!("{head}/{name}"),
        None => panic!("`{server}` is not a URL with a database"),
    }
}

/// Starts the cluster on a thread of its own: a test's runtime ends with the test, the server must not.
#[expect(clippy::panic, reason = "this is how a test says that it cannot go on")]
fn start() -> String {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            match any_cluster().await {
                Ok(postgres) => {
                    let _ = send.send(Ok(postgres.url()));
                    std::future::pending::<()>().await;
                    postgres.stop().await;
                }
                Err(error) => {
                    let _ = send.send(Err(error));
                }
            }
        });
    });
    match receive.recv() {
        Ok(Ok(url)) => url,
        Ok(Err(error)) => panic!("{error}"),
        Err(error) => panic!("the test server's thread ended: {error}"),
    }
}

/// The first cluster no other test binary holds.
async fn any_cluster() -> Result<Embedded> {
    let mut number = 0;
    loop {
        let dir = directory(number);
        match ready(&dir).await {
            Err(Error::InUse { .. }) if number < CLUSTERS_MAX => number += 1,
            // Not flushed to disk, a kept cluster may be broken after a power cut: then it is made anew.
            Err(Error::Start { .. }) if dir.join("pg").exists() => {
                let _ = std::fs::remove_dir_all(dir.join("pg"));
                return ready(&dir).await;
            }
            other => return other,
        }
    }
}

async fn ready(dir: &std::path::Path) -> Result<Embedded> {
    let options = Options {
        durable: false,
        // Small, for several may run at once.
        settings: vec![("shared_buffers".to_owned(), "64MB".to_owned())],
        ..Options::new(dir)
    };
    let postgres = Embedded::start(options).await?;
    let superuser = postgres.connection().superuser().url();
    let leftovers =
        "select format('drop database %I with (force)', datname) from pg_database where datname ~ '^test_'";
    let mut statements = vec!["alter role cari createdb".to_owned()];
    statements.extend(rows(&superuser, leftovers).await?);
    run(&superuser, &statements).await?;
    Ok(postgres)
}

fn directory(number: u32) -> PathBuf {
    std::env::temp_dir().join(format!("cari-test-{}-{number}", nix::unistd::geteuid()))
}

async fn run(url: &str, statements: &[String]) -> Result<()> {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await?;
    let driver = tokio::spawn(driver);
    for statement in statements {
        client.batch_execute(statement).await?;
    }
    drop(client);
    let _ = driver.await;
    Ok(())
}

async fn rows(url: &str, query: &str) -> Result<Vec<String>> {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await?;
    let driver = tokio::spawn(driver);
    let rows = client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect();
    drop(client);
    let _ = driver.await;
    Ok(rows)
}
