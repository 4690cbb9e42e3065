//! CompartmentDefinitions as data: which resources belong to a patient, an encounter ...
//!
//! <https://hl7.org/fhir/R4/compartmentdefinition.html>

use std::collections::HashMap;

use fhir_model::{Error, Result};
use serde::Deserialize;

/// Made by `cargo xtask definitions`.
const DATA: &str = include_str!("../data/compartments.json");

/// The five compartments of R4.
#[derive(Debug, Clone)]
pub struct Compartments {
    all: Vec<Compartment>,
}

/// One compartment.
#[derive(Debug, Clone, Deserialize)]
pub struct Compartment {
    /// Its name, which is the type of the resource it is around: `Patient`.
    pub code: Box<str>,
    /// Canonical URL of its definition.
    pub url: Box<str>,
    /// By resource type: the reference parameters of which one must lead to the resource it is around.
    resource: HashMap<Box<str>, Vec<Box<str>>>,
}

impl Compartments {
    /// Decodes those of R4.
    ///
    /// # Errors
    ///
    /// When the committed data cannot be decoded: a defect of the build.
    pub fn load() -> Result<Compartments> {
        Ok(Compartments { all: serde_json::from_str(DATA).map_err(Error::internal)? })
    }

    /// All compartments, by code.
    pub fn all(&self) -> &[Compartment] {
        &self.all
    }

    /// The compartment of a code.
    pub fn get(&self, compartment: &str) -> Option<&Compartment> {
        self.all.iter().find(|c| *c.code == *compartment)
    }

    /// The parameters that put resources of a type into a compartment. Returns `None` when the type is not part of it.
    pub fn for_resource(&self, compartment: &str, resource_type: &str) -> Option<&[Box<str>]> {
        self.get(compartment)?.for_resource(resource_type)
    }
}

impl Compartment {
    /// The parameters that put resources of a type into this compartment; `{def}` is the resource it is around, itself.
    pub fn for_resource(&self, resource_type: &str) -> Option<&[Box<str>]> {
        self.resource.get(resource_type).map(Vec::as_slice)
    }

    /// The types that can be in it, sorted.
    pub fn resource_types(&self) -> Vec<&str> {
        let mut types: Vec<&str> = self.resource.keys().map(|name| &**name).collect();
        types.sort_unstable();
        types
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{ParameterKind, Parameters};

    #[test]
    fn who_is_in_which_compartment() {
        const ROWS: &[(&str, &str, Option<&[&str]>)] = &[
            ("Patient", "Observation", Some(&["subject", "performer"])),
            ("Patient", "Patient", Some(&["link"])),
            ("Patient", "Appointment", Some(&["actor"])),
            ("Patient", "Medication", None),
            ("Encounter", "Observation", Some(&["encounter"])),
            ("Encounter", "Encounter", Some(&["{def}"])),
            ("Device", "Observation", Some(&["subject", "device"])),
            ("Practitioner", "Observation", Some(&["performer"])),
            ("RelatedPerson", "Observation", Some(&["performer"])),
            ("Organization", "Observation", None),
        ];
        let compartments = Compartments::load().unwrap();
        for (compartment, resource_type, expected) in ROWS {
            let found = compartments.for_resource(compartment, resource_type);
            let found: Option<Vec<&str>> = found.map(|params| params.iter().map(|p| &**p).collect());
            assert_eq!(found.as_deref(), *expected, "{compartment} {resource_type}");
        }
    }

    #[test]
    fn there_are_five() {
        let compartments = Compartments::load().unwrap();
        let codes: Vec<&str> = compartments.all().iter().map(|c| &*c.code).collect();
        assert_eq!(codes, ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"]);
        assert_eq!(compartments.get("Patient").unwrap().resource_types().len(), 66);
    }

    #[test]
    fn they_name_reference_parameters_of_their_types() {
        let parameters = Parameters::load().unwrap();
        for compartment in Compartments::load().unwrap().all() {
            for resource_type in compartment.resource_types() {
                for code in
                    compartment.for_resource(resource_type).unwrap().iter().filter(|c| ***c != *"{def}")
                {
                    let parameter = parameters.get(resource_type, code);
                    let kind = parameter.map(|p| p.kind);
                    assert_eq!(
                        kind,
                        Some(ParameterKind::Reference),
                        "{} {resource_type} {code}",
                        compartment.code
                    );
                }
            }
        }
    }
}
