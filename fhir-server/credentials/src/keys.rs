//! The directory of the server's keys: `token-<n>.key` and `seal-<n>.key`, of which the highest number is in use.
//!
//! The server makes the first of each and never deletes one: a token key is withdrawn by deleting its file, and a sealing key
//! may go when nothing is sealed with it any more. Several processes may share the directory. A file appears whole and under
//! a name that was free, so whoever comes second reads what the first has made.

mod file;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use fhir_model::{Error, Result};

use crate::seal::{SealKey, SealKeys};
use crate::token::{TokenKey, TokenKeys};
use file::{FileState, KeyFile, Role};

/// The keys of a directory, as they were when it was last read.
#[derive(Debug)]
pub struct KeyDirectory {
    path: PathBuf,
    read: RwLock<Read>,
}

/// What was read.
#[derive(Debug)]
struct Read {
    /// The files it was read from: it is as good as new while they are the same.
    files: Vec<FileState>,
    token: Arc<TokenKeys>,
    seal: Arc<SealKeys>,
}

impl KeyDirectory {
    /// Opens a directory of keys. Without one it is made (for its owner alone), and so is the first key of either kind.
    ///
    /// # Errors
    /// It cannot be read or written; something in it is open to others, or is no key. The cause names the file and what is
    /// wrong with it.
    pub fn open(path: impl Into<PathBuf>) -> Result<KeyDirectory> {
        let path = path.into();
        file::create_directory(&path)?;
        let read = RwLock::new(read(&path, &[])?);
        Ok(KeyDirectory { path, read })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys of tokens.
    pub fn token_keys(&self) -> Arc<TokenKeys> {
        self.current().token.clone()
    }

    /// The keys that seal.
    pub fn seal_keys(&self) -> Arc<SealKeys> {
        self.current().seal.clone()
    }

    /// Reads again what has changed, such as a key that was deleted, or one that another process has added. Returns whether
    /// there was something. It lists the directory and reads nothing when all is as it was.
    ///
    /// # Errors
    /// As for [`KeyDirectory::open`]; the former keys stay in use then.
    pub fn reload(&self) -> Result<bool> {
        let former = self.current().files.clone();
        if file::list(&self.path)? == former {
            return Ok(false);
        }
        let read = read(&self.path, &former)?;
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(true)
    }

    /// Adds a token key, which signs from now on; returns its number. Other processes verify its tokens after their next
    /// [`KeyDirectory::reload`].
    ///
    /// # Errors
    /// As for [`KeyDirectory::open`].
    pub fn rotate_token_key(&self) -> Result<u32> {
        self.rotate(Role::Token)
    }

    /// Adds a sealing key, which seals from now on; returns its number. Other processes open what it seals after their next
    /// [`KeyDirectory::reload`].
    ///
    /// # Errors
    /// As for [`KeyDirectory::open`].
    pub fn rotate_seal_key(&self) -> Result<u32> {
        self.rotate(Role::Seal)
    }

    fn rotate(&self, role: Role) -> Result<u32> {
        loop {
            let number = next(role, self.current().files.iter().chain(&file::list(&self.path)?))?;
            // Taken means that another process was quicker: its key is another one than ours.
            let created = create(&self.path, role, number)?;
            self.reload()?;
            if created {
                return Ok(number);
            }
        }
    }

    fn current(&self) -> RwLockReadGuard<'_, Read> {
        // Nothing that holds the lock can fail half-way.
        self.read.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all keys, after making the first of a kind that has none. `former` are the files known before: the number of a
/// key that was deleted since is not given to another.
fn read(path: &Path, former: &[FileState]) -> Result<Read> {
    // Sealing keys first, so that whoever sees a token key sees a sealing key too.
    for role in [Role::Seal, Role::Token] {
        let files = file::list(path)?;
        if !files.iter().any(|file| file.key.role == role) {
            // Taken means that another process has made it since.
            create(path, role, next(role, former.iter().chain(&files))?)?;
        }
    }
    let files = file::list(path)?;
    let (mut token, mut seal) = (Vec::new(), Vec::new());
    for FileState { key, .. } in &files {
        let text = file::read(path, *key)?;
        let wrong =
            || Error::internal(format!("{} is not a {}", key.path(path).display(), key.role.meaning()));
        match key.role {
            Role::Token => token.push(TokenKey::from_text(key.number, text.trim()).ok_or_else(wrong)?),
            Role::Seal => seal.push(SealKey::from_text(key.number, text.trim()).ok_or_else(wrong)?),
        }
    }
    let missing =
        |role: Role| Error::internal(format!("there is no {} in {}", role.meaning(), path.display()));
    Ok(Read {
        files,
        token: Arc::new(TokenKeys::new(token).ok_or_else(|| missing(Role::Token))?),
        seal: Arc::new(SealKeys::new(seal).ok_or_else(|| missing(Role::Seal))?),
    })
}

/// Writes a new key. Returns `false` when its number is taken.
fn create(path: &Path, role: Role, number: u32) -> Result<bool> {
    let text = match role {
        Role::Token => TokenKey::generate(number)?.to_text(),
        Role::Seal => SealKey::generate(number)?.to_text(),
    };
    file::create(path, KeyFile { role, number }, &text)
}

/// The number after the highest.
fn next<'a>(role: Role, files: impl Iterator<Item = &'a FileState>) -> Result<u32> {
    let highest = files.filter(|file| file.key.role == role).map(|file| file.key.number).max().unwrap_or(0);
    highest
        .checked_add(1)
        .ok_or_else(|| Error::internal(format!("no number is left for a {}", role.meaning())))
}
