//! Replies, free of HTTP.

use bytes::Bytes;
use fhir_model::Key;
use fhir_model::error::operation_outcome;
use fhir_store::{Version, Write};

use crate::content::Content;
use crate::request::Return;

/// The answer to one request. Errors are [`fhir_model::Error`]s.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The version that is spoken of: `ETag: W/"3"`.
    pub version: Option<u32>,
    /// Where there is no version: what tells this content from others, in any format. `ETag: W/"tag-json"`.
    pub tag: Option<String>,
    /// When it came to be, µs since 1970: `Last-Modified`.
    pub last_modified: Option<i64>,
    /// Where it is, relative to the base: `Patient/1/_history/3`.
    pub location: Option<String>,
    /// JSON text.
    pub body: Option<Bytes>,
    /// The same gzipped, where it is at hand: for what is answered often and changes never.
    pub packed: Option<Bytes>,
    /// The resource in the body, when it is one of the store: its `fullUrl` below the base in a Bundle.
    pub key: Option<Key>,
    /// The body is an OperationOutcome about what was done.
    pub is_outcome: bool,
    /// In place of the body: what is no resource. It cannot be the answer to an entry of a Bundle.
    pub content: Option<Box<Content>>,
    /// Further headers, beside those that the other members make.
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// 200 with a resource that the store does not have: a Bundle, an outcome.
    pub fn resource(body: impl Into<Bytes>) -> Reply {
        Reply { body: Some(body.into()), ..Reply::empty(200) }
    }

    /// A status alone.
    pub fn empty(status: u16) -> Reply {
        Reply {
            status,
            version: None,
            tag: None,
            last_modified: None,
            location: None,
            body: None,
            packed: None,
            key: None,
            is_outcome: false,
            content: None,
            headers: Vec::new(),
        }
    }

    /// 200 with bytes of a media type.
    pub fn content(content: Content) -> Reply {
        Reply { content: Some(Box::new(content)), ..Reply::empty(200) }
    }

    /// With one header more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// A stored version.
    pub(crate) fn version(status: u16, version: &Version) -> Reply {
        Reply {
            version: Some(version.version),
            last_modified: Some(version.updated_at),
            body: version.body.clone(),
            key: Some(version.key.clone()),
            ..Reply::empty(status)
        }
    }

    /// The reply of a conditional create that found a resource.
    pub(crate) fn existing(version: &Version, ret: Return) -> Reply {
        let text = format!("{} is there already; nothing was created", version.key);
        let body = match ret {
            Return::Minimal => None,
            Return::Representation => version.body.clone(),
            Return::OperationOutcome => Some(information(&text)),
        };
        Reply {
            location: Some(location(&version.key, version.version)),
            body,
            is_outcome: ret == Return::OperationOutcome,
            ..Reply::version(200, version)
        }
    }

    /// The reply to a committed write: 201 for a first version or one after a deletion, 200 for others, 204 for deletions.
    pub(crate) fn written(write: &Write, created: bool, updated_at: i64, ret: Return) -> Reply {
        let Some(doc) = &write.doc else { return Reply::deleted(&write.key, write.version, updated_at, ret) };
        let (status, word) = if created { (201, "created") } else { (200, "updated") };
        let body = match ret {
            Return::Minimal => None,
            Return::Representation => Some(Bytes::copy_from_slice(doc.text().as_bytes())),
            Return::OperationOutcome => Some(information(&format!("{} was {word}", write.key))),
        };
        Reply {
            version: Some(write.version),
            last_modified: Some(updated_at),
            location: Some(location(&write.key, write.version)),
            body,
            key: Some(write.key.clone()),
            is_outcome: ret == Return::OperationOutcome,
            ..Reply::empty(status)
        }
    }

    fn deleted(key: &Key, version: u32, updated_at: i64, ret: Return) -> Reply {
        let mut reply = Reply::gone(&format!("{key} was deleted"), ret);
        (reply.version, reply.last_modified) = (Some(version), Some(updated_at));
        reply
    }

    /// A deletion, or that there was nothing to delete: 204, or 200 when there is something to say.
    pub(crate) fn gone(text: &str, ret: Return) -> Reply {
        match ret {
            Return::OperationOutcome => Reply { is_outcome: true, ..Reply::resource(information(text)) },
            _ => Reply::empty(204),
        }
    }
}

/// `Patient/1/_history/3`
pub(crate) fn location(key: &Key, version: u32) -> String {
    format!("{key}/_history/{version}")
}

fn information(text: &str) -> Bytes {
    Bytes::from(operation_outcome("information", "informational", text, &[]).to_string())
}
