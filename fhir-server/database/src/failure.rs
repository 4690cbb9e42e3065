//! Database failures, classified once.

use fhir_model::{Error, Kind};
use tokio_postgres::error::SqlState;

/// What a database error means for the caller.
pub fn classify(e: tokio_postgres::Error) -> Error {
    let kind = match e.code() {
        _ if is_away_node(&e) => Kind::Unavailable,
        Some(code) if *code == SqlState::QUERY_CANCELED => Kind::Timeout,
        Some(code) if is_away(code) || is_transient(code) => Kind::Unavailable,
        // A standby, or a primary that was made one.
        Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Kind::Unavailable,
        // Text with a NUL, which PostgreSQL does not hold: what a client sent is refused before, wherever it is known to be text.
        Some(code) if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE => Kind::Value,
        // Class 54, limits of the database: what reaches one is refused, and should have been before.
        Some(code) if code.code().starts_with("54") => Kind::TooCostly,
        Some(_) => Kind::Internal,
        // No answer of the database at all: the connection is gone.
        None if e.is_closed() || is_io(&e) => Kind::Unavailable,
        None => Kind::Internal,
    };
    let text = match kind {
        Kind::Timeout => "the request took longer than this server allows; narrow it",
        Kind::Unavailable => "the database is not available at the moment; try again",
        Kind::Value => "a text holds a character that cannot be stored: U+0000",
        Kind::TooCostly => "a resource or a value in it is larger than the database can hold",
        _ => return Error::internal(e),
    };
    Error::new(kind, text).because(e)
}

/// A pool that has no connection to give.
pub fn from_pool(e: deadpool_postgres::PoolError) -> Error {
    match e {
        deadpool_postgres::PoolError::Backend(e) => match classify(e) {
            // Connecting can fail in ways that have no code; for the caller all of them mean: not now.
            e if e.kind == Kind::Internal => unavailable(e),
            e => e,
        },
        other => unavailable(other),
    }
}

fn unavailable(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Unavailable, "the database is not available at the moment; try again").because(e)
}

/// Returns `true` for errors after which the same transaction may succeed.
pub fn is_retryable(e: &tokio_postgres::Error) -> bool {
    e.code().is_some_and(is_transient)
}

/// Returns `true` when the connection was lost, so that it is unknown whether a commit took place.
pub fn is_lost(e: &tokio_postgres::Error) -> bool {
    match e.code() {
        Some(code) => is_away(code) || is_away_node(e),
        None => e.is_closed() || is_io(e),
    }
}

/// Returns `true` for a violated unique constraint: another writer was first.
pub fn is_duplicate(e: &tokio_postgres::Error) -> bool {
    e.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

fn is_transient(code: &SqlState) -> bool {
    *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
}

fn is_away(code: &SqlState) -> bool {
    let code = code.code();
    // Connection failures, shutdown and crash of the server, too many connections, disk full.
    code.starts_with("08") || code.starts_with("57P") || code.starts_with("53")
}

/// What the coordinator of a distributed database says, without a code of its own, of a node that is lost within a statement: in its
/// own words, and in those of libpq, by which it is connected.
const LOST_NODE: [&str; 10] = [
    "failure on connection marked as essential",
    "terminating connection",
    "connection to the remote node",
    "failed to COPY to shard",
    "server closed the connection unexpectedly",
    "connection not open",
    "could not receive data from server",
    "could not send data to server",
    "SSL SYSCALL error",
    "SSL connection has been closed unexpectedly",
];

fn is_away_node(e: &tokio_postgres::Error) -> bool {
    e.as_db_error().is_some_and(|e| LOST_NODE.iter().any(|text| e.message().starts_with(text)))
}

fn is_io(e: &tokio_postgres::Error) -> bool {
    let mut at: Option<&dyn std::error::Error> = Some(e);
    while let Some(this) = at {
        if this.is::<std::io::Error>() {
            return true;
        }
        at = this.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

    #[tokio::test]
    async fn a_node_that_is_lost_is_away_whatever_the_code() {
        let url = fhir_postgres::testing::database().await;
        let client = Endpoint::parse(&url).unwrap().connect().await.unwrap();
        for (text, kind) in [
            ("failure on connection marked as essential: a:1", Kind::Unavailable),
            ("SSL SYSCALL error: EOF detected\ninvalid socket", Kind::Unavailable),
            ("failed to COPY to shard 102030 on a:1", Kind::Unavailable),
            ("terminating connection due to unexpected postmaster exit", Kind::Unavailable),
            ("a bug", Kind::Internal),
        ] {
            let raise = ["do $$ begin raise exception '", text, "'; end $$"].concat();
            let error = client.batch_execute(&raise).await.unwrap_err();
            assert_eq!(is_lost(&error), kind == Kind::Unavailable, "{text}");
            assert_eq!(classify(error).kind, kind, "{text}");
        }
    }
}
