//! Searches of a compartment: <https://hl7.org/fhir/R4/compartmentdefinition.html>

use std::sync::Arc;

use fhir_model::{Error, Key, Result};

use super::{Filter, Modifier, Query, SearchTerm, Subject};
use crate::param::Param;
use crate::reference;
use crate::registry::Registry;

impl Query {
    /// Adds the condition of a compartment: `Patient/1/Observation` is what refers to `Patient/1` by one of the
    /// compartment's parameters. <https://hl7.org/fhir/R4/compartmentdefinition.html>
    ///
    /// # Errors
    ///
    /// `NotFound` when resources of the type are in no compartment of that kind.
    pub fn in_compartment(mut self, registry: &Registry, compartment: &Key) -> Result<Query> {
        let this = registry.for_type(&self.type_name)?;
        let codes = registry.compartments().for_resource(&compartment.type_name, &self.type_name);
        let Some(codes) = codes.filter(|c| !c.is_empty()) else {
            return Err(Error::not_found(format!(
                "{} in the {} compartment",
                self.type_name, compartment.type_name
            )));
        };
        if codes.iter().any(|c| **c == *"{def}") {
            let id = Filter {
                subject: Subject::Id,
                modifier: Modifier::None,
                terms: vec![SearchTerm::Id(compartment.id.to_string())],
            };
            self.filters.push(id);
            return Ok(self);
        }
        let params: Vec<Arc<Param>> = codes.iter().filter_map(|c| this.param(c).cloned()).collect();
        self.filters.push(Filter {
            subject: Subject::Compartment(params),
            modifier: Modifier::None,
            terms: vec![SearchTerm::Reference(reference::ReferenceTerm::Local(compartment.clone()))],
        });
        Ok(self)
    }
}
