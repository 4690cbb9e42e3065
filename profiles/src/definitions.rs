//! All definitions of one FHIR version, and the questions asked of them.

use fhir_model::types::{Element, Types};
use fhir_model::{Error, Result};
use foldhash::HashMap;

use crate::archive::Archive;
use crate::code_system::CodeSystem;
use crate::invariant::Invariant;
use crate::structure::{self, Structure};
use crate::value_set::ValueSet;

const TYPES: &[u8] = include_bytes!("../data/types.ndjson.zst");
/// One name a line; the line is the type's number. Lines are only ever added.
const RESOURCE_TYPES: &str = include_str!("../data/resource-types.txt");

/// FHIR R4. Types are decoded by [`Definitions::load`]; a code system or value set when first asked for.
pub struct Definitions {
    types: HashMap<Box<str>, Structure>,
    resource_types: Vec<Box<str>>,
    numbered: Vec<&'static str>,
    code_systems: Archive<CodeSystem>,
    value_sets: Archive<ValueSet>,
}

impl std::fmt::Debug for Definitions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Definitions({} types)", self.types.len())
    }
}

impl Definitions {
    /// Decodes the types of R4: some milliseconds.
    ///
    /// # Errors
    ///
    /// When the committed data cannot be decoded: a defect of the build.
    pub fn load() -> Result<Definitions> {
        let numbered: Vec<&'static str> = RESOURCE_TYPES.lines().collect();
        let mut types = structure::decode(TYPES)?;
        for (name, number) in numbered.iter().zip(1..) {
            // A type that is gone keeps its number and has no structure.
            if let Some(structure) = types.get_mut(*name) {
                structure.number = Some(number);
            }
        }
        let mut resource_types: Vec<Box<str>> =
            types.iter().filter(|(_, t)| t.concrete_resource).map(|(name, _)| name.clone()).collect();
        resource_types.sort_unstable();
        for name in &resource_types {
            if !numbered.contains(&&**name) {
                return Err(Error::internal(format!("resource type {name} has no number")));
            }
        }
        Ok(Definitions {
            types,
            resource_types,
            numbered,
            code_systems: Archive::new(
                include_bytes!("../data/code-systems.ndjson.zst"),
                include_str!("../data/code-systems.index.txt"),
            ),
            value_sets: Archive::new(
                include_bytes!("../data/value-sets.ndjson.zst"),
                include_str!("../data/value-sets.index.txt"),
            ),
        })
    }

    /// The concrete resource types, sorted.
    pub fn resource_types(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.resource_types.iter().map(|name| &**name)
    }

    /// All types: resources, data types, and backbone elements by path; in no order.
    pub fn type_names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(|name| &**name)
    }

    /// The number of a resource type: from 1, never changing, never given to another type.
    pub fn type_number(&self, name: &str) -> Option<u16> {
        self.types.get(name)?.number
    }

    /// The resource type of a number.
    pub fn type_name(&self, number: u16) -> Option<&str> {
        self.numbered.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The resource types that have numbers, in their order.
    pub fn numbered(&self) -> impl Iterator<Item = &str> {
        self.numbered.iter().copied()
    }

    /// The element behind a JSON key, and its type: `valueQuantity` is `value` as `Quantity`, `birthDate` is
    /// `birthDate` as `date`. A key with `_` before it is the caller's to strip.
    pub fn json_element(&self, type_name: &str, key: &str) -> Option<(&Element, &str)> {
        self.types.get(type_name)?.json_element(key)
    }

    /// The invariants of a type, its own first, then those of the types it specialises. What stands on the types of its
    /// elements is with those types.
    pub fn invariants<'a>(&'a self, type_name: &str) -> impl Iterator<Item = &'a Invariant> + use<'a> {
        let first = self.types.get(type_name);
        let line = std::iter::successors(first, |structure| self.types.get(structure.base.as_deref()?));
        line.flat_map(|structure| &structure.invariants)
    }

    /// The regular expression that the text of a primitive must match as a whole.
    pub fn regex(&self, primitive: &str) -> Option<&str> {
        self.types.get(primitive)?.regex.as_deref()
    }

    /// The one system that the codes of a `code` element come from: known when its binding is required, and all codes of
    /// the value set are of one code system.
    pub fn system_of_code_element(&self, type_name: &str, element: &str) -> Option<&str> {
        self.types.get(type_name)?.system_of(element)
    }

    /// A code system by its canonical URL, without version.
    ///
    /// # Errors
    ///
    /// When the committed data cannot be decoded: a defect of the build.
    pub fn code_system(&self, url: &str) -> Result<Option<&CodeSystem>> {
        self.code_systems.get(url)
    }

    /// A value set by its canonical URL, without version.
    ///
    /// # Errors
    ///
    /// When the committed data cannot be decoded: a defect of the build.
    pub fn value_set(&self, url: &str) -> Result<Option<&ValueSet>> {
        self.value_sets.get(url)
    }

    /// The URLs of all code systems, sorted.
    pub fn code_system_urls(&self) -> impl Iterator<Item = &str> {
        self.code_systems.urls()
    }

    /// The URLs of all value sets, sorted.
    pub fn value_set_urls(&self) -> impl Iterator<Item = &str> {
        self.value_sets.urls()
    }
}

impl Types for Definitions {
    fn element(&self, type_name: &str, name: &str) -> Option<&Element> {
        self.types.get(type_name)?.element(name)
    }

    fn elements(&self, type_name: &str) -> &[Element] {
        self.types.get(type_name).map_or(&[], |structure| &structure.elements)
    }

    fn base(&self, type_name: &str) -> Option<&str> {
        self.types.get(type_name)?.base.as_deref()
    }

    fn is_resource(&self, type_name: &str) -> bool {
        self.types.get(type_name).is_some_and(|structure| structure.concrete_resource)
    }

    fn is_primitive(&self, type_name: &str) -> bool {
        self.types.get(type_name).is_some_and(|structure| structure.primitive)
    }
}

#[cfg(test)]
mod tests;
