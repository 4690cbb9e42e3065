//! The supervisor: start, watch, restart, stop.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::backup::Site;
use crate::binaries::{self, Binaries, Search};
use crate::cluster;
use crate::connection::Connection;
use crate::download::Download;
use crate::error::{Error, INSTALL, Result};
use crate::home::Home;
use crate::leftover;
use crate::postmaster::{Postmaster, START_MAX, bound_log};
use crate::upgrade;

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory everything is kept in; made where missing.
    pub data_dir: PathBuf,
    /// Where PostgreSQL's programs are looked for.
    pub search: Search,
    /// What can be fetched when none are found; the first for a new cluster, others for clusters of their version.
    pub download: Vec<Download>,
    /// The most connections PostgreSQL takes.
    pub connections_max: u16,
    /// Off for tests only: commits are then not flushed to disk.
    pub durable: bool,
    /// Further settings of PostgreSQL, which win over ours.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// The defaults, with what is installed on this machine and no download.
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        Options {
            data_dir: data_dir.into(),
            search: Search::machine(),
            download: Vec::new(),
            connections_max: 100,
            durable: true,
            settings: Vec::new(),
        }
    }
}

/// What the database is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers; this is the postmaster's process id.
    Running(u32),
    /// It has ended unasked and is being started again.
    Restarting,
    /// It was stopped.
    Stopped,
}

/// A PostgreSQL of our own. It is stopped by [`Embedded::stop`], and also when this is dropped or the process ends.
#[derive(Debug)]
pub struct Embedded {
    site: Site,
    state: watch::Receiver<State>,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl Embedded {
    /// Locks the data directory, finds the programs, makes the cluster on the first start, starts it and waits until it
    /// answers. What an earlier, killed server left running there is stopped first.
    ///
    /// # Errors
    ///
    /// When another server holds the data directory, no usable PostgreSQL is found or downloaded, the cluster cannot
    /// be made or is of another version, or PostgreSQL does not answer in time.
    pub async fn start(options: Options) -> Result<Embedded> {
        let home = Home::open(&options.data_dir).await?;
        upgrade::complete(&home)?;
        let connection = Connection::new(&home.sockets);
        let binaries = find(&options, &home, cluster::major(&home)).await?;
        leftover::clear(&home.cluster, &home.sockets).await?;
        cluster::make(&home, &binaries, options.durable).await?;
        cluster::configure(&home, &binaries, options.connections_max, options.durable, &options.settings)
            .await?;
        let postmaster = Postmaster::start(&home, &binaries, &connection, START_MAX).await?;
        tracing::info!(
            "PostgreSQL {} runs in {} (process {})",
            binaries.major,
            home.dir.display(),
            postmaster.pid
        );
        let site =
            Site { home: home.dir.clone(), cluster: home.cluster.clone(), connection: connection.clone() };
        let (states, state) = watch::channel(State::Running(postmaster.pid));
        let (stop, stopping) = oneshot::channel();
        let supervised = Supervisor { home, binaries, connection, states };
        let supervisor = tokio::spawn(supervised.run(postmaster, stopping));
        Ok(Embedded { site, state, stop, supervisor })
    }

    /// How to connect, as the owner of the database.
    pub fn connection(&self) -> &Connection {
        &self.site.connection
    }

    /// What backups are made of.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        self.site.connection.url()
    }

    /// The state, and its changes.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The postmaster's process id, while it runs.
    pub fn postmaster_pid(&self) -> Option<u32> {
        match *self.state.borrow() {
            State::Running(pid) => Some(pid),
            State::Restarting | State::Stopped => None,
        }
    }

    /// Ends all connections, stops PostgreSQL cleanly, waits for it, and frees the data directory.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.supervisor.await;
    }
}

/// The programs: of version `major`, where a cluster asks for it.
pub(crate) async fn find(options: &Options, home: &Home, major: Option<u32>) -> Result<Binaries> {
    let fetched = options.download.iter().find(|download| major.is_none_or(|major| major == download.major));
    let found = match (options.search.find(major)?, fetched) {
        (Some(found), _) => Ok(found),
        (None, Some(download)) => match download.get(&home.dir).await {
            Ok(found) if major.is_none_or(|major| major == found.major) => Ok(found),
            Ok(found) => Err(format!("; what was fetched is PostgreSQL {}", found.major)),
            Err(error) => Err(format!("; {error}")),
        },
        (None, None) if options.download.is_empty() => Err(String::new()),
        (None, None) => Err("; none can be fetched for this machine".to_owned()),
    };
    let found = found.map_err(|download| Error::NotFound {
        wanted: binaries::wanted(major),
        looked: options.search.looked(),
        download,
        advice: advice(major),
    })?;
    if let Some(blocked) = home.owner.blocked_at(&found.dir) {
        return Err(Error::Unreachable { user: home.owner.name.clone(), dir: found.dir, blocked });
    }
    Ok(found)
}

/// What to do about programs that are missing.
fn advice(major: Option<u32>) -> String {
    match major {
        None => format!("install it with `{INSTALL}`"),
        Some(major) => format!(
            "the data is as it was; install that version again with `{INSTALL}-{major}`, or let it be fetched \
             (`postgres.download`); then `fhir-server postgres upgrade` brings the data to a newer version"
        ),
    }
}

/// Holds the home, and with it the lock, until the postmaster has ended.
struct Supervisor {
    home: Home,
    binaries: Binaries,
    connection: Connection,
    states: watch::Sender<State>,
}

/// The pause before the second, third ... attempt to start again; the first is made at once.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A run this long counts as healthy: the next restart is made at once again.
const HEALTHY: Duration = Duration::from_secs(60);

const LOG_LOOK: Duration = Duration::from_secs(60);

impl Supervisor {
    async fn run(self, mut postmaster: Postmaster, mut stopping: oneshot::Receiver<()>) {
        let mut pause = Duration::ZERO;
        loop {
            let started = Instant::now();
            let status = tokio::select! {
                // A dropped `Embedded` asks for the same as a stopped one.
                _ = &mut stopping => break,
                status = self.watch(&mut postmaster) => status,
            };
            tracing::error!("PostgreSQL ended unasked ({status}): starting it again");
            self.states.send_replace(State::Restarting);
            if started.elapsed() > HEALTHY {
                pause = Duration::ZERO;
            }
            postmaster = tokio::select! {
                _ = &mut stopping => {
                    self.states.send_replace(State::Stopped);
                    return;
                }
                postmaster = self.restart(&mut pause) => postmaster,
            };
            self.states.send_replace(State::Running(postmaster.pid));
        }
        postmaster.stop().await;
        self.states.send_replace(State::Stopped);
    }

    /// Waits for the end of the postmaster, and keeps its log short meanwhile.
    async fn watch(&self, postmaster: &mut Postmaster) -> String {
        loop {
            match tokio::time::timeout(LOG_LOOK, postmaster.ended()).await {
                Ok(Ok(status)) => return status.to_string(),
                Ok(Err(error)) => return error.to_string(),
                Err(_) => {
                    if let Err(error) = bound_log(&self.home.log()) {
                        tracing::warn!("{error}");
                    }
                }
            }
        }
    }

    /// Tries until it succeeds: a full disk is freed, a missing library comes back, and then so does the database.
    async fn restart(&self, pause: &mut Duration) -> Postmaster {
        loop {
            tokio::time::sleep(*pause).await;
            *pause = (*pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
            let attempt = async {
                leftover::clear(&self.home.cluster, &self.home.sockets).await?;
                Postmaster::start(&self.home, &self.binaries, &self.connection, START_MAX).await
            };
            match attempt.await {
                Ok(postmaster) => {
                    tracing::info!("PostgreSQL runs again (process {})", postmaster.pid);
                    return postmaster;
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
    }
}
