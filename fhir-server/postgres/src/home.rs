//! The directory a server keeps its PostgreSQL in, held by one server at a time.
//!
//! ```text
//! DATA_DIR/lock        flock of the server that is running here; the kernel frees it whatever way that server ends
//! DATA_DIR/pg/         the cluster
//! DATA_DIR/run/        the unix socket
//! DATA_DIR/pg.log      what PostgreSQL says
//! ```
//!
//! Under root the user PostgreSQL runs as may be unable to enter `DATA_DIR` (`/root` is closed to others). Then all this
//! lives in a directory of its own under `/var/lib/cari`, and `DATA_DIR/pg` is a symbolic link that says where.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::backup::Site;
use crate::connection::Connection;
use crate::error::{Error, IoContext, Result};
use crate::owner::Owner;

/// Where clusters go whose data directory is closed to PostgreSQL's user.
const FALLBACK: &str = "/var/lib/cari";

/// The longest socket directory: the path of the socket itself must stay below 104 bytes everywhere.
const SOCKET_DIR_BYTES_MAX: usize = 80;

const LOCK_ATTEMPTS: u32 = 10;

/// An open, locked home.
#[derive(Debug)]
pub(crate) struct Home {
    /// Canonical; the data directory, or its stand-in under [`FALLBACK`].
    pub(crate) dir: PathBuf,
    /// The cluster in it: `pg`, or the one that is being made to take its place.
    pub(crate) cluster: PathBuf,
    pub(crate) owner: Owner,
    /// The directory of the unix socket.
    pub(crate) sockets: PathBuf,
    lock: Option<File>,
}

impl Home {
    /// Makes the directory where needed and locks it against a second server.
    pub(crate) async fn open(data_dir: &Path) -> Result<Home> {
        fs::create_dir_all(data_dir).doing("create the data directory", data_dir)?;
        let data_dir = fs::canonicalize(data_dir).doing("open the data directory", data_dir)?;
        let dir = settle(&data_dir)?;
        let lock = lock(&dir, &data_dir).await?;
        let owner = Owner::from_cluster(&dir.join("pg"))?;
        let sockets = sockets(&dir, &owner)?;
        Ok(Home { cluster: dir.join("pg"), dir, owner, sockets, lock: Some(lock) })
    }

    /// The home of a server that runs, without its lock; `None` when none does.
    pub(crate) fn from_running(data_dir: &Path) -> Result<Option<Site>> {
        let Ok(data_dir) = fs::canonicalize(data_dir) else { return Ok(None) };
        let dir = match fs::read_link(data_dir.join("pg")) {
            Ok(target) => data_dir.join(target.parent().unwrap_or(&data_dir)),
            Err(_) => data_dir,
        };
        let path = dir.join("lock");
        let held = match File::open(&path) {
            Ok(lock) => match lock.try_lock_shared() {
                Err(TryLockError::WouldBlock) => true,
                Err(TryLockError::Error(source)) => return Err(source).doing("lock", &path),
                Ok(()) => false,
            },
            Err(_) => false,
        };
        let connection = Connection::new(&socket_dir(&dir));
        Ok(held.then(|| Site { cluster: dir.join("pg"), home: dir, connection }))
    }

    /// The same home with another cluster in it, under the lock of this one.
    pub(crate) fn beside(&self, cluster: &str) -> Home {
        Home {
            dir: self.dir.clone(),
            cluster: self.dir.join(cluster),
            owner: self.owner.clone(),
            sockets: self.sockets.clone(),
            lock: None,
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("pg.log")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Closing the file is not enough at once: a child that another thread is just starting has a copy of it until it
        // runs its own program.
        let _ = self.lock.as_ref().map(File::unlock);
    }
}

/// The directory that PostgreSQL's user can enter.
fn settle(data_dir: &Path) -> Result<PathBuf> {
    let cluster = data_dir.join("pg");
    if let Ok(target) = fs::read_link(&cluster) {
        let dir = data_dir.join(target.parent().unwrap_or(data_dir));
        make(&dir)?;
        return Ok(dir);
    }
    let owner = Owner::from_cluster(&cluster)?;
    if owner.stepped_down {
        // The data directory itself is ours to open; what lies in it has its own, tighter modes.
        add_mode(data_dir, 0o001)?;
    }
    let Some(blocked) = owner.blocked_at(data_dir) else { return Ok(data_dir.to_path_buf()) };
    if cluster.exists() {
        return Err(Error::Unreachable { user: owner.name, dir: data_dir.to_path_buf(), blocked });
    }
    let dir = Path::new(FALLBACK).join(name_of(data_dir));
    make(&dir)?;
    if let Some(blocked) = owner.blocked_at(&dir) {
        return Err(Error::Unreachable { user: owner.name, dir, blocked });
    }
    symlink(dir.join("pg"), &cluster).doing("link", &cluster)?;
    tracing::warn!(
        "{} is closed to the user `{}`, as whom PostgreSQL runs under root: the database is kept in {}",
        blocked.display(),
        owner.name,
        dir.display()
    );
    Ok(dir)
}

fn make(dir: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir).doing("create", dir)?;
    add_mode(dir, 0o001)
}

fn add_mode(path: &Path, bits: u32) -> Result<()> {
    let mode = fs::metadata(path).doing("read", path)?.permissions().mode();
    if mode & bits == bits {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode | bits)).doing("change the mode of", path)
}

async fn lock(dir: &Path, data_dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .doing("open", &path)?;
    // More than once, for the lock of a server that was killed while it started a child is freed a moment later.
    let mut attempts = LOCK_ATTEMPTS;
    while let Err(error) = file.try_lock() {
        match error {
            TryLockError::Error(source) => return Err(source).doing("lock", &path),
            TryLockError::WouldBlock if attempts == 0 => {
                let mut pid = String::new();
                let holder = match file.read_to_string(&mut pid) {
                    Ok(_) if !pid.trim().is_empty() => format!(" (process {})", pid.trim()),
                    _ => String::new(),
                };
                return Err(Error::InUse { dir: data_dir.to_path_buf(), holder });
            }
            TryLockError::WouldBlock => attempts -= 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // For the message above only; the lock is the truth, so a stale number harms nobody.
    file.set_len(0).and_then(|()| file.rewind()).doing("write", &path)?;
    writeln!(file, "{}", std::process::id()).doing("write", &path)?;
    Ok(file)
}

/// `run/`, or a directory in the system's temporary one where that would be too long for a socket's address.
fn sockets(dir: &Path, owner: &Owner) -> Result<PathBuf> {
    let sockets = socket_dir(dir);
    match DirBuilder::new().mode(0o700).create(&sockets) {
        Ok(()) => owner.own(&sockets)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).doing("create", &sockets),
    }
    // In a shared temporary directory anybody could have made it first, to sit between us and the database.
    let metadata = fs::symlink_metadata(&sockets).doing("read", &sockets)?;
    if !metadata.is_dir()
        || (metadata.uid() != owner.uid && metadata.uid() != nix::unistd::geteuid().as_raw())
    {
        let why = format!("is not a directory of the user `{}`, so no socket is put there", owner.name);
        return Err(Error::Sockets { dir: sockets, why });
    }
    owner.own(&sockets)?;
    fs::set_permissions(&sockets, Permissions::from_mode(0o700)).doing("change the mode of", &sockets)?;
    Ok(sockets)
}

fn socket_dir(dir: &Path) -> PathBuf {
    let sockets = dir.join("run");
    match sockets.as_os_str().len() > SOCKET_DIR_BYTES_MAX {
        true => std::env::temp_dir().join(format!("cari-{}", name_of(dir))),
        false => sockets,
    }
}

/// A short name that belongs to `path` alone.
fn name_of(path: &Path) -> String {
    Sha256::digest(path.as_os_str().as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
