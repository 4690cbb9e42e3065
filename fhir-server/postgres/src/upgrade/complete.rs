//! The last step of an upgrade: the new cluster takes the place of the old one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster;
use crate::error::{IoContext, Result};
use crate::home::Home;

/// Its name when it is complete and compared: from here on every start finishes what is left, which is renaming.
pub(super) const COMPLETE: &str = "pg.upgraded";

/// Finishes an upgrade that ended between its renames: the old cluster goes aside, the new one takes its place.
pub(crate) fn complete(home: &Home) -> Result<()> {
    let (new, pg) = (home.dir.join(COMPLETE), home.dir.join("pg"));
    if !new.join("PG_VERSION").exists() {
        return Ok(());
    }
    if let Some(from) = cluster::major(home) {
        fs::rename(&pg, kept(&home.dir, from)).doing("rename", &pg)?;
    }
    fs::rename(&new, &pg).doing("rename", &new)?;
    cluster::sync_dir(&home.dir)
}

/// Where the old cluster is kept.
pub(super) fn kept(dir: &Path, major: u32) -> PathBuf {
    dir.join(format!("pg.old-{major}"))
}
