//! The files of a directory of keys: their names, who may read them, and how one comes to be.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use fhir_model::{Error, Result};
use zeroize::Zeroizing;

/// A key has less than 150 bytes; what is longer is something else.
const FILE_BYTES_MAX: u64 = 4096;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// It signs tokens.
    Token,
    /// It seals what is stored.
    Seal,
}

/// A file by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyFile {
    pub(super) role: Role,
    pub(super) number: u32,
}

/// A file as it is on the disk; another one of the same name differs in something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileState {
    pub(super) key: KeyFile,
    state: (u64, u64, u32, i64, i64),
}

impl Role {
    /// For messages.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Role::Token => "token key (k4.secret.…)",
            Role::Seal => "sealing key (32 bytes in base64url)",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Role::Token => "token-",
            Role::Seal => "seal-",
        }
    }
}

impl KeyFile {
    /// Returns `None` for names that are not of keys; a number is written in one way.
    fn from_name(name: &str) -> Option<KeyFile> {
        [Role::Token, Role::Seal].into_iter().find_map(|role| {
            let number = name.strip_prefix(role.prefix())?.strip_suffix(".key")?.parse().ok()?;
            Some(KeyFile { role, number }).filter(|key| key.name() == name)
        })
    }

    fn name(self) -> String {
        format!("{}{}.key", self.role.prefix(), self.number)
    }

    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(self.name())
    }
}

/// Makes the directory where there is none.
pub(super) fn create_directory(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| failed("make the directory of keys", path, &error))?;
    let mode = fs::metadata(path).map_err(|error| failed("look at", path, &error))?.mode();
    // Whoever can write here can put a key of his own above ours.
    if mode & 0o022 != 0 {
        return Err(open_to_others(path, mode, "written", "700"));
    }
    Ok(())
}

/// The files of keys, in the order of kind and number.
pub(super) fn list(directory: &Path) -> Result<Vec<FileState>> {
    let failed = |error| failed("list", directory, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(key) = entry.file_name().to_str().and_then(KeyFile::from_name) else { continue };
        // Of what a link points to, as operators mount secrets as links.
        match fs::metadata(entry.path()) {
            Ok(data) => files.push(FileState {
                key,
                state: (data.ino(), data.len(), data.mode(), data.mtime(), data.mtime_nsec()),
            }),
            // Deleted since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a key, when nobody but its owner could have read or written it.
pub(super) fn read(directory: &Path, key: KeyFile) -> Result<Zeroizing<String>> {
    let path = &key.path(directory);
    let failed = |error| failed("read", path, &error);
    let file = File::open(path).map_err(failed)?;
    // Of the file that was opened: by its name it could be another one by now.
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        return Err(open_to_others(path, mode, "read or written", "600"));
    }
    let mut text = Zeroizing::new(String::with_capacity(256));
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Writes a key under a name that nobody has taken. Returns `false` when it is taken.
pub(super) fn create(directory: &Path, key: KeyFile, text: &str) -> Result<bool> {
    let path = &key.path(directory);
    let failed = |error| failed("write", path, &error);
    // Temporary files are for their owner alone, and their names are none of keys.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(failed(error.error)),
    }
    // A name is durable when its directory is.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok(true)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::internal(format!("cannot {what} {}: {error}", path.display()))
}

fn open_to_others(path: &Path, mode: u32, done: &str, wanted: &str) -> Error {
    let (path, mode) = (path.display(), mode & 0o7777);
    Error::internal(format!("{path} can be {done} by others (mode {mode:04o}): chmod {wanted} {path}"))
}
