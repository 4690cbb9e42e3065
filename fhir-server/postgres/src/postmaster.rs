//! One run of the postmaster: started, waited for until it answers, stopped.
//!
//! Beside it runs a watcher, a shell that reads from a pipe we hold open and never write to. When this process ends, in
//! whatever way, the kernel closes the pipe and the watcher asks the postmaster for a fast shutdown, so a killed server
//! leaves no database behind that holds the directory. (The kernel's parent-death signal would need `unsafe` code and
//! follows the thread that started the child, not the process.) Where the watcher is killed as well, the next start
//! finds the postmaster and stops it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::binaries::Binaries;
use crate::connection::Connection;
use crate::error::{Error, IoContext, Result};
use crate::home::Home;

const WATCHER: &str = "read -r line; kill -INT \"$1\"";

/// How long recovery after a crash may take: it reads at most `max_wal_size` of log.
pub(crate) const START_MAX: Duration = Duration::from_secs(300);

/// How long a clean shutdown may take before the hard ones: it writes what is dirty in memory.
const STOP_MAX: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(60)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A running postmaster.
#[derive(Debug)]
pub(crate) struct Postmaster {
    pub(crate) pid: u32,
    child: Child,
    watcher: Child,
}

impl Postmaster {
    /// Starts the postmaster and waits until the database answers, for `patience` at most.
    pub(crate) async fn start(
        home: &Home,
        binaries: &Binaries,
        connection: &Connection,
        patience: Duration,
    ) -> Result<Postmaster> {
        let mut postmaster = Postmaster::spawn(home, binaries)?;
        match postmaster.answer(home, connection, patience).await {
            Ok(()) => Ok(postmaster),
            Err(error) => {
                postmaster.stop().await;
                Err(error)
            }
        }
    }

    fn spawn(home: &Home, binaries: &Binaries) -> Result<Postmaster> {
        bound_log(&home.log())?;
        let log = open_log(&home.log())?;
        let program = binaries.dir.join("postgres");
        let child = home
            .owner
            .command(&program, &home.dir)
            .arg("-D")
            .arg(&home.cluster)
            .stdout(log.try_clone().doing("open", &home.log())?)
            .stderr(log)
            .spawn()
            .doing("run", &program)?;
        let pid = child.id().unwrap_or_default();
        let watcher = home
            .owner
            .command("/bin/sh", &home.dir)
            .args(["-c", WATCHER, "cari-watch", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing("run", Path::new("/bin/sh"))?;
        Ok(Postmaster { pid, child, watcher })
    }

    /// Waits until a connection to our database is taken, making role and database on the way if they are missing.
    async fn answer(&mut self, home: &Home, connection: &Connection, patience: Duration) -> Result<()> {
        let started = Instant::now();
        let mut told = Duration::from_secs(5);
        loop {
            if let Some(status) = self.child.try_wait().doing("wait for", Path::new("postgres"))? {
                return Err(not_started(home, format!("it ended with {status}")));
            }
            match connection.config().connect(NoTls).await {
                Ok(_) => return Ok(()),
                Err(error) if is_missing(&error) => prepare(connection).await?,
                Err(error) if started.elapsed() > patience => {
                    return Err(not_started(home, error.to_string()));
                }
                Err(error) if started.elapsed() > told => {
                    tracing::info!("waiting for PostgreSQL: {error}");
                    told *= 2;
                }
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the postmaster has ended by itself.
    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        // Before its number can be given to another process.
        let _ = self.watcher.kill().await;
        status
    }

    /// Asks for a fast shutdown and waits; insists where it takes too long.
    pub(crate) async fn stop(&mut self) {
        for (signal, patience) in STOP_MAX {
            if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
                let _ = kill(Pid::from_raw(pid), signal);
            }
            if tokio::time::timeout(patience, self.child.wait()).await.is_ok() {
                break;
            }
            tracing::warn!("PostgreSQL did not stop within {} s of {signal}", patience.as_secs());
        }
        let _ = self.watcher.kill().await;
    }
}

/// Keeps the log below its size: the old half moves aside, the file itself stays, for the postmaster holds it open.
pub(crate) fn bound_log(log: &Path) -> Result<()> {
    if std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        std::fs::copy(log, log.with_extension("log.1")).doing("copy", log)?;
        open_log(log)?.set_len(0).doing("shorten", log)?;
    }
    Ok(())
}

fn open_log(log: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(log).doing("open", log)
}

fn is_missing(error: &tokio_postgres::Error) -> bool {
    // An unknown role is reported with the same code as a refused one; `prepare` tells them apart.
    error.code().is_some_and(|code| {
        *code == SqlState::INVALID_CATALOG_NAME || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
    })
}

/// Makes the role and the database; a start killed between the two is continued by the next.
async fn prepare(connection: &Connection) -> Result<()> {
    let (client, driver) = connection.superuser().config().connect(NoTls).await?;
    let driver = tokio::spawn(driver);
    for (statement, exists) in [
        ("create role cari login", SqlState::DUPLICATE_OBJECT),
        ("create database cari owner cari", SqlState::DUPLICATE_DATABASE),
    ] {
        match client.batch_execute(statement).await {
            Err(error) if error.code() != Some(&exists) => return Err(error.into()),
            _ => {}
        }
    }
    drop(client);
    let _ = driver.await;
    Ok(())
}

fn not_started(home: &Home, why: String) -> Error {
    const TAIL_BYTES: u64 = 2048;
    let mut tail = Vec::new();
    if let Ok(mut file) = File::open(home.log()) {
        let length = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)));
        let _ = file.read_to_end(&mut tail);
    }
    Error::Start { why, log: home.log(), tail: String::from_utf8_lossy(&tail).trim().to_owned() }
}
