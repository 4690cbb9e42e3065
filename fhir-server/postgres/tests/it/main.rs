//! The supervisor against real PostgreSQL processes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

mod backup;
mod death;
mod download;
mod start;
mod testing;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fhir_postgres::{Connection, Embedded, Options, State};
use tokio_postgres::NoTls;

/// A directory for a cluster, which PostgreSQL's user can enter and which is removed at the end.
fn home() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("cari-it-").tempdir().unwrap()
}

async fn start(home: &Path) -> Embedded {
    Embedded::start(Options::new(home)).await.unwrap()
}

/// The first column of the first row.
async fn ask(connection: &Connection, query: &str) -> String {
    try_ask(connection, query).await.unwrap()
}

async fn try_ask(connection: &Connection, query: &str) -> Result<String, tokio_postgres::Error> {
    let (client, driver) = connection.config().connect(NoTls).await?;
    let driver = tokio::spawn(driver);
    let rows = client.simple_query(query).await?;
    drop(client);
    let _ = driver.await;
    let first = rows.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
        _ => None,
    });
    Ok(first.unwrap_or_default())
}

/// Waits until something is so; fails when it never is.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The PostgreSQL processes that work in a cluster.
fn processes(cluster: &Path) -> Vec<i32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (std::fs::read_link(entry.path().join("cwd")).ok()? == cluster).then_some(pid)
        })
        .collect()
}

fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

fn cluster(home: &tempfile::TempDir) -> PathBuf {
    home.path().canonicalize().unwrap().join("pg")
}

/// The postmaster after the one with the number `before`.
async fn next_postmaster(postgres: &Embedded, before: u32) -> u32 {
    let mut states = postgres.watch();
    let is_next = |state: &State| matches!(*state, State::Running(pid) if pid != before);
    let state =
        *tokio::time::timeout(Duration::from_secs(60), states.wait_for(is_next)).await.unwrap().unwrap();
    match state {
        State::Running(pid) => pid,
        other => panic!("{other:?}"),
    }
}
