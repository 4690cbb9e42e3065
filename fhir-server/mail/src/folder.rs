//! Messages as files.

use std::fs::{DirBuilder, File};
use std::io::{Result as IoResult, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use fhir_model::{Error, Kind, Result};
use uuid::Uuid;

/// Writes `<id>.eml`, which is there whole or not at all, and for its owner alone: it may hold a link that signs in.
pub(crate) async fn write(folder: PathBuf, id: Uuid, message: Vec<u8>) -> Result<()> {
    let work = move || written(&folder, id, &message);
    let done = tokio::task::spawn_blocking(work).await.map_err(Error::internal)?;
    // A full disk may pass, as a busy server does.
    done.map_err(|error| Error::new(Kind::Unavailable, "The mail cannot be written now").because(error))
}

fn written(folder: &Path, id: Uuid, message: &[u8]) -> IoResult<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The mode of temporary files is 0600; the name is none that a program would take for a message.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(message)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(folder.join(format!("{id}.eml")))?;
    File::open(folder)?.sync_all()
}
