//! Characters that a string of FHIR's cannot hold: <https://hl7.org/fhir/R4/datatypes.html#string>

use super::{Kind, Ref};

/// True for what a string may hold: no control characters but tab, line feed and carriage return, and neither U+FFFE nor
/// U+FFFF. These are the characters of XML 1.0 too: <https://www.w3.org/TR/xml/#charsets>
pub fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

impl<'d> Ref<'d> {
    /// The first value with a string or a key in it that holds a character FHIR forbids, and that character.
    ///
    /// Costs one fast scan where there is none: written as themselves only U+FFFE and U+FFFF get past the parser, and it
    /// notes the escapes of the others.
    pub fn forbidden(self) -> Option<(Ref<'d>, char)> {
        if !self.doc.forbidden_escapes && !holds_noncharacter(self.raw().as_bytes()) {
            return None;
        }
        self.forbidden_below()
    }

    fn forbidden_below(self) -> Option<(Ref<'d>, char)> {
        match self.kind() {
            Kind::String => self.str().and_then(|text| first(&text)).map(|c| (self, c)),
            Kind::Array | Kind::Object => self
                .children()
                .find_map(|child| first(&child.key()).map(|c| (self, c)).or_else(|| child.forbidden_below())),
            _ => None,
        }
    }
}

fn first(text: &str) -> Option<char> {
    text.chars().find(|c| !is_allowed(*c))
}

/// U+FFFE or U+FFFF, as UTF-8.
fn holds_noncharacter(text: &[u8]) -> bool {
    memchr::memchr_iter(0xEF, text).any(|at| matches!(text.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])))
}
