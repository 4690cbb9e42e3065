//! Processes that die without being asked.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use fhir_postgres::{Embedded, Options};
use tokio_postgres::NoTls;

use crate::{ask, cluster, home, kill, next_postmaster, processes, start, until};

#[tokio::test]
async fn a_killed_postmaster_is_started_again() {
    let home = home();
    let postgres = start(home.path()).await;
    let db = postgres.connection().clone();
    ask(&db, "create table kept as select 'committed' as value").await;
    // A connection that is in the middle of something when it happens.
    let (client, driver) = db.config().connect(NoTls).await.unwrap();
    tokio::spawn(driver);
    let busy = tokio::spawn(async move { client.simple_query("select pg_sleep(600)").await.is_err() });
    let mut pid = postgres.postmaster_pid().unwrap();
    for _ in 0..3 {
        kill(pid);
        pid = next_postmaster(&postgres, pid).await;
        assert_eq!(ask(&db, "select value from kept").await, "committed");
    }
    assert!(busy.await.unwrap(), "the connection was lost, and said so");
    assert_eq!(postgres.postmaster_pid(), Some(pid));
    postgres.stop().await;
    assert_eq!(processes(&cluster(&home)), Vec::<i32>::new());
}

#[tokio::test]
async fn a_pid_file_that_names_a_stranger_is_survived() {
    let home = home();
    start(home.path()).await.stop().await;
    // The stranger runs as PostgreSQL's own user: that is what PostgreSQL by itself takes for a running postmaster.
    let mut stranger = Command::new("sleep");
    stranger.arg("600");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(cluster(&home)).unwrap());
    if nix::unistd::geteuid().is_root() {
        std::os::unix::process::CommandExt::uid(&mut stranger, owner);
    }
    let mut stranger = stranger.spawn().unwrap();
    let text = format!(
        "{}\n{}\n1700000000\n5432\n/nowhere\n\n1 1\nready\n",
        stranger.id(),
        cluster(&home).display()
    );
    std::fs::write(cluster(&home).join("postmaster.pid"), text).unwrap();

    let postgres = start(home.path()).await;
    assert_eq!(ask(postgres.connection(), "select 1").await, "1");
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was left alone");
    postgres.stop().await;
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_killed_supervisor_takes_postgres_with_it() {
    let home = home();
    let (mut supervisor, url) = supervise(&home);
    let connected = tokio_postgres::connect(&url, NoTls).await.unwrap();
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    until("PostgreSQL has ended", || processes(&cluster(&home)).is_empty()).await;
    drop(connected);
    start(home.path()).await.stop().await;
}

#[tokio::test]
async fn a_killed_supervisor_is_succeeded_at_once() {
    let home = home();
    for round in 0..3 {
        let (mut supervisor, url) = supervise(&home);
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(driver);
        client.batch_execute("create table if not exists rounds (n int)").await.unwrap();
        client.execute("insert into rounds values ($1)", &[&round]).await.unwrap();
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        // No pause: the old postmaster is still there, or on its way out.
        let postgres = start(home.path()).await;
        let rounds = ask(postgres.connection(), "select count(*) from rounds").await;
        assert_eq!(rounds, (round + 1).to_string());
        postgres.stop().await;
    }
}

#[tokio::test]
async fn an_orphan_without_a_watcher_is_stopped_by_the_next_start() {
    let home = home();
    let (mut supervisor, url) = supervise(&home);
    let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client.batch_execute("create table kept as select 'committed' as value").await.unwrap();
    let old = postmaster_pid(&home);
    for watcher in watchers(old) {
        kill(watcher);
    }
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert!(processes(&cluster(&home)).contains(&old), "the orphan runs on");

    let postgres = start(home.path()).await;
    assert!(!processes(&cluster(&home)).contains(&old), "the orphan is gone");
    assert_eq!(ask(postgres.connection(), "select value from kept").await, "committed");
    postgres.stop().await;
}

#[tokio::test]
async fn everything_killed_at_once_is_recovered() {
    let home = home();
    let (mut supervisor, url) = supervise(&home);
    let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client.batch_execute("create table kept as select 'committed' as value").await.unwrap();
    for watcher in watchers(postmaster_pid(&home)) {
        kill(watcher);
    }
    supervisor.kill().unwrap();
    kill(u32::try_from(postmaster_pid(&home)).unwrap());
    supervisor.wait().unwrap();
    let postgres = start(home.path()).await;
    assert_eq!(ask(postgres.connection(), "select value from kept").await, "committed");
    postgres.stop().await;
}

#[tokio::test]
async fn a_half_made_cluster_is_no_cluster() {
    let home = home();
    std::fs::create_dir_all(home.path().join("pg.new-1/base")).unwrap();
    let postgres = start(home.path()).await;
    assert_eq!(ask(postgres.connection(), "select 1").await, "1");
    assert!(!home.path().join("pg.new-1").exists());
    postgres.stop().await;
}

#[tokio::test]
async fn a_start_killed_before_the_database_was_made_is_continued() {
    let home = home();
    let postgres = start(home.path()).await;
    let superuser = postgres.connection().superuser();
    ask(&superuser, "drop database cari").await;
    postgres.stop().await;
    let postgres = start(home.path()).await;
    assert_eq!(ask(postgres.connection(), "select current_database()").await, "cari");
    postgres.stop().await;
}

#[tokio::test]
async fn dropping_the_handle_stops_postgres() {
    let home = home();
    let postgres = start(home.path()).await;
    drop(postgres);
    until("PostgreSQL has ended", || processes(&cluster(&home)).is_empty()).await;
    until("the lock is free", || std::fs::File::open(home.path().join("lock")).unwrap().try_lock().is_ok())
        .await;
    Embedded::start(Options::new(home.path())).await.unwrap().stop().await;
}

/// Another process that supervises a PostgreSQL, and its URL.
fn supervise(home: &tempfile::TempDir) -> (Child, String) {
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_fhir-postgres-run"))
        .arg(home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(url.starts_with("postgres://"), "{url}");
    (supervisor, url.trim().to_owned())
}

fn postmaster_pid(home: &tempfile::TempDir) -> i32 {
    let text = std::fs::read_to_string(cluster(home).join("postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

/// The watchers of one postmaster: `sh -c ... cari-watch PID`.
fn watchers(postmaster: i32) -> Vec<u32> {
    let found: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            command.ends_with(&format!("\0cari-watch\0{postmaster}\0")).then_some(pid)
        })
        .collect();
    assert_eq!(found.len(), 1, "one watcher watches");
    found
}
