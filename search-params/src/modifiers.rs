//! Which modifiers a parameter takes: <https://hl7.org/fhir/R4/search.html#modifiers>
//!
//! The one list: searches are read by it, and the CapabilityStatement states it.

use crate::param::Param;
use crate::parameters::ParameterKind;
use crate::query::Modifier;

impl Param {
    /// The modifiers it takes. A reference takes the names of the types it may refer to besides.
    pub fn modifiers(&self) -> Vec<(&'static str, Modifier)> {
        let mut all = vec![("missing", Modifier::Missing)];
        let mut also = |holds: bool, some: &[(&'static str, Modifier)]| {
            if holds {
                all.extend_from_slice(some);
            }
        };
        let versions = [("above", Modifier::Above), ("below", Modifier::Below)];
        match self.kind {
            // How a word sounds is neither exact nor part of it.
            ParameterKind::String if self.is_phonetic() => {}
            ParameterKind::String => {
                also(true, &[("exact", Modifier::Exact), ("contains", Modifier::Contains)]);
            }
            ParameterKind::Token => {
                also(true, &[("not", Modifier::Not)]);
                also(
                    self.has_type(&["CodeableConcept", "Coding", "Identifier"]),
                    &[("text", Modifier::Text)],
                );
                // Identifiers and booleans are in no code system.
                let coded = !self.indexes.iter().all(|i| i.identifies || i.truth);
                also(coded, &[("in", Modifier::In), ("not-in", Modifier::NotIn)]);
                also(coded, &versions);
                also(self.has_type(&["Identifier"]), &[("of-type", Modifier::OfType)]);
            }
            ParameterKind::Reference => {
                also(!self.is_canonical() && !self.is_embedded(), &[("identifier", Modifier::Identifier)]);
                also(self.has_type(&["canonical", "uri"]), &versions);
            }
            ParameterKind::Uri => also(true, &versions),
            _ => {}
        }
        all
    }

    /// True for references that are canonical urls, all of them: they are no literal references, and have no identifier.
    pub fn is_canonical(&self) -> bool {
        let is_url = |name: &str| matches!(name, "canonical" | "uri");
        self.kind == ParameterKind::Reference
            && !self.indexes.is_empty()
            && self
                .indexes
                .iter()
                .all(|index| !index.types.is_empty() && index.types.iter().all(|name| is_url(name)))
    }
}
