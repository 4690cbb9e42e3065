//! What a reference points at, as its text and its `type` say.

use std::borrow::Cow;

use fhir_model::Key;
use fhir_model::json::Ref;

use crate::bases::Bases;
use crate::embedded::Container;

/// What the text of a reference points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedReference {
    /// A resource of this server.
    Local(Key),
    /// Somewhere else.
    Uri(String),
}

impl ParsedReference {
    /// Reads `Type/id`, `Type/id/_history/v`, an absolute url or a urn. Returns `None` for `#contained`.
    pub fn parse(text: &str, bases: &Bases) -> Option<ParsedReference> {
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let mut parts = bases.below(text).unwrap_or(text).split('/');
        if let (Some(type_name), Some(id), history) = (parts.next(), parts.next(), parts.next())
            && matches!(history, None | Some("_history"))
            && is_type(type_name)
            && Key::is_id(id)
        {
            return Some(ParsedReference::Local(Key::new(type_name, id)));
        }
        Some(ParsedReference::Uri(text.to_owned()))
    }
}

/// True for what may be the name of a type.
fn is_type(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// The type of what a Reference leads to: that of the resource within the same document, the one that its text names, or
/// the one that it says beside it. `None`, where it says none.
pub(crate) fn target_type<'d>(reference: Ref<'d>, within: &Container<'d>) -> Option<Cow<'d, str>> {
    let text = reference.get_str("reference");
    if let Some((resource, _)) = text.as_deref().and_then(|text| within.find(text)) {
        return resource.get_str("resourceType");
    }
    let named = text.as_deref().and_then(named_type).map(|name| name.to_owned().into());
    named.or_else(|| said_type(reference).map(|said| String::from(said).into()))
}

/// `Reference.type`: a name, or the url of the definition of a type.
pub(super) fn said_type(reference: Ref<'_>) -> Option<Box<str>> {
    let said = reference.get_str("type")?;
    Some(said.strip_prefix("http://hl7.org/fhir/StructureDefinition/").unwrap_or(&said).into())
}

/// The type that the url of a resource names: `Patient` in `http://them/fhir/Patient/1/_history/2`.
pub(super) fn named_type(text: &str) -> Option<&str> {
    let mut parts = text.split("/_history/").next()?.rsplit('/');
    let (_, type_name) = (parts.next()?, parts.next()?);
    is_type(type_name).then_some(type_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let local = |t: &str, i: &str| Some(ParsedReference::Local(Key::new(t, i)));
        let uri = |t: &str| Some(ParsedReference::Uri(t.into()));
        let rows = [
            ("Patient/1", local("Patient", "1")),
            ("Patient/1/_history/3", local("Patient", "1")),
            ("http://us/fhir/Patient/1", local("Patient", "1")),
            ("https://us.org/Patient/1/_history/2", local("Patient", "1")),
            ("http://them/fhir/Patient/1", uri("http://them/fhir/Patient/1")),
            ("http://usfhir/Patient/1", uri("http://usfhir/Patient/1")),
            ("urn:uuid:0", uri("urn:uuid:0")),
            ("#p1", None),
            ("1", uri("1")),
        ];
        let bases = Bases::new(["http://us/fhir", "https://us.org"]);
        for (text, target) in rows {
            assert_eq!(ParsedReference::parse(text, &bases), target, "{text}");
        }
    }
}
