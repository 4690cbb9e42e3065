//! Why a transaction of writes was not committed.

use fhir_database::failure;
use fhir_model::Error;

/// Why nothing was written.
pub(crate) enum WriteFailure {
    /// Something changed since it was read.
    Stale,
    /// A row is there already.
    Duplicate(tokio_postgres::Error),
    Database(tokio_postgres::Error),
    Other(Error),
}

impl From<tokio_postgres::Error> for WriteFailure {
    fn from(e: tokio_postgres::Error) -> WriteFailure {
        match failure::is_duplicate(&e) {
            true => WriteFailure::Duplicate(e),
            false => WriteFailure::Database(e),
        }
    }
}
