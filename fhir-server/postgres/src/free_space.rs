//! Free bytes of file systems.

use crate::error::{IoContext, Result};

/// The bytes that an unprivileged user can still write where `path` is.
pub(crate) fn bytes_free(path: &std::path::Path) -> Result<u64> {
    let found = nix::sys::statvfs::statvfs(path).map_err(std::io::Error::from);
    let found = found.doing("ask for the free space of", path)?;
    Ok(found.blocks_available() * found.fragment_size())
}
