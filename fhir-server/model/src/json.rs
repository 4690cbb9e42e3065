//! The JSON tree: parsed once, exact, without a copy of what was sent.
//!
//! A [`Doc`] owns the text and one flat array of nodes in document order. A node is a span of the text and the
//! index after its subtree, so children are walked by jumping, nothing is allocated per value, and numbers and
//! strings keep the text the client sent (`1.00`, `1.5E-10`, 34 digits).
//!
//! Stricter than RFC 8259 where FHIR needs it: duplicate keys, lone surrogates and U+0000 are refused. Further characters
//! that FHIR forbids are found by [`Ref::forbidden`]: texts that were stored before must still be read.
//! <https://hl7.org/fhir/R4/json.html>
//!
//! **Invariant:** a `Doc` never changes. Writing means new text.

mod characters;
mod escapes;
mod parse;
mod write;

use std::borrow::Cow;
use std::fmt;

pub use characters::is_allowed;
pub use write::Edits;

/// Bounds on what is parsed.
#[derive(Debug, Clone, Copy)]
pub struct JsonLimits {
    /// Deepest nesting of objects and arrays.
    pub depth_max: usize,
    /// Longest text, in bytes. Never more than 4 GiB - 1, as spans are 32 bits.
    pub bytes_max: usize,
    /// Most values: objects, arrays, and what stands in them.
    pub values_max: usize,
}

/// Values that a body may always hold.
const VALUES_FREE: usize = 64 * 1024;
/// Least bytes for each further value. Resources have 18 or more, and the densest list of codes has 8; `[1,1,1]` has 2,
/// and each value costs as much as 24 bytes of text.
const BYTES_PER_VALUE: usize = 8;

impl JsonLimits {
    /// For texts of our own, which were bounded when they came.
    pub const NONE: JsonLimits =
        JsonLimits { depth_max: usize::MAX, bytes_max: usize::MAX, values_max: usize::MAX };

    /// The same for a text of so many bytes that somebody sent: its tree may be a few times the text, not ten times.
    #[must_use]
    pub fn for_body(self, bytes: usize) -> JsonLimits {
        JsonLimits { values_max: self.values_max.min(VALUES_FREE + bytes / BYTES_PER_VALUE), ..self }
    }
}

impl Default for JsonLimits {
    fn default() -> JsonLimits {
        JsonLimits { depth_max: 100, bytes_max: 100 * 1024 * 1024, values_max: usize::MAX }
    }
}

/// Why a text is not the JSON we take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// [`crate::Kind::Structure`], or that of the limit that is passed.
    pub kind: crate::Kind,
    /// The text is valid JSON, and still not taken.
    pub is_json: bool,
    /// Byte offset in the text.
    pub at: usize,
    /// What is wrong, without quoting values.
    pub text: Cow<'static, str>,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            crate::Kind::Structure if self.is_json => {
                write!(f, "refused at byte {}, although valid JSON: {}", self.at, self.text)
            }
            crate::Kind::Structure => write!(f, "not valid JSON at byte {}: {}", self.at, self.text),
            _ => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for SyntaxError {}

impl From<SyntaxError> for crate::Error {
    fn from(e: SyntaxError) -> crate::Error {
        match e.kind {
            crate::Kind::Structure => crate::Error::structure(e.to_string()),
            limit => crate::Error::new(limit, format!("the JSON is {e}")),
        }
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "JSON's own words")]
pub enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// Span of the key's text between its quotes; an empty span at 0 for array items and the root.
    key: (u32, u32),
    /// Span of the value: strings without their quotes, everything else whole.
    span: (u32, u32),
    /// Index of the node after this subtree.
    next: u32,
    kind: Kind,
    /// The string (or key) holds a backslash, so its text must be decoded.
    escaped: bool,
    key_escaped: bool,
}

/// A parsed JSON text.
#[derive(Clone)]
pub struct Doc {
    text: Box<str>,
    nodes: Vec<Node>,
    /// An escape stands for a character that FHIR forbids.
    forbidden_escapes: bool,
}

impl fmt::Debug for Doc {
    // Bodies are patient data: they do not go to logs by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doc({} bytes, {} nodes)", self.text.len(), self.nodes.len())
    }
}

impl Doc {
    /// The outermost value.
    pub fn root(&self) -> Ref<'_> {
        Ref { doc: self, at: 0 }
    }

    /// How many values it holds.
    pub fn values(&self) -> usize {
        self.nodes.len()
    }

    /// The text as it was sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The node of an index that [`Ref::index`] gave.
    pub fn at(&self, index: u32) -> Option<Ref<'_>> {
        ((index as usize) < self.nodes.len()).then_some(Ref { doc: self, at: index })
    }
}

/// One value of a [`Doc`].
#[derive(Clone, Copy)]
pub struct Ref<'d> {
    doc: &'d Doc,
    at: u32,
}

impl fmt::Debug for Ref<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}#{}", self.kind(), self.at)
    }
}

impl PartialEq for Ref<'_> {
    /// The same node of the same document (not: equal content).
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.doc, other.doc) && self.at == other.at
    }
}

impl<'d> Ref<'d> {
    #[expect(clippy::indexing_slicing, reason = "a Ref is only made for nodes of its own document")]
    fn node(self) -> &'d Node {
        &self.doc.nodes[self.at as usize]
    }

    fn slice(self, span: (u32, u32)) -> &'d str {
        // Spans are made by the parser on character boundaries.
        self.doc.text.get(span.0 as usize..span.1 as usize).unwrap_or("")
    }

    /// Position in document order: unique within the document.
    pub fn index(self) -> u32 {
        self.at
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// True for `{}`-values.
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    /// True for `[]`-values.
    pub fn is_array(self) -> bool {
        self.kind() == Kind::Array
    }

    /// True for `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The key under which it stands in its object; empty for array items and the root.
    pub fn key(self) -> Cow<'d, str> {
        let node = self.node();
        let raw = self.slice(node.key);
        if node.key_escaped { Cow::Owned(escapes::unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    /// True when its key is `name`. No allocation for keys without escapes.
    pub fn key_is(self, name: &str) -> bool {
        let node = self.node();
        let raw = self.slice(node.key);
        if node.key_escaped { escapes::unescape(raw) == name } else { raw == name }
    }

    /// The text of a string, decoded.
    pub fn str(self) -> Option<Cow<'d, str>> {
        let node = self.node();
        (node.kind == Kind::String).then(|| {
            let raw = self.slice(node.span);
            if node.escaped { Cow::Owned(escapes::unescape(raw)) } else { Cow::Borrowed(raw) }
        })
    }

    /// The digits of a number, exactly as written.
    pub fn number(self) -> Option<&'d str> {
        let node = self.node();
        (node.kind == Kind::Number).then(|| self.slice(node.span))
    }

    /// The value of a boolean.
    pub fn bool(self) -> Option<bool> {
        let node = self.node();
        (node.kind == Kind::Boolean).then(|| self.slice(node.span) == "true")
    }

    /// The text of the value as it was sent, strings with their quotes.
    pub fn raw(self) -> &'d str {
        let node = self.node();
        match node.kind {
            Kind::String => self.slice((node.span.0 - 1, node.span.1 + 1)),
            _ => self.slice(node.span),
        }
    }

    /// Byte offsets of [`Ref::raw`] in the document's text.
    pub fn span(self) -> std::ops::Range<usize> {
        let node = self.node();
        match node.kind {
            Kind::String => node.span.0 as usize - 1..node.span.1 as usize + 1,
            _ => node.span.0 as usize..node.span.1 as usize,
        }
    }

    /// The members of an object or the items of an array, in order; nothing for others.
    pub fn children(self) -> Children<'d> {
        let node = self.node();
        Children { doc: self.doc, at: self.at + 1, end: node.next }
    }

    /// The member of an object with this key.
    pub fn get(self, name: &str) -> Option<Ref<'d>> {
        if !self.is_object() {
            return None;
        }
        self.children().find(|child| child.key_is(name))
    }

    /// The string member of an object with this key.
    pub fn get_str(self, name: &str) -> Option<Cow<'d, str>> {
        self.get(name)?.str()
    }

    /// A repeating element as items: the items of an array, or the value itself when it is not an array.
    pub fn items(self) -> Children<'d> {
        if self.is_array() {
            self.children()
        } else {
            Children { doc: self.doc, at: self.at, end: self.node().next }
        }
    }

    /// True for an object or array without content, false for others.
    pub fn is_empty(self) -> bool {
        self.node().next == self.at + 1 && (self.is_array() || self.is_object())
    }

    /// The same as a `serde_json` value. Numbers keep their digits, but an `E` becomes `e`: not for stored bodies.
    pub fn to_value(self) -> serde_json::Value {
        use serde_json::Value;
        match self.kind() {
            Kind::Null => Value::Null,
            Kind::Boolean => Value::Bool(self.bool() == Some(true)),
            Kind::Number => serde_json::from_str(self.raw()).unwrap_or(Value::Null),
            Kind::String => Value::String(self.str().unwrap_or_default().into_owned()),
            Kind::Array => Value::Array(self.children().map(Ref::to_value).collect()),
            Kind::Object => {
                Value::Object(self.children().map(|c| (c.key().into_owned(), c.to_value())).collect())
            }
        }
    }
}

/// Iterator over children.
#[derive(Clone)]
pub struct Children<'d> {
    doc: &'d Doc,
    at: u32,
    end: u32,
}

impl<'d> Iterator for Children<'d> {
    type Item = Ref<'d>;

    fn next(&mut self) -> Option<Ref<'d>> {
        if self.at >= self.end {
            return None;
        }
        let found = Ref { doc: self.doc, at: self.at };
        self.at = found.node().next;
        Some(found)
    }
}

#[cfg(test)]
mod tests;
