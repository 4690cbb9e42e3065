//! Reads on a standby: which one a request is read from, and how it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fhir_database::{Position, Standby, replayed};
use fhir_model::{Error, Kind, Result};
use tokio_postgres::CancelToken;

use crate::Store;
use crate::read_source::{ReadClient, ReadSource, StandbyRead};
use crate::scope::{Scope, ScopedStore};

/// How a request ended that was begun on a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyOutcome {
    /// The answer counts.
    Answered,
    /// The standby failed, or search parameters changed meanwhile that it may not know.
    Failed,
    /// It is nothing that a standby can answer.
    Refused,
}

impl Store {
    /// True when there is a standby to read from, be it away or not.
    pub fn has_standby(&self) -> bool {
        self.standby.is_some()
    }

    /// The standby to read from: for metrics.
    pub fn standby(&self) -> Option<&Standby> {
        self.standby.as_deref()
    }

    /// Up to where what was acknowledged so far stands in the log; one that no standby ever comes to when the primary does not
    /// say. Returns `None` where there is no standby to ask for it.
    pub async fn position(&self) -> Option<Position> {
        match self.standby.as_ref()?.primary_position().await {
            Ok(position) => Some(position),
            Err(e) => {
                tracing::warn!("the primary does not say where its log ends: {e}");
                Some(Position::UNREACHED)
            }
        }
    }

    /// A standby that has all that was written before these positions (without any: all that was acknowledged so far), and what this
    /// process knows of search parameters. Returns `None` when there is none, or it does not come so far within a moment.
    pub async fn standby_at(&self, positions: &[Position]) -> Option<Arc<StandbyRead>> {
        let standby = self.standby.as_ref().filter(|standby| standby.is_present())?;
        let parameters = self.registry.version();
        let known = *self.standby_floor.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = match known {
            Some((version, floor)) if version == parameters && !positions.is_empty() => floor,
            _ => {
                let now = self.position().await?;
                self.note_floor(parameters, now);
                now
            }
        };
        let client = standby.client_at(&[positions, &[floor]].concat()).await?;
        Some(Arc::new(StandbyRead { client, parameters, is_refused: AtomicBool::new(false) }))
    }

    /// Notes where the primary was when this process knew a version of the search parameters already.
    fn note_floor(&self, parameters: i64, position: Position) {
        let mut known = self.standby_floor.lock().unwrap_or_else(PoisonError::into_inner);
        if position != Position::UNREACHED && known.is_none_or(|(version, _)| version < parameters) {
            *known = Some((parameters, position));
        }
    }

    /// Where the database is that a scope's rows are read from, after they were: what was read is there for whoever has come so far.
    /// Returns `None` for callers who do not accept a standby.
    ///
    /// # Errors
    ///
    /// When the standby is away by now.
    pub async fn read_position(&self, scope: &Scope) -> Result<Option<Position>> {
        match scope.source() {
            ReadSource::Primary => Ok(None),
            ReadSource::InPlaceOfStandby => Ok(self.position().await),
            ReadSource::Standby(read) => match replayed(&read.client).await? {
                Some(position) => Ok(Some(position)),
                None => Err(Error::new(Kind::Unavailable, "the standby was promoted")),
            },
        }
    }

    /// Ends a read on a standby, after its last statement. `answered`: with an answer or an error that the primary would give, too.
    pub fn end_standby_read(&self, read: &StandbyRead, answered: bool) -> StandbyOutcome {
        let outcome = match answered && read.parameters == self.registry.version() {
            _ if read.is_refused.load(Ordering::Relaxed) => StandbyOutcome::Refused,
            true => StandbyOutcome::Answered,
            false => StandbyOutcome::Failed,
        };
        if let Some(standby) = &self.standby {
            let counter = match outcome {
                StandbyOutcome::Answered => &standby.reads,
                StandbyOutcome::Failed => &standby.retries,
                StandbyOutcome::Refused => &standby.passed_over,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

impl<'s> ScopedStore<'s> {
    /// A connection to where the caller's rows are read.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub(crate) async fn client(&self) -> Result<ReadClient<'s>> {
        match self.source {
            ReadSource::Standby(read) => Ok(ReadClient::Standby(&read.client)),
            _ => self.connections.read_client().await.map(ReadClient::Primary),
        }
    }

    /// True when the rows are read from a standby.
    pub(crate) fn is_on_standby(&self) -> bool {
        matches!(self.source, ReadSource::Standby(_))
    }

    /// Refuses what a standby cannot answer, so that the primary is asked.
    ///
    /// # Errors
    ///
    /// On a standby.
    pub(crate) fn only_on_primary(&self) -> Result<()> {
        let ReadSource::Standby(read) = self.source else { return Ok(()) };
        read.is_refused.store(true, Ordering::Relaxed);
        Err(Error::new(Kind::Unavailable, "a standby does not answer this"))
    }

    /// Asks the database that a connection of [`client`](Self::client) is to, to stop what it does.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub(crate) async fn cancel(&self, token: &CancelToken) -> Result<()> {
        match (self.source, &self.standby) {
            (ReadSource::Standby(_), Some(standby)) => standby.cancel(token).await,
            _ => self.connections.cancel(token).await,
        }
    }

    /// How long a statement that was cancelled is waited for. A standby that another one was cancelled in place of, behind the same
    /// url, goes on.
    pub(crate) fn cancelled_within(&self) -> Duration {
        if self.is_on_standby() { Duration::from_secs(1) } else { Duration::MAX }
    }
}
