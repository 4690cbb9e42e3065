//! Replies, free of HTTP.

use bytes::Bytes;
use fhir_model::Key;
use fhir_model::error::{Issue, operation_outcome};
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
    /// The resources in a page that the body is, where an observer wants to know.
    pub keys: Vec<Key>,
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
            keys: Vec::new(),
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
            Return::OperationOutcome => Some(outcome(text, Vec::new())),
        };
        Reply {
            location: Some(location(&version.key, version.version)),
            body,
            is_outcome: ret == Return::OperationOutcome,
            ..Reply::version(200, version)
        }
    }

    /// The reply to a committed write: 201 for a first version or one after a deletion, 200 for others, 204 for deletions.
    /// What is warned of stands in the outcome, when that is wanted, and is dropped silently else.
    pub(crate) fn written(
        write: &Write,
        created: bool,
        updated_at: i64,
        ret: Return,
        warnings: Vec<Issue>,
    ) -> Reply {
        let (version, last_modified) = (Some(write.version), Some(updated_at));
        let Some(doc) = &write.doc else {
            let text = format!("{} was deleted", write.key);
            return Reply { version, last_modified, ..Reply::deleted_with(&text, ret, warnings) };
        };
        let (status, word) = if created { (201, "created") } else { (200, "updated") };
        let body = match ret {
            Return::Minimal => None,
            Return::Representation => Some(Bytes::copy_from_slice(doc.text().as_bytes())),
            Return::OperationOutcome => Some(outcome(format!("{} was {word}", write.key), warnings)),
        };
        Reply {
            version,
            last_modified,
            location: Some(location(&write.key, write.version)),
            body,
            key: Some(write.key.clone()),
            is_outcome: ret == Return::OperationOutcome,
            ..Reply::empty(status)
        }
    }

    /// There was nothing to delete: 204, or 200 when the outcome is wanted.
    pub(crate) fn gone(text: &str, ret: Return) -> Reply {
        Reply::deleted_with(text, ret, Vec::new())
    }

    /// A deletion, and what is warned of: as [`Reply::gone`].
    pub(crate) fn deleted_with(text: &str, ret: Return, warnings: Vec<Issue>) -> Reply {
        match ret {
            Return::OperationOutcome => {
                Reply { is_outcome: true, ..Reply::resource(outcome(text.to_owned(), warnings)) }
            }
            _ => Reply::empty(204),
        }
    }
}

/// `Patient/1/_history/3`
pub(crate) fn location(key: &Key, version: u32) -> String {
    format!("{key}/_history/{version}")
}

/// What was done, and what is warned of: as much as an error would say.
fn outcome(done: String, warnings: Vec<Issue>) -> Bytes {
    let mut issues = vec![Issue::information(done)];
    issues.extend(warnings);
    Bytes::from(operation_outcome(&issues).to_string())
}
