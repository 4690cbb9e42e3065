//! The parser: one pass over the bytes, no recursion, nodes in document order.

use std::borrow::Cow;

use super::escapes::{hex, unescape};
use super::{Doc, JsonLimits, Kind, Node, SyntaxError, is_allowed};

type Result<T> = std::result::Result<T, SyntaxError>;

/// Longest key that an error names.
const NAMED_BYTES_MAX: usize = 64;

fn fail<T>(at: usize, text: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(SyntaxError { kind: crate::Kind::Structure, is_json: false, at, text: text.into() })
}

/// What the grammar of JSON allows, and FHIR or a limit does not.
fn refuse<T>(at: usize, text: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(SyntaxError { kind: crate::Kind::Structure, is_json: true, at, text: text.into() })
}

fn beyond<T>(limit: crate::Kind, at: usize, text: &'static str) -> Result<T> {
    Err(SyntaxError { kind: limit, is_json: true, at, text: text.into() })
}

impl Doc {
    /// Parses a whole text: exactly one value, white space around it allowed.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON value in UTF-8, holds U+0000, or exceeds the limits on bytes, nesting or values.
    pub fn parse(bytes: impl Into<Vec<u8>>, limits: JsonLimits) -> std::result::Result<Doc, SyntaxError> {
        parse(bytes.into(), limits)
    }
}

fn parse(bytes: Vec<u8>, limits: JsonLimits) -> Result<Doc> {
    if bytes.len() > limits.bytes_max.min(u32::MAX as usize - 1) {
        return beyond(crate::Kind::TooLarge, 0, "longer than allowed");
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => return fail(e.utf8_error().valid_up_to(), "not UTF-8"),
    };
    // Resources without narrative have about one node for 32 bytes; with it, far fewer.
    let nodes = Vec::with_capacity(text.len() / 32 + 8);
    let bytes = text.as_bytes();
    let values_max = limits.values_max;
    let mut parser = Parser { bytes, at: 0, nodes, values_max, forbidden_escapes: false };
    parser.document(limits.depth_max)?;
    let Parser { nodes, forbidden_escapes, .. } = parser;
    Ok(Doc { text: text.into_boxed_str(), nodes, forbidden_escapes })
}

struct Parser<'t> {
    bytes: &'t [u8],
    at: usize,
    nodes: Vec<Node>,
    values_max: usize,
    forbidden_escapes: bool,
}

/// Eight bytes from `at`, the first one lowest; zeros after the end.
fn word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(eight) = rest.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// A word of the same byte eight times.
const fn every(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The key of a member: its span and whether it holds escapes.
#[derive(Clone, Copy, Default)]
struct Key {
    span: (u32, u32),
    escaped: bool,
}

impl Parser<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
            // Indentation.
            while word(self.bytes, self.at) == every(b' ') {
                self.at += 8;
            }
        }
    }

    fn document(&mut self, depth_max: usize) -> Result<()> {
        // Indexes of the arrays and objects that are open.
        let mut open: Vec<u32> = Vec::with_capacity(16);
        let mut key = Key::default();
        self.space();
        loop {
            let kind = self.value(key)?;
            if matches!(kind, Kind::Array | Kind::Object) {
                if open.len() >= depth_max {
                    return refuse(self.at, "nested deeper than allowed");
                }
                open.push(self.nodes.len() as u32 - 1);
                self.space();
                let empty = matches!((kind, self.peek()), (Kind::Array, b']') | (Kind::Object, b'}'));
                if !empty {
                    key = self.next_key(kind)?;
                    continue;
                }
            }
            match self.after_value(&mut open)? {
                Some(next) => key = next,
                None => return Ok(()),
            }
        }
    }

    /// Closes what ends here and steps to the next member or item; `None` at the end of the text.
    fn after_value(&mut self, open: &mut Vec<u32>) -> Result<Option<Key>> {
        loop {
            self.space();
            let Some(&parent) = open.last() else {
                if self.at < self.bytes.len() {
                    return fail(self.at, "something follows the value");
                }
                return Ok(None);
            };
            let kind = self.nodes.get(parent as usize).map_or(Kind::Null, |n| n.kind);
            match (kind, self.peek()) {
                (Kind::Array, b']') | (Kind::Object, b'}') => {
                    self.at += 1;
                    open.pop();
                    self.close(parent, kind)?;
                }
                (_, b',') => {
                    self.at += 1;
                    self.space();
                    return self.next_key(kind).map(Some);
                }
                (Kind::Array, _) => return fail(self.at, "`,` or `]` expected"),
                _ => return fail(self.at, "`,` or `}` expected"),
            }
        }
    }

    /// In an object: `"key" :` and the space after it. In an array: nothing.
    fn next_key(&mut self, parent: Kind) -> Result<Key> {
        if parent == Kind::Array {
            return Ok(Key::default());
        }
        if self.peek() != b'"' {
            return fail(self.at, "a key in quotes expected");
        }
        let key = self.string()?;
        self.space();
        if self.peek() != b':' {
            return fail(self.at, "`:` expected");
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    /// Ends an array or object: its span, its subtree, and no key twice.
    fn close(&mut self, index: u32, kind: Kind) -> Result<()> {
        let (next, end) = (self.nodes.len() as u32, self.at as u32);
        if kind == Kind::Object {
            self.refuse_duplicates(index + 1, next)?;
        }
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.next = next;
            node.span.1 = end;
        }
        Ok(())
    }

    fn refuse_duplicates(&self, first: u32, end: u32) -> Result<()> {
        // FHIR objects have few members: comparing pairs beats sorting until there are many. Most pairs differ in
        // their length or their first eight bytes.
        const PAIRS_MAX: usize = 16;
        let mut marks = [0; PAIRS_MAX];
        let mut at = first;
        let mut count = 0;
        while at < end {
            let Some(node) = self.nodes.get(at as usize) else { break };
            let Some(slot) = marks.get_mut(count).filter(|_| !node.key_escaped) else {
                return self.refuse_duplicates_of_many(first, end);
            };
            let mark = self.mark(node.key);
            *slot = mark;
            if marks.iter().take(count).any(|seen| *seen == mark) {
                return self.refuse_duplicates_of_many(first, end);
            }
            count += 1;
            at = node.next;
        }
        Ok(())
    }

    /// Equal for equal keys, and seldom otherwise.
    fn mark(&self, key: (u32, u32)) -> u64 {
        let length = key.1 - key.0;
        let word = word(self.bytes, key.0 as usize);
        let kept = if length >= 8 { word } else { word & ((1 << (8 * length)) - 1) };
        kept ^ u64::from(length).rotate_right(8)
    }

    fn refuse_duplicates_of_many(&self, first: u32, end: u32) -> Result<()> {
        let mut keys: Vec<(Cow<'_, [u8]>, u32)> = Vec::new();
        let mut at = first;
        while at < end {
            let Some(node) = self.nodes.get(at as usize) else { break };
            let raw = self.raw(node.key);
            let key = match node.key_escaped {
                true => Cow::Owned(unescape(std::str::from_utf8(raw).unwrap_or("")).into_bytes()),
                false => Cow::Borrowed(raw),
            };
            keys.push((key, node.key.0));
            at = node.next;
        }
        keys.sort_unstable();
        for (a, b) in keys.iter().zip(keys.iter().skip(1)) {
            if a.0 == b.0 {
                // Keys are FHIR's words, not patient data.
                return match std::str::from_utf8(&b.0) {
                    Ok(key) if key.len() <= NAMED_BYTES_MAX => {
                        refuse(b.1 as usize, format!("the key `{key}` stands twice in one object"))
                    }
                    _ => refuse(b.1 as usize, "a key stands twice in one object"),
                };
            }
        }
        Ok(())
    }

    fn raw(&self, span: (u32, u32)) -> &[u8] {
        self.bytes.get(span.0 as usize..span.1 as usize).unwrap_or_default()
    }

    /// Reads a scalar whole, or the opening of an array or object; pushes its node.
    fn value(&mut self, key: Key) -> Result<Kind> {
        let start = self.at;
        let mut escaped = false;
        let mut span = (start as u32, 0);
        let kind = match self.peek() {
            b'"' => {
                Key { span, escaped } = self.string()?;
                Kind::String
            }
            b'{' => {
                self.at += 1;
                Kind::Object
            }
            b'[' => {
                self.at += 1;
                Kind::Array
            }
            b't' => self.word(b"true", Kind::Boolean)?,
            b'f' => self.word(b"false", Kind::Boolean)?,
            b'n' => self.word(b"null", Kind::Null)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ if start >= self.bytes.len() => return fail(start, "the text ends too early"),
            _ => return fail(start, "a value expected"),
        };
        if kind != Kind::String {
            span.1 = self.at as u32;
        }
        if self.nodes.len() >= self.values_max {
            let text = "made of more values than its length allows";
            return beyond(crate::Kind::TooCostly, start, text);
        }
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { key: key.span, key_escaped: key.escaped, span, next, kind, escaped });
        Ok(kind)
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind> {
        if self.bytes.get(self.at..self.at + word.len()) != Some(word) {
            return fail(self.at, "a value expected");
        }
        self.at += word.len();
        Ok(kind)
    }

    fn digits(&mut self) -> Result<()> {
        if !self.peek().is_ascii_digit() {
            return fail(self.at, "a digit expected");
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Kind> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
            if self.peek().is_ascii_digit() {
                return fail(self.at, "a number does not start with 0");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    /// A string from its opening quote; gives the span between the quotes.
    fn string(&mut self) -> Result<Key> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.plain();
            match self.peek() {
                b'"' => {
                    let span = (start as u32, self.at as u32);
                    self.at += 1;
                    return Ok(Key { span, escaped });
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ if self.at >= self.bytes.len() => return fail(start, "a string does not end"),
                _ => return fail(self.at, "a control character in a string"),
            }
        }
    }

    /// Steps to the next byte that means something in a string: a quote, a backslash, a control character, the end.
    fn plain(&mut self) {
        loop {
            let word = word(self.bytes, self.at);
            // A byte's high bit is set where subtracting borrows: https://graphics.stanford.edu/~seander/bithacks.html
            let below = |word: u64, least: u8| word.wrapping_sub(every(least)) & !word;
            let special = below(word, 0x20) | below(word ^ every(b'"'), 1) | below(word ^ every(b'\\'), 1);
            let special = special & every(0x80);
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
    }

    fn escape(&mut self) -> Result<()> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'n' | b'r' | b't' => self.at += 1,
            b'b' | b'f' => {
                self.forbidden_escapes = true;
                self.at += 1;
            }
            b'u' => {
                self.at += 1;
                match self.hex4()? {
                    0 => return refuse(start, "U+0000 is not allowed"),
                    0xDC00..=0xDFFF => return refuse(start, "half of a surrogate pair"),
                    0xD800..=0xDBFF => {
                        if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
                            return refuse(start, "half of a surrogate pair");
                        }
                        self.at += 2;
                        if !matches!(self.hex4()?, 0xDC00..=0xDFFF) {
                            return refuse(start, "half of a surrogate pair");
                        }
                    }
                    point => self.forbidden_escapes |= !char::from_u32(point).is_some_and(is_allowed),
                }
            }
            _ => return fail(start, "an unknown escape"),
        }
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32> {
        let four = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        if four.len() < 4 || !four.iter().all(u8::is_ascii_hexdigit) {
            return fail(self.at, "four hexadecimal digits expected");
        }
        self.at += 4;
        Ok(hex(four))
    }
}
