//! A search parameter as data: where its values are, and how they are compared. How each type of parameter compares them
//! stands in a file of its own (`token.rs`, `date.rs` ..).

use std::sync::Arc;

use crate::custom::Progress;
use crate::parameters::{Parameter, ParameterKind};
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
    /// Where its values stand in a resource.
    pub(crate) steps: Vec<Step>,
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

/// How a composite parameter is put together.
#[derive(Debug)]
pub struct Composite {
    /// Its parts, for reading what is asked: alike wherever they stand.
    pub parts: Vec<Arc<Param>>,
    /// The same composite on whole resources, where that is one of its contexts: parts over R4's indexes, and
    /// over the composite's own where R4 has none.
    pub whole: Option<Vec<Arc<Param>>>,
}

impl Composite {
    /// The parameter of a quantity that it puts beside the primary code of whole resources.
    pub(crate) fn quantity_by_code(&self) -> Option<&str> {
        let [code, quantity] = self.whole.as_deref()? else { return None };
        let [index] = code.indexes.as_slice() else { return None };
        let found = index.role == Role::PrimaryCode && quantity.kind == ParameterKind::Quantity;
        found.then_some(&*quantity.definition.code)
    }
}

/// The parts of a composite within one element.
#[derive(Debug)]
pub struct Element {
    /// The parts, each with one index, whose entries are only combined.
    pub parts: Vec<Arc<Param>>,
    /// Values seen from the element; leaves are the numbers of parts.
    pub(crate) here: Trie,
    /// Values seen from the resource (`%resource.referenceSeq`).
    pub(crate) of_resource: Trie,
}
