//! Consumers of the change feed.

use async_trait::async_trait;
use fhir_database::Transaction;
use fhir_model::{Error, Key, Result};
use fhir_search::TenantId;
use fhir_store::{Change, FeedPosition, ResourceState, Scope, Store, Version};
use serde_json::Value;

use crate::backoff::Backoff;
use crate::dead_letter::CHANGE;
use crate::job::{JobRun, JobType};

/// Follows the change feed. One process works for a consumer at a time; its place is a row of the database, unless the
/// consumer keeps it itself.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Its name, with the module's before it: `mpi.link`.
    fn name(&self) -> &str;

    /// The types of resources it wants; all of them without any.
    fn types(&self) -> &[&'static str] {
        &[]
    }

    /// Whether it wants the version before each, too, which costs one more statement for a batch.
    fn wants_previous(&self) -> bool {
        true
    }

    /// Most changes that it is given at once.
    fn batch_max(&self) -> usize {
        100
    }

    /// Attempts at one change before it goes to the dead letters. Attempts that failed because something was not available
    /// or took too long do not count.
    fn attempts_max(&self) -> u32 {
        5
    }

    /// Waits between attempts.
    fn backoff(&self) -> Backoff {
        Backoff { first: std::time::Duration::from_millis(100), longest: std::time::Duration::from_secs(30) }
    }

    /// Effects outside of the database. They may come again when the process dies before the place has advanced: give
    /// [`FeedChange::key`] to the other side. A batch that fails is given again, change by change.
    ///
    /// # Errors
    ///
    /// When it did not succeed. The error's text is kept for operators to read, so that it must not hold data of patients.
    async fn perform(&self, changes: &[FeedChange]) -> Result<()> {
        let _ = changes;
        Ok(())
    }

    /// Effects in the database: exactly once, together with the advance of the place. A consumer that keeps its own place is
    /// not asked.
    ///
    /// # Errors
    ///
    /// As [`perform`](Consumer::perform), which is called again, too.
    async fn record(&self, changes: &[FeedChange], transaction: &Transaction<'_>) -> Result<()> {
        let _ = (changes, transaction);
        Ok(())
    }

    /// The place of a consumer that keeps it itself, beside what it derives from the feed. Each process works for such a
    /// consumer of its own.
    fn own_place(&self) -> Option<FeedPosition> {
        None
    }

    /// How long a consumer that keeps its own place rests when it was given everything.
    fn rest(&self) -> std::time::Duration {
        std::time::Duration::from_secs(1)
    }

    /// Tells a consumer that keeps its own place that it was given everything up to one, and whether that was all there is.
    ///
    /// # Errors
    ///
    /// When the place could not be kept: what came after the last one that was kept is given again.
    async fn reached(&self, place: FeedPosition, is_all: bool) -> Result<()> {
        let _ = (place, is_all);
        Ok(())
    }
}

/// A change as a consumer is given it.
#[derive(Debug, Clone)]
pub struct FeedChange {
    /// Whose resource it is about.
    pub tenant: TenantId,
    /// The version that came; without a body it is a deletion.
    pub version: Version,
    /// The version before it, where there is one and the consumer wants it.
    pub previous: Option<Version>,
    /// Where to go on after it.
    pub place: FeedPosition,
}

impl FeedChange {
    /// What names the change: `Patient/1/_history/2`, with the number of its tenant before it where that is not the default
    /// organisation: `16:Patient/1/_history/2`.
    pub fn key(&self) -> String {
        let Version { key, version, .. } = &self.version;
        match self.tenant {
            TenantId::DEFAULT => format!("{key}/_history/{version}"),
            tenant => format!("{}:{key}/_history/{version}", tenant.number()),
        }
    }
}

/// Changes with the versions before them.
pub(crate) async fn with_previous(
    store: &Store,
    consumer: &dyn Consumer,
    changes: Vec<Change>,
) -> Result<Vec<FeedChange>> {
    let previous = match consumer.wants_previous() {
        true => store.previous(&changes).await?,
        false => vec![None; changes.len()],
    };
    let both = changes.into_iter().zip(previous).map(|(change, previous)| {
        let Change { tenant, version, position } = change;
        FeedChange { tenant, version, previous, place: position }
    });
    Ok(both.collect())
}

/// The job that tries a change again that a consumer could not take.
pub(crate) struct Again {
    name: String,
    store: std::sync::Arc<Store>,
    consumer: std::sync::Arc<dyn Consumer>,
}

impl Again {
    pub(crate) fn new(store: std::sync::Arc<Store>, consumer: std::sync::Arc<dyn Consumer>) -> Again {
        Again { name: format!("{CHANGE}{}", consumer.name()), store, consumer }
    }

    /// The change that a letter names.
    async fn change(&self, text: &str) -> Result<FeedChange> {
        let unknown = || Error::internal("a dead letter names no version");
        let (tenant, text) = match text.split_once(':') {
            Some((number, rest)) => (TenantId::new(number.parse().map_err(Error::internal)?)?, rest),
            None => (TenantId::DEFAULT, text),
        };
        let (resource, number) = text.split_once("/_history/").ok_or_else(unknown)?;
        let (type_name, id) = resource.split_once('/').ok_or_else(unknown)?;
        let number: u32 = number.parse().map_err(Error::internal)?;
        let key = Key::new(type_name, id);
        let scope = Scope::everything_of(tenant);
        let read = async |number| {
            let found = self.store.vread(&scope, &key, number).await?;
            Ok::<_, Error>(match found {
                ResourceState::Current(version) | ResourceState::Deleted(version) => Some(version),
                ResourceState::Absent => None,
            })
        };
        let version = read(number).await?.ok_or_else(|| Error::not_found("the version"))?;
        let previous =
            if self.consumer.wants_previous() && number > 1 { read(number - 1).await? } else { None };
        let place = FeedPosition::from_version(&version);
        Ok(FeedChange { tenant, version, previous, place })
    }
}

#[async_trait]
impl JobType for Again {
    fn name(&self) -> &str {
        &self.name
    }

    fn attempts_max(&self) -> u32 {
        self.consumer.attempts_max()
    }

    async fn perform(&self, run: &JobRun) -> Result<Value> {
        let change = self.change(&run.job_key).await?;
        self.consumer.perform(&[change]).await?;
        Ok(Value::Null)
    }

    async fn record(&self, run: &JobRun, _: Value, transaction: &Transaction<'_>) -> Result<()> {
        if self.consumer.own_place().is_some() {
            return Ok(());
        }
        let change = self.change(&run.job_key).await?;
        self.consumer.record(&[change], transaction).await
    }
}
