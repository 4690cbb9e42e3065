//! Elements of FHIR in XML: what a tag or an attribute means within a type.

use crate::types::{Element, Types};

pub(super) const FHIR: &str = "http://hl7.org/fhir";
pub(super) const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// What a JSON key or XML tag means within a type.
pub(super) struct ElementType<'t> {
    /// Place in the order of the definition.
    pub(super) order: usize,
    pub(super) element: &'t Element,
    /// The type: for `valueQuantity` the one the name says.
    pub(super) type_name: &'t str,
}

impl<'t> ElementType<'t> {
    /// Of a key or tag; `None` where the type has no such element.
    pub(super) fn find(types: &'t dyn Types, type_name: &str, name: &str) -> Option<ElementType<'t>> {
        types.elements(type_name).iter().enumerate().find_map(|(order, element)| {
            let rest = name.strip_prefix(&*element.name)?;
            let type_name = if element.choice {
                element.types.iter().find(|t| is_capitalised(rest, t))?
            } else if rest.is_empty() {
                element.types.first()?
            } else {
                return None;
            };
            Some(ElementType { order, element, type_name })
        })
    }

    /// Any resource may stand here, in a tag of its own: `contained`, `Bundle.entry.resource`.
    pub(super) fn is_resource(&self) -> bool {
        self.type_name == "Resource"
    }

    /// `Narrative.div`.
    pub(super) fn is_xhtml(&self) -> bool {
        self.type_name == "xhtml"
    }

    pub(super) fn is_primitive(&self, types: &dyn Types) -> bool {
        // `id` has a type of FHIRPath's in its StructureDefinition, not one of FHIR's.
        types.is_primitive(self.type_name)
            || self.type_name.ends_with("/System.String")
            || self.type_name == "System.String"
    }
}

/// XML attributes among the elements: `id` of everything but resources, and `Extension.url`.
pub(super) fn is_attribute(types: &dyn Types, type_name: &str, name: &str) -> bool {
    match name {
        "id" => !types.is_resource(type_name),
        "url" => type_name == "Extension",
        _ => false,
    }
}

/// True when `text` is the type's name with a capital first: `DateTime` for `dateTime`.
fn is_capitalised(text: &str, type_name: &str) -> bool {
    let (mut text, mut type_name) = (text.chars(), type_name.chars());
    text.next() == type_name.next().map(|c| c.to_ascii_uppercase()) && text.as_str() == type_name.as_str()
}
