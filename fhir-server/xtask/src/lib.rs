//! Tasks of the repository. Nothing here is part of the server.

pub mod cycles;
pub mod definitions;

use std::path::PathBuf;

/// The repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
