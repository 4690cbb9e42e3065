//! Where the rows of a request are read: on the primary, or on a standby that has replayed enough of its log.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fhir_database::ReadConnection;

/// Where rows are read.
#[derive(Debug, Clone, Default)]
pub enum ReadSource {
    /// On the primary, where all is.
    #[default]
    Primary,
    /// On the primary, for a caller who accepts a standby: the next page may be read there.
    InPlaceOfStandby,
    /// On a standby, by one connection for all statements of a request.
    Standby(Arc<StandbyRead>),
}

/// Two are equal when they read by the same connection.
impl PartialEq for ReadSource {
    fn eq(&self, other: &ReadSource) -> bool {
        match (self, other) {
            (ReadSource::Primary, ReadSource::Primary) => true,
            (ReadSource::InPlaceOfStandby, ReadSource::InPlaceOfStandby) => true,
            (ReadSource::Standby(one), ReadSource::Standby(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for ReadSource {}

/// The connection of one request to a standby.
#[derive(Debug)]
pub struct StandbyRead {
    pub(crate) client: ReadConnection,
    /// The version of the search parameters that this process knew, and that the standby has.
    pub(crate) parameters: i64,
    /// What is asked is nothing that a standby can answer.
    pub(crate) is_refused: AtomicBool,
}

/// A connection to read by.
#[expect(
    clippy::large_enum_variant,
    reason = "it stays where it is made, and a box would be one for each statement"
)]
pub(crate) enum ReadClient<'s> {
    /// Of the pool to the primary.
    Primary(ReadConnection),
    /// The request's own to a standby.
    Standby(&'s ReadConnection),
}

impl Deref for ReadClient<'_> {
    type Target = ReadConnection;

    fn deref(&self) -> &ReadConnection {
        match self {
            ReadClient::Primary(client) => client,
            ReadClient::Standby(standby) => standby,
        }
    }
}
