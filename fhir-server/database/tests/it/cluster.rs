//! A PostgreSQL that listens on the loopback interface with TLS.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fhir_postgres::{Embedded, Options};
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::authority::Signed;

/// A running PostgreSQL of its own; killed when it is dropped.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    data: PathBuf,
    postmaster: Child,
}

impl Cluster {
    /// Starts one whose connections from elsewhere must be encrypted, those of the user `bearer` with a certificate of its own.
    pub(crate) async fn start(server: &Signed, authority: &str) -> Cluster {
        let folder = tempfile::Builder::new().prefix("cari-tls-").tempdir().unwrap();
        // The supervisor finds PostgreSQL and makes the cluster.
        let embedded = Embedded::start(Options::new(folder.path())).await.unwrap();
        let program = fs::read_link(format!("/proc/{}/exe", embedded.postmaster_pid().unwrap())).unwrap();
        embedded.stop().await;
        let data = folder.path().join("pg");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        write(&data, "authority.pem", authority);
        present(&data, server);
        write(
            &data,
            "pg_hba.conf",
            "local all all trust\nhostssl all bearer all cert\nhostssl all all all trust\nhostnossl all plain all trust\n",
        );
        let settings = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        let sockets = folder.path().join("run");
        let own = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nfsync = off\nssl = on\n\
             ssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'authority.pem'\n",
            sockets.display()
        );
        write(&data, "postgresql.conf", &(settings + &own));
        let mut command = Command::new(program);
        command.arg("-D").arg(&data).stdout(Stdio::null()).stderr(Stdio::null());
        let owner = fs::metadata(&data).unwrap();
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let postmaster = command.spawn().unwrap();
        let cluster = Cluster { folder, port, data, postmaster };
        let commands = "create role ada login superuser; create role bearer login; create role plain login; create database clinic;";
        for command in commands.split_inclusive(';') {
            cluster.as_superuser(command).await;
        }
        cluster
    }

    /// Runs a statement over the socket, as soon as the server takes connections; its first value, if it has one.
    pub(crate) async fn as_superuser(&self, statement: &str) -> Option<String> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path().join("run")).port(self.port).user("postgres").dbname("postgres");
        let began = std::time::Instant::now();
        let (client, driver) = loop {
            match config.connect(NoTls).await {
                Ok(connected) => break connected,
                Err(error) => assert!(began.elapsed().as_secs() < 60, "PostgreSQL does not answer: {error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        tokio::spawn(driver);
        let answers = client.simple_query(statement).await.unwrap();
        answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    /// Takes another certificate from now on.
    pub(crate) async fn present(&self, server: &Signed) {
        present(&self.data, server);
        self.reload().await;
    }

    /// Has PostgreSQL read its settings and certificates again.
    pub(crate) async fn reload(&self) {
        let loaded = "select pg_conf_load_time()";
        let before = self.as_superuser(loaded).await;
        self.as_superuser("select pg_reload_conf()").await;
        // The postmaster reads it when it gets to it.
        while self.as_superuser(loaded).await == before {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// A file that the client reads.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.postmaster.kill();
        let _ = self.postmaster.wait();
    }
}

fn present(data: &Path, server: &Signed) {
    write(data, "server.key", &server.key);
    write(data, "server.pem", &server.certificate);
}

/// Writes a file as PostgreSQL demands it: its own, and nobody else's to read.
fn write(data: &Path, name: &str, text: &str) {
    let (path, owner) = (data.join(name), fs::metadata(data).unwrap());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}
