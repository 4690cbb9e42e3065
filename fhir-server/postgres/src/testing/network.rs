//! A PostgreSQL that listens on the loopback interface, with settings of the test's own, and standbys of it.
//!
//! The embedded PostgreSQL has a socket alone; what concerns networks (TLS, failover) needs one that is reached as a
//! database on another machine is.
#![expect(clippy::unwrap_used, reason = "this is how a test says that it cannot go on")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::{Embedded, Options};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running PostgreSQL; killed when it is dropped.
#[derive(Debug)]
pub struct NetworkCluster {
    /// Where it listens.
    pub port: u16,
    folder: TempDir,
    postmaster: Child,
}

impl NetworkCluster {
    /// Starts one with lines for `postgresql.conf` and `pg_hba.conf`, and files beside them.
    ///
    /// # Panics
    ///
    /// When it does not start: a test cannot go on without.
    pub async fn start(settings: &str, hba: &str, files: &[(&str, &str)]) -> NetworkCluster {
        let (folder, programs) = made(settings, hba, files).await;
        NetworkCluster::run(folder, programs).await
    }

    /// Starts a primary and a standby that follows it, for a database of this name, with lines for `postgresql.conf`.
    ///
    /// # Panics
    ///
    /// When one does not start, or the standby does not follow within a minute.
    pub async fn pair(settings: &str, database: &str) -> (NetworkCluster, NetworkCluster) {
        let hba = "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust";
        let (first, programs) = made(settings, hba, &[]).await;
        // Copied while nothing runs: programs that are downloaded have no `pg_basebackup`.
        let second = folder();
        for name in ["pg", "run"] {
            let copy = Command::new("cp").arg("-a").arg(first.path().join(name)).arg(second.path()).status();
            assert!(copy.unwrap().success(), "the cluster is copied");
        }
        let primary = NetworkCluster::run(first, programs.clone()).await;
        let follows = format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n", primary.port);
        write(&second.path().join("pg"), "postgresql.auto.conf", &follows);
        write(&second.path().join("pg"), "standby.signal", "");
        let standby = NetworkCluster::run(second, programs).await;
        primary.ask(&format!("create database {database}")).await;
        let follows = "select count(*) from pg_stat_replication where state = 'streaming'";
        let began = Instant::now();
        while primary.ask(follows).await.as_deref() != Some("1") {
            assert!(began.elapsed() < PATIENCE, "the standby does not follow");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (primary, standby)
    }

    /// Runs a statement as the superuser over the socket, as soon as there is an answer; its first value, if it has one.
    ///
    /// # Panics
    ///
    /// When it fails, or nothing answers within a minute.
    pub async fn ask(&self, statement: &str) -> Option<String> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path().join("run")).port(self.port).user("postgres").dbname("postgres");
        let began = Instant::now();
        let (client, driver) = loop {
            match config.connect(NoTls).await {
                Ok(connected) => break connected,
                Err(error) => assert!(began.elapsed() < PATIENCE, "PostgreSQL does not answer: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        tokio::spawn(driver);
        let answers = client.simple_query(statement).await.unwrap();
        answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    /// Has PostgreSQL read its settings and certificates again, and waits until it has.
    ///
    /// # Panics
    ///
    /// As [`NetworkCluster::ask`].
    pub async fn reload(&self) {
        let loaded = "select pg_conf_load_time()";
        let before = self.ask(loaded).await;
        self.ask("select pg_reload_conf()").await;
        // The postmaster reads them when it gets to it.
        while self.ask(loaded).await == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Writes a file of PostgreSQL's, beside its settings.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn write(&self, name: &str, text: &str) {
        write(&self.data(), name, text);
    }

    /// Writes a file that a client may read; its path.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Ends all its processes at once, as a power cut does.
    ///
    /// # Panics
    ///
    /// When there is no such process.
    pub fn crash(&mut self) {
        // The postmaster answers this by killing its children and itself, with nothing written.
        kill(Pid::from_raw(self.postmaster.id().cast_signed()), Signal::SIGQUIT).unwrap();
        self.postmaster.wait().unwrap();
    }

    async fn run(folder: TempDir, programs: PathBuf) -> NetworkCluster {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = as_owner(&programs.join("postgres"), &folder.path().join("pg"));
        postgres.arg("-D").arg(folder.path().join("pg"));
        let sockets = format!("unix_socket_directories={}", folder.path().join("run").display());
        for setting in [sockets.as_str(), &format!("port={port}"), "listen_addresses=127.0.0.1", "fsync=off"]
        {
            postgres.arg("-c").arg(setting);
        }
        let postmaster = postgres.spawn().unwrap();
        let cluster = NetworkCluster { port, folder, postmaster };
        cluster.ask("select 1").await;
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("pg")
    }
}

impl Drop for NetworkCluster {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.postmaster.id().cast_signed()), Signal::SIGQUIT);
        let _ = self.postmaster.wait();
    }
}

/// A cluster that does not run yet, in a folder of its own, and where PostgreSQL's programs are.
async fn made(settings: &str, hba: &str, files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = folder();
    // The supervisor finds PostgreSQL and makes the cluster.
    let embedded = Embedded::start(Options::new(folder.path())).await.unwrap();
    let program = fs::read_link(format!("/proc/{}/exe", embedded.postmaster_pid().unwrap())).unwrap();
    embedded.stop().await;
    let data = folder.path().join("pg");
    let own = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    write(&data, "postgresql.conf", &format!("{own}\n{settings}\n"));
    write(&data, "pg_hba.conf", &format!("local all all trust\n{hba}\n"));
    for (name, text) in files {
        write(&data, name, text);
    }
    (folder, program.parent().unwrap().to_owned())
}

fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("cari-network-").tempdir().unwrap();
    // PostgreSQL's user must be able to enter it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A program that runs as the owner of a cluster, silently.
fn as_owner(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    if nix::unistd::geteuid().is_root() {
        let owner = fs::metadata(data).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

/// Writes a file as PostgreSQL demands it: its own, and nobody else's to read.
fn write(data: &Path, name: &str, text: &str) {
    let (path, owner) = (data.join(name), fs::metadata(data).unwrap());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}
