//! All search parameters of all types, compiled.

pub(crate) mod compile;
mod composites;
pub(crate) mod extract;
mod live;
mod texts;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use fhir_model::Result;
use fhir_model::json::Ref;
use fhir_profiles::Definitions;

use self::live::CustomParameters;
pub use self::live::Set;
use crate::compartments::Compartments;
use crate::composite::{Composite, Element};
use crate::custom::Progress;
use crate::embedded::Container;
use crate::parameters::{Parameter, ParameterKind, Parameters};
use crate::path::{Step, Trie};

/// Which column of the resource's row an index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing: keys and entries only.
    Plain,
    /// The primary date.
    PrimaryDate,
    /// The primary code.
    PrimaryCode,
    /// The patient.
    Patient,
}

/// One branch of one or more parameters: what is stored. Parameters that share a branch share its entries
/// (`patient` and `subject`, `combo-code` and `code`).
#[derive(Debug)]
pub struct Index {
    /// Part of its keys.
    pub name: Box<str>,
    /// How its values are compared.
    pub kind: ParameterKind,
    /// Its column.
    pub role: Role,
    /// The FHIR types of its values.
    pub types: Vec<Box<str>>,
    /// True when its values are codes, strings, booleans: tokens without a system in the data.
    pub plain: bool,
    /// True for identifiers: tokens that are expected to be rare.
    pub identifies: bool,
    /// The system that the binding of a `code` element implies.
    pub implied_system: Option<Box<str>>,
    /// True when the value is whether there is one: `deceased`.
    pub truth: bool,
    /// A search of several words asks for each of them: names, addresses, and what names are made of. All but addresses are
    /// found by each of their words, too.
    pub words: bool,
    /// Its names are found by how they sound, too.
    pub sounds: bool,
    /// The parts of a composite, where it is one of elements.
    pub element: Option<Element>,
    /// It is a part of a composite: its entries are only combined.
    pub part: bool,
    /// Whether `system|` may be asked for, whatever the code.
    pub systems: bool,
    steps: Vec<Step>,
}

/// A search parameter of one type.
#[derive(Debug)]
pub struct Param {
    /// `code`, `birthdate` ...
    pub code: Box<str>,
    /// Part of the hash of its own keys: the code, and for a parameter that was added at runtime a number that no other has.
    pub name: Box<str>,
    /// Its type.
    pub kind: ParameterKind,
    /// Number of the resource type.
    pub type_number: u16,
    /// Where its values are.
    pub indexes: Vec<Arc<Index>>,
    /// Its bit in `present`; `None` when presence is an index hash instead.
    pub bit: Option<u8>,
    /// Only references to this type count (`patient` over `subject`).
    pub only_target: Option<Box<str>>,
    /// How it is put together, when it is a composite.
    pub composite: Option<Composite>,
    /// Types it may point at.
    pub targets: Vec<Box<str>>,
    /// Its definition.
    pub definition: Arc<Parameter>,
    /// While old resources are not all indexed by it: how far that is.
    pub building: Option<Arc<Progress>>,
}

/// Names are unique within a type.
impl PartialEq for Index {
    fn eq(&self, other: &Index) -> bool {
        (&self.name, self.kind) == (&other.name, other.kind)
    }
}

impl Eq for Index {}

impl Index {
    /// True when some of its values are canonical urls.
    pub fn has_canonicals(&self) -> bool {
        self.kind == ParameterKind::Reference && self.has_type(&["canonical", "uri", "url"])
    }

    /// True for the canonical urls that resources have themselves.
    pub(crate) fn is_own_url(&self) -> bool {
        matches!(self.steps.as_slice(), [Step::Field(name)] if **name == *"url")
    }

    /// True when some of its values are found by a version, too.
    pub(crate) fn has_versions(&self) -> bool {
        self.is_own_url() || self.has_type(&["canonical"])
    }

    /// True when its values are resources, which stand where references would.
    pub(crate) fn is_embedded(&self) -> bool {
        !self.types.is_empty() && self.types.iter().all(|name| **name == *"Resource")
    }

    /// True when some of its values are of one of these types.
    pub fn has_type(&self, names: &[&str]) -> bool {
        self.types.iter().any(|t| names.contains(&&**t))
    }
}

impl Param {
    /// True when it was added at runtime.
    pub(crate) fn is_added(&self) -> bool {
        self.name != self.code
    }

    /// True when what it leads to stands within the resource, always.
    pub fn is_embedded(&self) -> bool {
        !self.indexes.is_empty() && self.indexes.iter().all(|index| index.is_embedded())
    }

    /// True when it may refer to resources of the type.
    pub fn leads_to(&self, type_name: &str) -> bool {
        match &self.only_target {
            Some(only) => **only == *type_name,
            None => {
                self.targets.is_empty()
                    || self.targets.iter().any(|t| **t == *type_name || &**t == "Resource")
            }
        }
    }

    /// True when some of its values are of one of these types.
    pub fn has_type(&self, names: &[&str]) -> bool {
        self.indexes.iter().any(|i| i.has_type(names))
    }
}

/// The parameters of one type.
#[derive(Debug)]
pub struct TypeSearch {
    /// The type.
    pub type_name: Box<str>,
    /// Its number.
    pub number: u16,
    params: Vec<Arc<Param>>,
    indexes: Vec<Arc<Index>>,
    /// Per index: the parameters over it.
    users: Vec<Vec<usize>>,
    /// Composites of the whole resource, by parameter: the indexes of each part.
    wholes: Vec<(usize, Vec<Vec<usize>>)>,
    /// The indexes of quantities that are entries under the primary codes, too: R4 has a composite of both.
    pub(crate) code_quantities: Vec<Arc<Index>>,
    trie: Trie,
}

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

impl TypeSearch {
    /// The parameter of a code.
    pub fn param(&self, code: &str) -> Option<&Arc<Param>> {
        self.params.binary_search_by(|p| (*p.code).cmp(code)).ok().and_then(|i| self.params.get(i))
    }

    /// All parameters, by code.
    pub fn params(&self) -> &[Arc<Param>] {
        &self.params
    }

    /// All indexes.
    pub fn indexes(&self) -> &[Arc<Index>] {
        &self.indexes
    }

    /// True when a parameter over the index with the number may lead to resources of the type.
    pub(crate) fn leads_to(&self, leaf: usize, type_name: &str) -> bool {
        let users = self.users.get(leaf).into_iter().flatten();
        users.filter_map(|user| self.params.get(*user)).any(|param| param.leads_to(type_name))
    }

    /// Visits every value of every index of a resource of the type, with the parameters over it, in one traversal.
    pub(crate) fn walk_with_users<'d>(
        &self,
        resource: Ref<'d>,
        within: Container<'d>,
        visit: &mut dyn FnMut(&mut dyn Iterator<Item = &Param>, Ref<'d>, &str),
    ) {
        self.trie.walk(resource, &within, &mut |leaf, value, value_type| {
            let users = self.users.get(leaf).into_iter().flatten();
            visit(
                &mut users.filter_map(|user| self.params.get(*user)).map(|param| &**param),
                value,
                value_type,
            );
        });
    }

    /// Visits every value of every index of a resource of the type, with the value's type, in one traversal.
    pub fn walk<'d>(&self, resource: Ref<'d>, visit: &mut dyn FnMut(&Arc<Index>, Ref<'d>, &str)) {
        self.trie.walk(resource, &Container::new(resource), &mut |leaf, value, value_type| {
            if let Some(index) = self.indexes.get(leaf) {
                visit(index, value, value_type);
            }
        });
    }
}

#[cfg(test)]
mod tests;
