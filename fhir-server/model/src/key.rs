//! What a resource is called: its type and its id. <https://hl7.org/fhir/R4/resource.html#id>

use std::fmt;

/// `Patient/1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The resource type.
    pub type_name: Box<str>,
    /// The logical id: 1 to 64 of `A-Z a-z 0-9 - .`.
    pub id: Box<str>,
}

impl Key {
    /// A key from its two parts, unchecked.
    pub fn new(type_name: impl Into<Box<str>>, id: impl Into<Box<str>>) -> Key {
        Key { type_name: type_name.into(), id: id.into() }
    }

    /// The longest id FHIR allows.
    pub const ID_BYTES_MAX: usize = 64;

    /// True for what FHIR allows as an id.
    pub fn is_id(text: &str) -> bool {
        (1..=Key::ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.type_name, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn ids() {
        let long = "a".repeat(64);
        let longer = "a".repeat(65);
        for (text, good) in [
            ("1", true),
            ("a-b.C", true),
            ("", false),
            ("a_b", false),
            ("a b", false),
            (&long, true),
            (&longer, false),
        ] {
            assert_eq!(Key::is_id(text), good, "{text}");
        }
    }
}
