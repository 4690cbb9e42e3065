//! All search parameters of all types, compiled.

mod build;
pub(crate) mod compile;
mod composites;
mod extract;
pub mod index_change;
mod live;
mod pending;
mod sets;
mod texts;
mod type_search;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use fhir_model::Result;
use fhir_profiles::Definitions;

use self::sets::CustomParameters;
pub use self::sets::Set;
pub use self::type_search::TypeSearch;
use crate::compartments::Compartments;
pub use crate::param::{Index, Param, Role};
use crate::parameters::Parameters;

/// Every type's parameters: those of R4, and those that were added to it at runtime.
pub struct Registry {
    base: Arc<Base>,
    live: RwLock<Arc<CustomParameters>>,
}

/// What never changes while the server runs.
struct Base {
    definitions: Arc<Definitions>,
    parameters: Parameters,
    compartments: Compartments,
    types: HashMap<Box<str>, Arc<TypeSearch>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({} types)", self.base.types.len())
    }
}

impl Registry {
    /// Compiles the parameters of R4.
    ///
    /// # Errors
    ///
    /// When the committed data cannot be decoded, or a definition of R4 does not compile: a defect of the build.
    pub fn load(definitions: Arc<Definitions>) -> Result<Registry> {
        let parameters = Parameters::load()?;
        let compartments = Compartments::load()?;
        let mut types = HashMap::new();
        for type_name in definitions.resource_types() {
            let this = TypeSearch::compile(type_name, &definitions, &parameters, &[])?;
            types.insert(Box::from(type_name), Arc::new(this));
        }
        let base = Arc::new(Base { definitions, parameters, compartments, types });
        Ok(Registry { base, live: RwLock::default() })
    }

    /// The definitions it was compiled with.
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.base.definitions
    }

    /// The parameters of R4 as data.
    pub fn parameters(&self) -> &Parameters {
        &self.base.parameters
    }

    /// The compartments.
    pub fn compartments(&self) -> &Compartments {
        &self.base.compartments
    }

    /// The parameters of a type, as searches know them.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown type.
    pub fn for_type(&self, type_name: &str) -> Result<Arc<TypeSearch>> {
        self.for_set(type_name, Set::Searched)
    }

    /// The number of a type.
    pub fn number(&self, type_name: &str) -> Option<u16> {
        self.base.types.get(type_name).map(|t| t.number)
    }
}

#[cfg(test)]
mod tests;
