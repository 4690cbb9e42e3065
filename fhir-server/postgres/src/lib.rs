//! The server's own PostgreSQL, for those who give no `DATABASE_URL`.
//!
//! ```no_run
//! # async fn example() -> fhir_postgres::Result<()> {
//! use fhir_postgres::{Embedded, Options};
//!
//! let postgres = Embedded::start(Options::new("/var/lib/cari")).await?;
//! println!("{}", postgres.url());
//! postgres.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: one server per data directory (a lock the kernel keeps); no TCP; only the user the server runs as may
//! connect; an existing cluster is started, never made anew; nothing is killed that is not a PostgreSQL process of the
//! cluster. This crate knows nothing of FHIR and writes no tables.

pub mod backup;
mod binaries;
mod cluster;
mod connection;
mod download;
mod embedded;
mod error;
mod free_space;
mod home;
mod leftover;
mod owner;
mod postmaster;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod upgrade;

pub use binaries::Search;
pub use connection::Connection;
pub use download::{DOWNLOAD_BASE_URL, Download};
pub use embedded::{Embedded, Options, State};
pub use error::{Error, INSTALL, MAJOR_MIN, Result};
pub use upgrade::{Upgraded, upgrade};
