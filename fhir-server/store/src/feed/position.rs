//! Positions in the change feed: those of versions, in the order of the feed.

use std::fmt;
use std::str::FromStr;

use fhir_model::{Error, Result};

use crate::version::Version;

/// A position in the feed; the default is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    updated_at: i64,
    handle: i64,
    version: u32,
}

impl Default for FeedPosition {
    fn default() -> FeedPosition {
        FeedPosition { updated_at: i64::MIN, handle: i64::MIN, version: 0 }
    }
}

impl FeedPosition {
    /// The position before everything that has `lastUpdated` from `micros` (microseconds since 1970) on.
    pub fn before(micros: i64) -> FeedPosition {
        FeedPosition { updated_at: micros.saturating_sub(1), handle: i64::MAX, version: u32::MAX }
    }

    /// The position of a version.
    pub fn from_version(version: &Version) -> FeedPosition {
        FeedPosition { updated_at: version.updated_at, handle: version.handle, version: version.version }
    }

    /// A position from its parts: `lastUpdated`, row, version.
    pub fn from_columns(updated_at: i64, handle: i64, version: u32) -> FeedPosition {
        FeedPosition { updated_at, handle, version }
    }

    /// Its parts: `lastUpdated`, row, version.
    pub fn columns(&self) -> (i64, i64, u32) {
        (self.updated_at, self.handle, self.version)
    }

    /// The `lastUpdated` of the version, in microseconds since 1970: every earlier change is before the position.
    pub fn updated_at(&self) -> i64 {
        self.updated_at
    }
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.updated_at, self.handle, self.version)
    }
}

impl FromStr for FeedPosition {
    type Err = Error;

    fn from_str(text: &str) -> Result<FeedPosition> {
        let mut parts = text.split(' ');
        let mut part =
            || parts.next().ok_or_else(|| Error::internal(format!("`{text}` is no position in the feed")));
        Ok(FeedPosition {
            updated_at: part()?.parse().map_err(Error::internal)?,
            handle: part()?.parse().map_err(Error::internal)?,
            version: part()?.parse().map_err(Error::internal)?,
        })
    }
}
