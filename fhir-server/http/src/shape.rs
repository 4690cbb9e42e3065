//! The shape of an answer: format, packing, what the client has already.

use std::sync::Arc;

use crate::binary_request::BinaryRequest;
use crate::media::Format;

/// How the client wants to be answered.
#[derive(Debug, Clone)]
pub struct Shape {
    /// JSON or XML.
    pub format: Format,
    /// Indented.
    pub pretty: bool,
    /// Packed when that pays.
    pub gzip: bool,
    /// A page for people, made of the JSON.
    pub page: bool,
    /// The answer is to a write, which is done by now: it is not refused for want of a format.
    pub wrote: bool,
    /// The entity tags of what the client has (`If-None-Match`), where it reads.
    pub has: Option<String>,
    /// The answer is a Binary that may be given as what it holds.
    pub(crate) content: Option<Arc<BinaryRequest>>,
}

impl Shape {
    /// Plain JSON.
    pub const PLAIN: Shape = Shape {
        format: Format::Json,
        pretty: false,
        gzip: false,
        page: false,
        wrote: false,
        has: None,
        content: None,
    };

    /// How the page is given that is wanted, if one is; the shape is then that of the plain JSON it is made of.
    pub fn take_page(&mut self) -> Option<Shape> {
        let page = self.page.then(|| self.clone());
        if page.is_some() {
            (self.format, self.pretty, self.gzip) = (Format::Json, false, false);
            self.has = None;
        }
        page
    }

    /// JSON as it is kept, gzipped.
    pub(crate) fn is_packed_json(&self) -> bool {
        self.gzip && self.format == Format::Json && !self.pretty
    }
}
