//! The work of one process: what it can do, and the tasks that do it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use fhir_model::{Error, Result};
use fhir_store::Store;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::consumer::{Again, Consumer};
use crate::dead_letter::DeadLetters;
use crate::job::{JobType, NewJob};
use crate::options::Options;
use crate::schedule::Schedule;
use crate::shared::Shared;
use crate::{follow, queue, runner, scheduler};

/// How often jobs that were done long ago are forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

/// What a process can do in the background; nothing is done before [`Work::start`].
pub struct Work {
    store: Arc<Store>,
    options: Options,
    jobs: Vec<Arc<dyn JobType>>,
    consumers: Vec<Arc<dyn Consumer>>,
    schedules: Vec<Schedule>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl Work {
    /// The work on the resources of a store.
    pub fn new(store: Arc<Store>) -> Work {
        Work { store, options: Options::default(), jobs: vec![], consumers: vec![], schedules: vec![] }
    }

    /// Does it in another way.
    pub fn options(self, options: Options) -> Work {
        Work { options, ..self }
    }

    /// Runs jobs of a type.
    pub fn job(mut self, job: Arc<dyn JobType>) -> Work {
        self.jobs.push(job);
        self
    }

    /// Works for a consumer.
    pub fn consumer(mut self, consumer: Arc<dyn Consumer>) -> Work {
        self.consumers.push(consumer);
        self
    }

    /// Enqueues jobs at times.
    pub fn schedule(mut self, schedule: Schedule) -> Work {
        self.schedules.push(schedule);
        self
    }

    /// Starts the work, which ends with `stop`.
    ///
    /// # Errors
    ///
    /// When two have the same name.
    pub fn start(self, stop: CancellationToken) -> Result<Working> {
        let mut jobs: BTreeMap<String, Arc<dyn JobType>> = BTreeMap::new();
        let again = self.consumers.iter().map(|consumer| -> Arc<dyn JobType> {
            Arc::new(Again::new(self.store.clone(), consumer.clone()))
        });
        for job in self.jobs.iter().cloned().chain(again) {
            let name = job.name().to_owned();
            if jobs.insert(name.clone(), job).is_some() {
                return Err(Error::internal(format!("`{name}` is the name of two jobs or consumers")));
            }
        }
        let mut names: Vec<&str> = self.schedules.iter().map(|schedule| &*schedule.name).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
            return Err(Error::internal(format!("`{name}` is the name of two schedules")));
        }
        let shared = Arc::new(Shared {
            connections: self.store.connections().clone(),
            owner: fhir_database::random_id(),
            options: self.options,
            jobs,
            schedules: self.schedules,
            stop,
            enqueued: Notify::new(),
            held: AtomicU32::new(0),
            store: self.store,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(runner::run(shared.clone()));
        tasks.spawn(scheduler::run(shared.clone()));
        tasks.spawn(tidy(shared.clone()));
        for consumer in self.consumers {
            tasks.spawn(follow::run(shared.clone(), consumer));
        }
        Ok(Working { shared, tasks })
    }
}

async fn tidy(work: Arc<Shared>) {
    while !work.stop.is_cancelled() {
        let tidied = async { queue::tidy(&**work.connections.client().await?).await };
        if let Err(error) = tidied.await {
            tracing::warn!("jobs that were done long ago could not be forgotten: {error}");
        }
        work.pause(TIDY_EVERY).await;
    }
}

/// Work that is being done.
pub struct Working {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Working {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Working")
    }
}

impl Working {
    /// Enqueues a job on its own; see [`enqueue`](crate::enqueue) for one that comes with a transaction. Returns `false`
    /// when there is one of the type with the same key already.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn enqueue(&self, job: &NewJob) -> Result<bool> {
        let client = self.shared.connections.client().await?;
        let is_new = queue::enqueue(&**client, job).await?;
        self.shared.enqueued.notify_one();
        Ok(is_new)
    }

    /// The dead letters.
    pub fn dead_letters(&self) -> DeadLetters<'_> {
        DeadLetters(&self.shared.connections)
    }

    /// Ends the work; returns when nothing of it runs any more.
    pub async fn stop(mut self) {
        self.shared.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a task of the background work ended by itself: {error}");
            }
        }
    }
}
