//! Follows the change feed for a consumer.
//!
//! The lease of a consumer is renewed in each transaction that advances its place, so that two processes never both do.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fhir_database::{Lease, Transaction, failure};
use fhir_model::{Error, Kind, Result};
use fhir_store::FeedPosition;
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_postgres::types::ToSql;

use crate::consumer::{Consumer, FeedChange, with_previous};
use crate::crash::step;
use crate::dead_letter::{self, DeadLetterKind};
use crate::shared::Shared;

/// How often a process looks whether a consumer is free.
const LOOK_EVERY: Duration = Duration::from_millis(700);
/// How far the place that is kept may be behind while nothing comes that the consumer wants.
const BEHIND_MAX_MICROS: i64 = 60_000_000;

const ADD: &str = "insert into consumer (name, updated_at, handle, version, failures) \
     values ($1::text, $2::int8, $3::int8, $4::int4, 0) on conflict (name) do nothing";

const LOAD: &str =
    "select c.updated_at, c.handle, c.version, c.failures from consumer c where c.name = $1::text";

const ADVANCE: &str = "update consumer c set updated_at = $2::int8, handle = $3::int8, version = $4::int4, \
     failures = 0, failure = null where c.name = $1::text";

const BEGIN: &str = "update consumer c set failures = c.failures + 1 where c.name = $1::text";

const FAILED: &str = "update consumer c set failures = $2::int4, failure = $3::text where c.name = $1::text";

/// Works for a consumer until the server stops.
pub(crate) async fn run(work: Arc<Shared>, consumer: Arc<dyn Consumer>) {
    let mut failures = 0;
    while !work.stop.is_cancelled() {
        let follower = Follower {
            work: &work,
            consumer: &*consumer,
            lease: Lease::new(
                format!("consumer {}", consumer.name()),
                work.owner,
                work.options.consumer_lease,
            ),
            low_watermark: work.store.low_watermark(),
        };
        let followed = match consumer.own_place() {
            Some(place) => follower.by_itself(place).await,
            None => follower.under_lease().await,
        };
        let wait = match followed {
            Ok(()) => {
                failures = 0;
                // Whoever works for several lets others be first.
                LOOK_EVERY + LOOK_EVERY * work.held.load(std::sync::atomic::Ordering::Relaxed) / 3
            }
            Err(error) => {
                failures += 1;
                tracing::warn!("the consumer {} does not get on: {error}", consumer.name());
                consumer.backoff().wait(failures)
            }
        };
        work.pause(wait).await;
    }
}

struct Follower<'w> {
    work: &'w Shared,
    consumer: &'w dyn Consumer,
    lease: Lease,
    low_watermark: watch::Receiver<i64>,
}

impl Follower<'_> {
    /// Works for the consumer when no other process does, until it is stopped or its lease is lost.
    async fn under_lease(mut self) -> Result<()> {
        let shared = self.work.connections.pipelined().await?;
        if !self.lease.take(&shared.client).await? {
            return Ok(());
        }
        self.work.held.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let done = self.follow().await;
        self.work.held.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        let shared = self.work.connections.pipelined().await?;
        self.lease.free(&shared.client).await?;
        done
    }

    async fn follow(&mut self) -> Result<()> {
        let (mut place, failures) = self.load().await?;
        let mut kept = place;
        // What ended the process that came before may be the next change: it is tried alone, and counted before.
        let mut is_careful = true;
        while !self.work.stop.is_cancelled() {
            let before = *self.low_watermark.borrow_and_update();
            let changes = self.read(place, before).await?;
            let is_all = changes.len() < self.consumer.batch_max().max(1);
            let Some(last) = changes.last() else {
                place = place.max(FeedPosition::before(before));
                if place.updated_at().saturating_sub(kept.updated_at()) > BEHIND_MAX_MICROS {
                    kept = place;
                    self.advance_to(place).await?;
                }
                if !self.wait().await? {
                    return Ok(());
                }
                continue;
            };
            let last = last.place;
            if is_careful && let Some((first, _)) = changes.split_first() {
                self.alone(first, failures).await?;
                is_careful = false;
                place = first.place;
                continue;
            }
            if let Err(error) = self.deliver(&changes, last).await {
                if is_lost(&error) {
                    return Err(error);
                }
                for change in &changes {
                    self.alone(change, 0).await?;
                    if self.work.stop.is_cancelled() {
                        return Ok(());
                    }
                }
            }
            place = if is_all { last.max(FeedPosition::before(before)) } else { last };
            kept = last;
        }
        Ok(())
    }

    /// The place that is kept, and how often the next change was tried.
    async fn load(&self) -> Result<(FeedPosition, u32)> {
        let client = self.work.connections.client().await?;
        let (at, handle, version) = columns(FeedPosition::default());
        let name = self.consumer.name();
        client.execute(ADD, &[&name, &at, &handle, &version]).await.map_err(failure::classify)?;
        let row = client.query_one(LOAD, &[&name]).await.map_err(failure::classify)?;
        let place = FeedPosition::from_columns(
            row.try_get(0).map_err(Error::internal)?,
            row.try_get(1).map_err(Error::internal)?,
            u32::try_from(row.try_get::<_, i32>(2).map_err(Error::internal)?).unwrap_or(0),
        );
        let failures: i32 = row.try_get(3).map_err(Error::internal)?;
        Ok((place, u32::try_from(failures).unwrap_or(0)))
    }

    async fn read(&self, place: FeedPosition, before: i64) -> Result<Vec<FeedChange>> {
        let store = &self.work.store;
        let limit = self.consumer.batch_max().max(1);
        let changes = store.changes_before(place, before, self.consumer.types(), limit).await?;
        let changes = with_previous(store, self.consumer, changes).await?;
        step("consumer:read");
        Ok(changes)
    }

    /// Waits for the feed to go on and keeps the lease meanwhile. Returns `false` when there is nothing to wait for any
    /// more.
    async fn wait(&mut self) -> Result<bool> {
        let renew_every = self.work.options.consumer_lease / 3;
        loop {
            tokio::select! {
                () = self.work.stop.cancelled() => return Ok(false),
                changed = self.low_watermark.changed() => return Ok(changed.is_ok()),
                () = tokio::time::sleep(renew_every) => {
                    let shared = self.work.connections.pipelined().await?;
                    if !self.lease.renew(&shared.client).await? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Gives changes to the consumer; the place advances in the transaction in which it records them.
    async fn deliver(&self, changes: &[FeedChange], place: FeedPosition) -> Result<()> {
        let deliver = async {
            self.consumer.perform(changes).await?;
            step("consumer:performed");
            let mut client = self.work.connections.client().await?;
            let transaction = client.transaction().await.map_err(failure::classify)?;
            self.advance(&transaction, place).await?;
            self.consumer.record(changes, &transaction).await?;
            step("consumer:recorded");
            transaction.commit().await.map_err(failure::classify)?;
            step("consumer:committed");
            Ok(())
        };
        let deliver = AssertUnwindSafe(deliver).catch_unwind();
        let kept = async {
            let panicked = |_| Err(Error::internal("a consumer panicked"));
            deliver.await.unwrap_or_else(panicked)
        };
        let shared = self.work.connections.pipelined().await?;
        self.lease.hold(&shared.client, kept).await
    }

    /// Gives one change to the consumer until it takes it, or it has failed too often and goes to the dead letters.
    /// `failures`: attempts that were made before.
    async fn alone(&self, change: &FeedChange, mut failures: u32) -> Result<()> {
        let name = self.consumer.name();
        loop {
            if failures >= self.consumer.attempts_max() {
                let why = "the process that worked for the consumer ended, each time";
                return self.bury(change, failures, why).await;
            }
            // Before it is tried: should the process end with it, the next one knows.
            self.execute(BEGIN, &[&name]).await?;
            let Err(error) = self.deliver(std::slice::from_ref(change), change.place).await else {
                return Ok(());
            };
            if is_lost(&error) {
                return Err(error);
            }
            let is_passing = matches!(error.kind, Kind::Unavailable | Kind::Timeout);
            failures += u32::from(!is_passing);
            let why = dead_letter::reason(&error);
            if failures >= self.consumer.attempts_max() {
                return self.bury(change, failures, &why).await;
            }
            let counted = i32::try_from(failures).unwrap_or(i32::MAX);
            self.execute(FAILED, &[&name, &counted, &why]).await?;
            let wait = self.consumer.backoff().wait(failures.max(1));
            let shared = self.work.connections.pipelined().await?;
            let waited = async {
                self.work.pause(wait).await;
                Ok(())
            };
            self.lease.hold(&shared.client, waited).await?;
            if self.work.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// A statement on a connection that is not kept: an attempt needs one of its own.
    async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<()> {
        let client = self.work.connections.client().await?;
        client.execute(sql, parameters).await.map(drop).map_err(failure::classify)
    }

    /// Puts a change to the dead letters and goes on after it.
    async fn bury(&self, change: &FeedChange, failures: u32, why: &str) -> Result<()> {
        let mut client = self.work.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        self.advance(&transaction, change.place).await?;
        let (kind, name) = (DeadLetterKind::Change, self.consumer.name());
        dead_letter::bury(&*transaction, kind, name, &change.key(), failures, why).await?;
        transaction.commit().await.map_err(failure::classify)?;
        tracing::error!("a change is in the dead letters of the consumer {name}: {why}");
        Ok(())
    }

    async fn advance_to(&self, place: FeedPosition) -> Result<()> {
        let mut client = self.work.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        self.advance(&transaction, place).await?;
        transaction.commit().await.map_err(failure::classify)
    }

    /// Advances the place, as long as the lease is held.
    async fn advance(&self, transaction: &Transaction<'_>, place: FeedPosition) -> Result<()> {
        if !self.lease.renew(&**transaction).await? {
            return Err(Error::new(Kind::Conflict, LOST));
        }
        let (at, handle, version) = columns(place);
        let name = self.consumer.name();
        let parameters: [&(dyn ToSql + Sync); 4] = [&name, &at, &handle, &version];
        transaction.execute(ADVANCE, &parameters).await.map_err(failure::classify)?;
        Ok(())
    }

    /// Follows for a consumer that keeps its own place.
    async fn by_itself(mut self, mut place: FeedPosition) -> Result<()> {
        while !self.work.stop.is_cancelled() {
            let before = *self.low_watermark.borrow_and_update();
            let changes = self.read(place, before).await?;
            let is_all = changes.len() < self.consumer.batch_max().max(1);
            if let Some(last) = changes.last() {
                place = last.place;
                if self.consumer.perform(&changes).await.is_err() {
                    for change in &changes {
                        self.once(change).await?;
                    }
                }
            }
            self.consumer.reached(place, is_all).await?;
            if is_all {
                self.work.pause(self.consumer.rest()).await;
                place = place.max(FeedPosition::before(before));
            }
        }
        Ok(())
    }

    /// Gives one change to a consumer that keeps its own place; what it cannot take goes to the dead letters.
    async fn once(&self, change: &FeedChange) -> Result<()> {
        match self.consumer.perform(std::slice::from_ref(change)).await {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind, Kind::Unavailable | Kind::Timeout) => Err(error),
            Err(error) => {
                let client = self.work.connections.client().await?;
                let (kind, name, why) =
                    (DeadLetterKind::Change, self.consumer.name(), dead_letter::reason(&error));
                dead_letter::bury(&**client, kind, name, &change.key(), 1, &why).await
            }
        }
    }
}

/// What is said when the lease is another process's by now.
const LOST: &str = "another process works for the consumer";

fn is_lost(error: &Error) -> bool {
    error.kind == Kind::Conflict && (error.text == LOST || error.text.contains("has taken over the lease"))
}

fn columns(place: FeedPosition) -> (i64, i64, i32) {
    let (at, handle, version) = place.columns();
    (at, handle, i32::try_from(version).unwrap_or(i32::MAX))
}
