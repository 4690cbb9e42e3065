//! What the text of a reference says: <https://hl7.org/fhir/R4/references.html#literal>

use crate::Key;

/// A literal reference, read as text alone: nothing is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference<'t> {
    /// `Patient/1`, `Patient/1/_history/2`: relative to the server, or to the `fullUrl` of what holds it.
    Relative(Key),
    /// `http://example.org/fhir/Patient/1`: the base and what follows it.
    Absolute(&'t str, Key),
    /// `Patient?identifier=x|y`: type and criteria, to be looked up when a transaction is processed.
    Conditional(&'t str, &'t str),
    /// `#contained`, urns, canonicals and everything else.
    Other(&'t str),
}

impl<'t> Reference<'t> {
    /// Reads a reference.
    pub fn parse(text: &'t str) -> Reference<'t> {
        if let Some((type_name, criteria)) = text.split_once('?') {
            return match is_type(type_name) {
                true => Reference::Conditional(type_name, criteria),
                false => Reference::Other(text),
            };
        }
        if let Some(key) = key(text) {
            return Reference::Relative(key);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            let plain = text.split_once("/_history/").map_or(text, |(head, _)| head);
            let mut cut = plain.rmatch_indices('/').map(|(at, _)| at);
            if let Some(at) = cut.nth(1)
                && let (Some(base), Some(key)) = (plain.get(..at), plain.get(at + 1..).and_then(key))
            {
                return Reference::Absolute(base, key);
            }
        }
        Reference::Other(text)
    }
}

/// `Patient/1` or `Patient/1/_history/2`.
fn key(text: &str) -> Option<Key> {
    let mut parts = text.split('/');
    let (type_name, id) = (parts.next()?, parts.next()?);
    let rest_is_version = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => true,
        (Some("_history"), Some(version), None) => !version.is_empty(),
        _ => false,
    };
    (rest_is_version && is_type(type_name) && Key::is_id(id)).then(|| Key::new(type_name, id))
}

/// True for what may name a resource type.
fn is_type(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_apart() {
        let patient = || Key::new("Patient", "1");
        let rows = [
            ("Patient/1", Reference::Relative(patient())),
            ("Patient/1/_history/2", Reference::Relative(patient())),
            ("http://a.org/fhir/Patient/1", Reference::Absolute("http://a.org/fhir", patient())),
            ("https://a.org/Patient/1/_history/4", Reference::Absolute("https://a.org", patient())),
            ("Patient?identifier=s|1", Reference::Conditional("Patient", "identifier=s|1")),
            ("patient?identifier=1", Reference::Other("patient?identifier=1")),
            ("urn:uuid:1", Reference::Other("urn:uuid:1")),
            ("#p", Reference::Other("#p")),
            ("Patient/1/2", Reference::Other("Patient/1/2")),
            ("Patient/a_b", Reference::Other("Patient/a_b")),
            ("http://a.org/ValueSet/x|1.0", Reference::Other("http://a.org/ValueSet/x|1.0")),
            ("", Reference::Other("")),
        ];
        for (text, wanted) in rows {
            assert_eq!(Reference::parse(text), wanted, "{text}");
        }
    }
}
