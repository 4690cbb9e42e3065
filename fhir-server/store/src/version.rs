//! One version of a resource.

use bytes::Bytes;
use fhir_model::json::{Doc, JsonLimits};
use fhir_model::{Error, Key, Result};

/// How a version came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "HTTP's own words")]
pub enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As stored.
    pub(crate) const fn number(self) -> i16 {
        match self {
            Method::Post => 1,
            Method::Put => 2,
            Method::Patch => 3,
            Method::Delete => 4,
        }
    }

    pub(crate) fn from_number(number: i16) -> Method {
        match number {
            1 => Method::Post,
            3 => Method::Patch,
            4 => Method::Delete,
            _ => Method::Put,
        }
    }

    /// As HTTP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// One version of a resource, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Type and id.
    pub key: Key,
    /// Counts up from 1.
    pub version: u32,
    /// `lastUpdated` in microseconds since 1970.
    pub updated_at: i64,
    /// The HTTP method that made it.
    pub method: Method,
    /// The body as JSON text, `resourceType` first; `None` for a deletion.
    pub body: Option<Bytes>,
    /// The row it is in.
    pub handle: i64,
}

impl Version {
    /// The body as a tree; that of a deletion, which has none, is an error.
    pub(crate) fn doc(&self) -> Result<Doc> {
        let body = self.body.as_deref().unwrap_or_default();
        Doc::parse(body.to_vec(), JsonLimits::NONE).map_err(Error::internal)
    }
}

/// The state of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceState {
    /// It exists.
    Current(Version),
    /// It was deleted; the version is the deletion.
    Deleted(Version),
    /// There never was such a resource.
    Absent,
}

impl ResourceState {
    /// The number of its last version, 0 when it never was.
    pub fn last_version(&self) -> u32 {
        match self {
            ResourceState::Current(version) | ResourceState::Deleted(version) => version.version,
            ResourceState::Absent => 0,
        }
    }
}
