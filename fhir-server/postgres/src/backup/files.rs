//! Files that are whole after a power cut.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::cluster::sync_dir;
use crate::error::{IoContext, Result};

/// Replaces a small file so that a power cut leaves the old or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().doing("write", &new)?;
    fs::rename(&new, path).doing("rename", &new)?;
    path.parent().map_or(Ok(()), sync_dir)
}
