//! Backups by the clock, beside the running server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::clock::now;
use super::plan::Plan;
use super::site::Site;
use super::state::{self, State};
use super::target::{Base, Target};
use super::wal::{self, Archiver};
use super::{base, retention};
use crate::error::{Error, Result};

/// How often is looked for what is due where WAL is not archived.
const LOOK: Duration = Duration::from_secs(60);

/// A base backup that failed is tried again after this time.
const RETRY_SECS: i64 = 300;

/// How long a server that stops waits for the last WAL to be archived.
const LAST: Duration = Duration::from_secs(10);

/// How the backups are, for metrics.
#[derive(Debug, Default)]
pub struct Status {
    /// When the last base backup was completed, in seconds since 1970; 0: never.
    pub base_at: AtomicI64,
    /// Up to when everything committed is in the archive; 0: never.
    pub wal_at: AtomicI64,
    /// Attempts that failed, of base backups and of archiving WAL.
    pub failures: AtomicU64,
    /// Bytes of WAL that wait for the target.
    pub wal_bytes: AtomicU64,
    /// Whether the target was there at the last attempt.
    pub target: AtomicBool,
}

/// The task that makes backups.
#[derive(Debug)]
pub struct Worker {
    status: Arc<Status>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Starts it.
    pub fn start(site: Site, plan: Plan) -> Worker {
        let status = Arc::new(Status::default());
        let (stop, stopping) = oneshot::channel();
        let work = Work {
            site,
            plan,
            status: status.clone(),
            archiver: Archiver::default(),
            base: None,
            failed_at: 0,
            told: String::new(),
        };
        Worker { status, stop, task: tokio::spawn(work.run(stopping)) }
    }

    /// What it has done.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Archives what is left and ends. To be called before the database is stopped.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// Makes a base backup now and returns it with the name of its archive.
///
/// # Errors
///
/// When the target is not there, another backup is under way, or anything fails on the way.
pub(crate) async fn base_now(site: &Site, plan: &Plan) -> Result<(String, Base)> {
    let target = Target::open(&plan.target)?;
    let client = site.connect().await?;
    let facts = base::Facts::read(&client).await?;
    drop(client);
    state::write_cluster(&site.home, &facts.system, facts.timeline)?;
    let id = state::change(&site.home, &target.id, |position| {
        if position.archive.is_empty() {
            position.archive = state::fresh_id();
        }
        position.archive.clone()
    })?;
    let archive = target.archive(&id);
    let base = base::take(site, &archive, &plan.recipients).await?;
    state::change(&site.home, &target.id, |position| {
        (position.base_at, position.base_start) = (base.finished_at, base.start);
    })?;
    let plan = plan.clone();
    base::blocking(move || retention::apply(&archive, &plan)).await?;
    Ok((id, base))
}

struct Work {
    site: Site,
    plan: Plan,
    status: Arc<Status>,
    archiver: Archiver,
    /// The base backup under way: WAL is archived meanwhile.
    base: Option<JoinHandle<Result<(String, Base)>>>,
    /// When the last base backup failed; 0: never.
    failed_at: i64,
    told: String,
}

impl Work {
    async fn run(mut self, mut stopping: oneshot::Receiver<()>) {
        let mut clock = tokio::time::interval(self.plan.wal_interval.unwrap_or(LOOK));
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stopping => break,
                _ = clock.tick() => self.step().await,
            }
        }
        if let Some(base) = self.base.take() {
            base.abort();
        }
        if self.plan.wal_interval.is_some() && tokio::time::timeout(LAST, self.archive()).await.is_err() {
            tracing::warn!("the last WAL was not archived in time: the next start goes on with it");
        }
    }

    async fn step(&mut self) {
        let archived = self.archive().await;
        self.count(archived);
        if self.base.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(base) = self.base.take()
        {
            let made = base.await.unwrap_or_else(|error| Err(Error::backup(error.to_string())));
            if made.is_err() {
                self.failed_at = now();
            }
            if let Ok((archive, base)) = &made {
                tracing::info!("base backup {archive}/{} is complete", base.name);
            }
            self.count(made.map(|_| ()));
        }
        let due = self.due();
        if self.base.is_none() && due.as_ref().is_ok_and(|due| *due) {
            let (site, plan) = (self.site.clone(), self.plan.clone());
            self.base = Some(tokio::spawn(async move { base_now(&site, &plan).await }));
        }
        self.count(due.map(|_| ()));
        self.show();
    }

    async fn archive(&mut self) -> Result<()> {
        let target = Target::open(&self.plan.target);
        self.status.target.store(target.is_ok(), Relaxed);
        let done = match target {
            Ok(target) if self.plan.wal_interval.is_some() => {
                self.archiver.run(&self.site, &target, &self.plan.recipients).await
            }
            other => other.map(|_| ()),
        };
        let waiting = wal::waiting(&self.site).await?;
        self.status.wal_bytes.store(waiting, Relaxed);
        done
    }

    /// Whether a base backup is to be made: the last one on this target is too old, or WAL since then has a gap.
    fn due(&self) -> Result<bool> {
        let Ok(target) = Target::open(&self.plan.target) else { return Ok(false) };
        let position = state::change(&self.site.home, &target.id, |position| position.clone())?;
        let interval = i64::try_from(self.plan.interval.as_secs()).unwrap_or(i64::MAX);
        let gap = self.plan.wal_interval.is_some() && position.base_start < position.since;
        let wanted = gap || now().saturating_sub(position.base_at) >= interval;
        Ok(wanted && now().saturating_sub(self.failed_at) >= RETRY_SECS.min(interval))
    }

    /// Counts a failure; it is logged when it is another one than before.
    fn count(&mut self, done: Result<()>) {
        let Err(error) = done else { return };
        self.status.failures.fetch_add(1, Relaxed);
        let text = error.to_string();
        if text != self.told {
            tracing::error!("backup: {text}");
            self.told = text;
        }
    }

    fn show(&mut self) {
        if let Ok(state) = State::read(&self.site.home) {
            let (base_at, wal_at) = state.latest();
            self.status.base_at.store(base_at, Relaxed);
            self.status.wal_at.store(wal_at, Relaxed);
        }
    }
}
