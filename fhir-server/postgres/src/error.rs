//! What can go wrong between an empty directory and a running PostgreSQL, said so that an operator can act on it.

use std::path::{Path, PathBuf};

/// The command that installs PostgreSQL on Debian and its relatives.
pub const INSTALL: &str = "sudo apt-get install postgresql";

/// The oldest PostgreSQL that will do.
pub const MAJOR_MIN: u32 = 14;

/// Why PostgreSQL could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable binaries on this machine, and none fetched.
    #[error(
        "no PostgreSQL {wanted} was found (looked in {looked}){download}; {advice}, or name \
         the directory of its programs in CARI_PG_BIN, or give a DATABASE_URL"
    )]
    NotFound {
        /// `14 or newer`, or the one version an existing cluster asks for.
        wanted: String,
        /// The directories looked at.
        looked: String,
        /// Why the download did not help; empty when it was not asked for.
        download: String,
        /// What to do.
        advice: String,
    },
    /// The directory named by the operator does not hold usable binaries.
    #[error("{}: {why}", dir.display())]
    Binaries {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The binaries could not be fetched.
    #[error("fetching PostgreSQL from {url} failed: {why}")]
    Download {
        /// Where from.
        url: String,
        /// What failed.
        why: String,
    },
    /// Another server holds the data directory.
    #[error("the data directory {} is in use by another server{holder}", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// ` (process 123)`, when it is known.
        holder: String,
    },
    /// The user PostgreSQL runs as cannot get at the directory.
    #[error(
        "PostgreSQL runs as the user `{user}` (it refuses to run as root), who cannot enter {}; \
         choose another directory, or allow it with `chmod o+x {}`", dir.display(), blocked.display()
    )]
    Unreachable {
        /// The user.
        user: String,
        /// What should be reached.
        dir: PathBuf,
        /// The ancestor that is closed.
        blocked: PathBuf,
    },
    /// There is no user to run PostgreSQL as.
    #[error("{0}")]
    User(String),
    /// The socket directory is not ours to use.
    #[error("{}: {why}", dir.display())]
    Sockets {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// `initdb` failed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// The postmaster ended, or did not answer in time.
    #[error("PostgreSQL did not start: {why}; its log ({}) ends with:\n{tail}", log.display())]
    Start {
        /// What was observed.
        why: String,
        /// The log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Processes of an earlier run would not go.
    #[error("processes of an earlier PostgreSQL in {} would not stop: {pids:?}", dir.display())]
    Leftover {
        /// The cluster's directory.
        dir: PathBuf,
        /// The processes that are left.
        pids: Vec<i32>,
    },
    /// The directory for backups is not there.
    #[error(
        "the backup target {} is not there: is its disk plugged in? A new one is prepared with \
         `fhir-server backup init`", dir.display()
    )]
    TargetMissing {
        /// The directory.
        dir: PathBuf,
    },
    /// A backup could not be made, read or restored.
    #[error("{0}")]
    Backup(String),
    /// The cluster could not be brought to another version.
    #[error("{0}")]
    Upgrade(String),
    /// The new cluster could not be given its role and database.
    #[error("the database did not do what it was asked")]
    Postgres(#[from] tokio_postgres::Error),
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl Error {
    /// A backup could not be made, read or restored.
    pub(crate) fn backup(why: impl Into<String>) -> Error {
        Error::Backup(why.into())
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds what was being done to an I/O error.
pub(crate) trait IoContext<T> {
    fn doing(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn doing(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { what: format!("cannot {verb} {}", path.display()), source })
    }
}
