//! The database over TLS: a real PostgreSQL with certificates of an authority of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod authority;
mod tls;
