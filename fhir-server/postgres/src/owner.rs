//! Whom PostgreSQL runs as. It refuses to run as root, so under root it runs as somebody lesser.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};
use tokio::process::Command;

use crate::error::{Error, IoContext, Result};

/// The user who owns the cluster and runs its processes.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) name: String,
    /// The name of the user we ourselves run as: the one who may connect.
    pub(crate) server_name: String,
    /// Whether we are root and step down to this user.
    pub(crate) stepped_down: bool,
}

impl Owner {
    /// Ourselves; under root the owner of an existing cluster, else `postgres`, else `nobody`.
    pub(crate) fn from_cluster(cluster: &Path) -> Result<Owner> {
        let us = by_id(geteuid())?;
        if !geteuid().is_root() {
            return Ok(Owner::new(us.clone(), us.name, false));
        }
        // A cluster made by somebody on this machine stays theirs: `alice` can start it without root again.
        if let Ok(metadata) = std::fs::metadata(cluster)
            && metadata.uid() != 0
        {
            return Ok(Owner::new(by_id(Uid::from_raw(metadata.uid()))?, us.name, true));
        }
        for name in ["postgres", "nobody"] {
            if let Ok(Some(user)) = User::from_name(name)
                && !user.uid.is_root()
            {
                return Ok(Owner::new(user, us.name, true));
            }
        }
        Err(Error::User(
            "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor `nobody` to \
             run it as"
                .to_owned(),
        ))
    }

    fn new(user: User, server_name: String, stepped_down: bool) -> Owner {
        Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name, server_name, stepped_down }
    }

    /// A command run as this user in `dir`, free of the `PG*` variables of whoever started us, and in its own
    /// process group: a Ctrl-C in our terminal must not stop the database under requests that still drain.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, dir: &Path) -> Command {
        let mut command = Command::new(program);
        if self.stepped_down {
            command.uid(self.uid).gid(self.gid);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").current_dir(dir).process_group(0).stdin(std::process::Stdio::null());
        command
    }

    /// Gives `path` to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        if self.stepped_down {
            chown(path, Some(self.uid), Some(self.gid)).doing("change the owner of", path)?;
        }
        Ok(())
    }

    /// Gives `dir` and all in it to this user; symbolic links are left alone.
    pub(crate) fn own_tree(&self, dir: &Path) -> Result<()> {
        self.own(dir)?;
        for entry in std::fs::read_dir(dir).doing("read", dir)? {
            let entry = entry.doing("read", dir)?;
            let kind = entry.file_type().doing("read", &entry.path())?;
            if kind.is_dir() {
                self.own_tree(&entry.path())?;
            } else if kind.is_file() {
                self.own(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The first closed directory on the way to `dir`, which must be canonical.
    pub(crate) fn blocked_at(&self, dir: &Path) -> Option<PathBuf> {
        if !self.stepped_down {
            return None;
        }
        let mut ancestors: Vec<&Path> = dir.ancestors().collect();
        ancestors.reverse();
        let closed = |path: &&Path| std::fs::metadata(path).is_ok_and(|metadata| !self.may_enter(&metadata));
        ancestors.into_iter().find(closed).map(Path::to_path_buf)
    }

    fn may_enter(&self, metadata: &Metadata) -> bool {
        let bit = if metadata.uid() == self.uid {
            0o100
        } else if metadata.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        metadata.permissions().mode() & bit != 0
    }
}

/// PostgreSQL itself insists on a name for the user it runs as.
fn by_id(uid: Uid) -> Result<User> {
    User::from_uid(uid).ok().flatten().ok_or_else(|| {
        Error::User(format!(
            "the user id {uid} has no name in /etc/passwd, which PostgreSQL asks for: add one, or give a DATABASE_URL"
        ))
    })
}
