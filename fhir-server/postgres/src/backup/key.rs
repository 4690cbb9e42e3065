//! Keys: what is encrypted to a recipient can be read with its key alone (age, X25519).
//!
//! The server knows the recipients only. Whoever steals the server's disk together with the backups reads the disk, but no
//! backup of another machine; whoever steals the backups reads nothing.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};

use crate::cluster;
use crate::error::{Error, IoContext, Result};

/// The longest key file that is read.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// Those whose keys open the backups; at least one.
#[derive(Debug, Clone)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Reads public keys, `age1...`.
    ///
    /// # Errors
    ///
    /// When there is none, or one is not a public key.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Recipients> {
        let parse = |text: &'a str| {
            text.parse::<Recipient>().map_err(|why| {
                Error::backup(format!("`{text}` is no public key of a backup (age1...): {why}"))
            })
        };
        let found = texts.into_iter().map(parse).collect::<Result<Vec<_>>>()?;
        match found.is_empty() {
            true => Err(Error::backup("no recipient of backups is set (`backup.recipients`)")),
            false => Ok(Recipients(found)),
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &dyn age::Recipient> {
        self.0.iter().map(|recipient| recipient as &dyn age::Recipient)
    }
}

/// The secret keys of a key file.
pub struct Key(Vec<Identity>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Key {
    /// Makes a key, writes it to a new file that only its owner can read, and returns the public key.
    ///
    /// # Errors
    ///
    /// When the file is there already, lies below one of the directories `not_below`, or cannot be written.
    pub fn make(path: &Path, not_below: &[&Path]) -> Result<String> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = fs::canonicalize(parent).doing("open", parent)?;
        for dir in not_below {
            if fs::canonicalize(dir).is_ok_and(|dir| parent.starts_with(dir)) {
                return Err(Error::backup(format!(
                    "a key kept in {} would be lost or stolen together with what it is for: choose another place, \
                     best on another machine",
                    dir.display()
                )));
            }
        }
        let identity = Identity::generate();
        let public = identity.to_public().to_string();
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).doing("create", path)?;
        let text = format!("# public key: {public}\n{}\n", identity.to_string().expose_secret());
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).doing("write", path)?;
        cluster::sync_dir(&parent)?;
        Ok(public)
    }

    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or holds no key.
    pub fn read(path: &Path) -> Result<Key> {
        if fs::metadata(path).doing("read", path)?.len() > KEY_BYTES_MAX {
            return Err(Error::backup(format!("{} is too long for a key file", path.display())));
        }
        let text = fs::read_to_string(path).doing("read", path)?;
        let keys = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.parse::<Identity>())
            .collect::<std::result::Result<Vec<_>, _>>();
        match keys {
            Ok(keys) if !keys.is_empty() => Ok(Key(keys)),
            _ => Err(Error::backup(format!(
                "{} holds no key of backups (AGE-SECRET-KEY-1...)",
                path.display()
            ))),
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_never_beside_the_backups() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("usb");
        fs::create_dir(&target).unwrap();
        let error = Key::make(&target.join("key"), &[&target]).unwrap_err().to_string();
        assert!(error.contains("choose another place"), "{error}");
        let path = dir.path().join("key");
        let public = Key::make(&path, &[&target]).unwrap();
        assert!(Key::make(&path, &[&target]).is_err(), "an existing key is never overwritten");
        let key = Key::read(&path).unwrap();
        assert_eq!(key.0.first().unwrap().to_public().to_string(), public);
        assert_eq!(format!("{key:?}"), "(secret)");
        Recipients::parse([public.as_str()]).unwrap();
        assert!(Recipients::parse([]).is_err() && Recipients::parse(["age1x"]).is_err());
        fs::write(&path, "# nothing\n").unwrap();
        assert!(Key::read(&path).is_err());
    }
}
