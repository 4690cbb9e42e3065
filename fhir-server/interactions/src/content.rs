//! What a reply holds that is no FHIR resource: a file, a stream of lines.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fhir_model::Result;
use futures_util::stream::{BoxStream, Stream, StreamExt};

/// Bytes of a media type.
#[derive(Debug, Clone)]
pub struct Content {
    /// Such as `application/fhir+ndjson`.
    pub media_type: String,
    /// The bytes.
    pub body: ContentBody,
}

/// The bytes of a [`Content`].
#[derive(Debug, Clone)]
pub enum ContentBody {
    /// All of them.
    Whole(Bytes),
    /// Those that come in time.
    Stream(ContentStream),
}

/// A stream of bytes, read once. An error in it cuts the connection: the client must see that it has not everything.
#[derive(Clone)]
pub struct ContentStream(Arc<Mutex<Option<BoxStream<'static, Result<Bytes>>>>>);

impl fmt::Debug for ContentStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentStream")
    }
}

impl ContentStream {
    /// A stream.
    pub fn new(stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> ContentStream {
        ContentStream(Arc::new(Mutex::new(Some(stream.boxed()))))
    }

    /// The stream, for the one who reads it; `None` when somebody has it already.
    pub fn take(&self) -> Option<BoxStream<'static, Result<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
