//! Which elements may speak of another entry: <https://hl7.org/fhir/R4/http.html#trules>
//!
//! A reference does, and so do the links of the narrative and the address of an Attachment, which may be relative like
//! a reference. A canonical never does. Of the other uris most identify something (a resource's own `url`,
//! `Extension.url`, every `system`, `Meta.source`, `instantiatesUri`), and what identifies is never changed. What is left
//! are addresses (elements of the type url) and values that mean whatever they are sent as (`value[x]`): they are links
//! where they say the `urn:uuid:` or `urn:oid:` of an entry, as outside of the Bundle such a name leads nowhere.

use fhir_model::json::Ref;
use fhir_model::types::Element;
use fhir_profiles::Definitions;

/// The kinds of link that a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkKind {
    /// `Reference.reference`: every link, and search criteria.
    Reference,
    /// Every link.
    Address,
    /// A link when it begins with `urn:`.
    Urn,
    /// XHTML with links in it.
    Narrative,
    /// No link, whatever it looks like.
    Never,
    /// The element is not defined, or not known: a patch does not say what is in `contained`.
    Unknown,
}

/// The kind of link of the value at these steps below a type. `names` come first, then members with their
/// values.
pub(super) fn link_kind(
    types: &Definitions,
    from: &str,
    names: &[String],
    path: &[(Ref<'_>, Ref<'_>)],
) -> LinkKind {
    let mut at = from.to_owned();
    let mut kind = LinkKind::Unknown;
    let names = names.iter().map(|name| (name.into(), None));
    let members = path.iter().map(|(member, value)| (member.key(), Some(value)));
    for (name, value) in names.chain(members) {
        // What is in a Bundle within the Bundle (a document, a message) is as its author made it; what is fixed or a
        // pattern in a definition is compared with other texts.
        if matches!(at.as_str(), "Bundle" | "ElementDefinition") {
            return LinkKind::Never;
        }
        let plain = name.strip_prefix('_').unwrap_or(&name);
        let Some((element, of)) = types.json_element(&at, plain) else { return LinkKind::Unknown };
        kind = kind_of(&at, element, of);
        at = match (of, value) {
            // The extensions of a primitive.
            _ if plain.len() < name.len() => "Element".to_owned(),
            ("Resource", Some(value)) => {
                value.get_str("resourceType").map(|t| t.into_owned()).unwrap_or_default()
            }
            (of, _) => of.to_owned(),
        };
    }
    kind
}

fn kind_of(holder: &str, element: &Element, of: &str) -> LinkKind {
    match (holder, &*element.name, of) {
        ("Reference", "reference", _) => LinkKind::Reference,
        ("Narrative", "div", _) => LinkKind::Narrative,
        ("Attachment", "url", _) => LinkKind::Address,
        (_, _, "url") => LinkKind::Urn,
        (_, "value", "uri" | "oid" | "uuid") if element.choice => LinkKind::Urn,
        _ => LinkKind::Never,
    }
}
