//! PostgreSQL as every crate meets it: connections, errors, migrations, leases, the clock.
//!
//! **Invariants:** no advisory locks, LISTEN, triggers or sequences; leases are judged by the database's clock; the time
//! of the operating system is read in `clock.rs` alone.

mod clock;
mod connections;
mod endpoint;
pub mod failure;
mod lease;
mod migrate;
mod migration;
mod migrations;
mod position;
mod read_connection;
mod schema;
mod schema_names;
mod standby;
mod tls;
mod verifier;

pub use clock::Clock;
pub use connections::{ConnectionOptions, Connections, PipelinedConnection};
pub use deadpool_postgres::{Object as PooledClient, Transaction};
pub use endpoint::Endpoint;
pub use lease::{Lease, NOW};
pub use migrate::{migrate, schema};
pub use migrations::{MigrationFile, Migrations};
pub use position::Position;
pub use read_connection::ReadConnection;
pub use schema::SchemaState;
pub use standby::{Lag, Standby, replayed};

/// A random number that identifies this process to others: positive, never the same twice.
pub fn random_id() -> i64 {
    (uuid::Uuid::new_v4().as_u128() >> 65) as i64
}
