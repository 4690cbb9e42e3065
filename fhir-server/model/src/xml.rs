//! The XML face of the JSON tree: <https://hl7.org/fhir/R4/xml.html>
//!
//! XML says less than JSON: whether an element repeats, and whether `1` is a number, stands only in the type
//! definitions. So both directions walk the definitions beside the document, and refuse what those do not know.
//!
//! **Invariant:** nothing outside the document is ever read. DOCTYPE, entities other than XML's own five, processing
//! instructions and foreign namespaces (XInclude among them) are refused, never interpreted.

mod element;
mod entities;
mod narrative;
mod object;
mod path;
mod read;
mod write;

use crate::json::{JsonLimits, Ref, is_allowed};
use crate::types::Types;
use crate::{Error, Result};

/// Turns a resource in XML into its compact JSON text, `resourceType` first. Narrative keeps its text to the byte.
///
/// `limits.depth_max` bounds the nesting of XML elements.
///
/// # Errors
///
/// `Structure` when the text is longer than `limits.bytes_max`, is not well-formed XML in UTF-8, nests too deep, or
/// has an element or attribute that FHIR does not know where it stands.
pub fn to_json(xml: &[u8], types: &dyn Types, limits: JsonLimits) -> Result<String> {
    if xml.len() > limits.bytes_max {
        return Err(Error::structure("not valid XML: longer than allowed"));
    }
    let Ok(text) = std::str::from_utf8(xml) else {
        return Err(Error::structure("not valid XML: not UTF-8"));
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(bad) = text.chars().find(|c| !is_allowed(*c)) {
        return Err(Error::structure(format!(
            "not valid XML: the character {} is not allowed",
            bad.escape_unicode()
        )));
    }
    read::document(text, types, limits.depth_max)
}

/// Writes a resource as XML, its elements in the order of their definition.
///
/// Fails, as [`crate::Kind::NotAcceptable`], on what XML cannot carry: an element FHIR does not know (its place in the
/// order is unknown too), a control character, a narrative that is not well-formed.
///
/// # Errors
///
/// `NotAcceptable` for what XML cannot carry: an element that FHIR does not know (its position is unknown too), a
/// control character, a narrative that is not well-formed.
pub fn from_json(resource: Ref<'_>, types: &dyn Types) -> Result<String> {
    write::document(resource, types, write::Layout::Compact)
}

/// The same with each element on a line of its own. Narrative stays as it is: white space has a meaning there.
///
/// # Errors
///
/// As [`from_json`].
pub fn indented(resource: Ref<'_>, types: &dyn Types) -> Result<String> {
    write::document(resource, types, write::Layout::Indented)
}

#[cfg(test)]
mod tests;
