//! Where the rows of a request are read: on the primary, or on a standby that has replayed enough of its log.

use std::ops::Deref;
use std::sync::Arc;

use deadpool_postgres::Client;
use fhir_database::{PooledClient, Position, Standby, StandbyClient};
use fhir_model::{Error, Kind};

use crate::Store;

/// Where rows are read.
#[derive(Debug, Clone, Default)]
pub enum ReadSource {
    /// On the primary, where all is.
    #[default]
    Primary,
    /// On a standby, by one connection for all statements of a request.
    Standby(Arc<StandbyRead>),
}

/// Two are equal when they read by the same connection.
impl PartialEq for ReadSource {
    fn eq(&self, other: &ReadSource) -> bool {
        match (self, other) {
            (ReadSource::Primary, ReadSource::Primary) => true,
            (ReadSource::Standby(one), ReadSource::Standby(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for ReadSource {}

/// A connection to a standby, for one request.
#[derive(Debug)]
pub struct StandbyRead {
    pub(crate) client: StandbyClient,
    /// The version of the search parameters that this process knew, and that the standby has.
    parameters: i64,
}

impl StandbyRead {
    /// How far the standby had replayed the log of the primary when the request began.
    pub fn position(&self) -> Position {
        self.client.position
    }
}

/// A connection to read by.
#[expect(
    clippy::large_enum_variant,
    reason = "it stays where it is made, and a box would be one for each statement"
)]
pub(crate) enum ReadClient<'s> {
    /// Of the pool to the primary.
    Primary(PooledClient),
    /// The request's own to a standby.
    Standby(&'s StandbyClient),
}

impl ReadClient<'_> {
    /// Ends the connection when it is done with, instead of giving it back. Returns `true` when it is the request's own, for all its
    /// statements.
    pub(crate) fn discard(self) -> bool {
        match self {
            ReadClient::Primary(client) => {
                drop(PooledClient::take(client));
                false
            }
            ReadClient::Standby(standby) => {
                standby.discard();
                true
            }
        }
    }
}

impl Deref for ReadClient<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        match self {
            ReadClient::Primary(client) => client,
            ReadClient::Standby(standby) => standby,
        }
    }
}

impl Store {
    /// True when there is a standby to read from.
    pub fn has_standby(&self) -> bool {
        self.standby.is_some()
    }

    /// The standby to read from: for metrics.
    pub fn standby(&self) -> Option<&Standby> {
        self.standby.as_deref()
    }

    /// Where the primary is in its log, for what was acknowledged so far; `None` without a standby, or when the primary does not say.
    pub async fn position(&self) -> Option<Position> {
        match self.standby.as_ref()?.primary_position().await {
            Ok(position) => Some(position),
            Err(e) => {
                tracing::warn!("the primary does not say where its log ends: {e}");
                None
            }
        }
    }

    /// A standby that has all that was written before these positions, and what this process knows of search parameters. Returns
    /// `None` when there is none, or it does not come so far within a moment.
    pub async fn standby_at(&self, positions: &[Position]) -> Option<Arc<StandbyRead>> {
        let standby = self.standby.as_ref()?;
        let parameters = self.registry.version();
        let known = *self.standby_floor.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let floor = match known {
            Some((version, floor)) if version == parameters => floor,
            _ => {
                let floor = self.position().await?;
                let mut known = self.standby_floor.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if known.is_none_or(|(version, _)| version < parameters) {
                    *known = Some((parameters, floor));
                }
                floor
            }
        };
        let client = standby.client_at(&[positions, &[floor]].concat()).await?;
        Some(Arc::new(StandbyRead { client, parameters }))
    }

    /// Counts how a request ended that was begun on a standby. Returns `false` when its answer does not count, as search parameters
    /// changed meanwhile that the standby may not know.
    pub fn is_answer_of(&self, read: &StandbyRead, answered: bool) -> bool {
        let counts = answered && read.parameters == self.registry.version();
        if let Some(standby) = &self.standby {
            standby.count(counts);
        }
        counts
    }
}

/// What a standby cannot answer, so that the primary is asked.
pub(crate) fn not_on_standby() -> Error {
    Error::new(Kind::Unavailable, "a standby does not answer this")
}
