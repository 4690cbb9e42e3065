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
    programs: PathBuf,
    postmaster: Child,
}

impl NetworkCluster {
    /// Starts one with lines for `postgresql.conf` and `pg_hba.conf`, and files beside them.
    ///
    /// # Panics
    ///
    /// When it does not start: a test cannot go on without.
    pub async fn start(settings: &str, hba: &str, files: &[(&str, &str)]) -> NetworkCluster {
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
        NetworkCluster::run(folder, program.parent().unwrap().to_owned()).await
    }

    /// Starts a standby that follows this one.
    ///
    /// # Panics
    ///
    /// When it does not start, or does not follow within a minute.
    pub async fn standby(&self) -> NetworkCluster {
        let folder = folder();
        let (data, origin) = (folder.path().join("pg"), fs::metadata(self.data()).unwrap());
        for path in [data.clone(), folder.path().join("run")] {
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            chown(&path, Some(origin.uid()), Some(origin.gid())).unwrap();
        }
        let mut copy = self.command("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-R", "-c", "fast", "-X", "stream", "-D"]);
        copy.arg(&data).args(["-p", &self.port.to_string()]);
        assert!(copy.status().unwrap().success(), "a copy of the primary is made");
        let standby = NetworkCluster::run(folder, self.programs.clone()).await;
        let follows = "select count(*) from pg_stat_replication where state = 'streaming'";
        let began = Instant::now();
        while self.ask(follows).await.as_deref() != Some("1") {
            assert!(began.elapsed() < PATIENCE, "the standby does not follow");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        standby
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
        let cluster = NetworkCluster { port, folder, programs, postmaster };
        cluster.ask("select 1").await;
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("pg")
    }

    fn command(&self, program: &str) -> Command {
        as_owner(&self.programs.join(program), &self.data())
    }
}

impl Drop for NetworkCluster {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.postmaster.id().cast_signed()), Signal::SIGQUIT);
        let _ = self.postmaster.wait();
    }
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
