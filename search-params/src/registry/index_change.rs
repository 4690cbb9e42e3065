//! What a format of the index changes of the entries of resources, and which search parameters rely on them.
//!
//! While some resources still have the entries of the format before, what relies on a changed parameter is refused: it would miss
//! them. A type is searched by it as soon as all its resources have the new entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fhir_model::json::Ref;
use fhir_model::{Error, Kind, Result};

use super::type_search::TypeSearch;
use crate::custom::Progress;
use crate::index_hash::IndexHasher;
use crate::param::{Index, Param};
use crate::rows::Rows;
use crate::settings::IndexSettings;

/// Whether a parameter of a type leaves other entries, or is present in other resources.
pub type IsChanged = fn(type_name: &str, param: &Param) -> bool;

/// The ordered and text entries that the format before made of a resource and this one does not.
pub type Former = fn(&FormerEntries<'_>) -> Result<Rows>;

/// What a format of the index changes, compared with the one before.
#[derive(Debug, Clone, Copy)]
pub enum IndexChange {
    /// Entries that are not those of single search parameters, such as what each resource refers to.
    Everything,
    /// The entries of some search parameters.
    Parameters {
        /// Which ones: it is asked of those that were added at runtime and of the parts of composites, too. Where a type gets or
        /// loses a parameter, the bits that say which ones a resource has are others: then all of the type are changed.
        changed: IsChanged,
        /// What is to be taken away, where no migration deletes it. A few entries that were never made do no harm; all that were
        /// must be among these.
        former: Option<Former>,
    },
}

impl IndexChange {
    /// What names the entries that are not made any more.
    pub fn former(&self) -> Option<Former> {
        match self {
            IndexChange::Everything => None,
            IndexChange::Parameters { former, .. } => *former,
        }
    }
}

/// A resource that has entries of the format before, and what they depend on.
#[derive(Debug)]
#[expect(missing_docs, reason = "as extraction has them")]
pub struct FormerEntries<'a> {
    pub search: &'a TypeSearch,
    pub hasher: &'a IndexHasher,
    pub settings: &'a IndexSettings,
    pub resource: Ref<'a>,
    /// What this format makes of it.
    pub rows: &'a Rows,
}

/// Changes that not all resources have yet.
#[derive(Debug, Clone)]
pub struct PendingChange {
    /// What changes.
    pub changes: Vec<IndexChange>,
    /// The types of which some resources need not have the new entries, and the share of those that have.
    pub types: BTreeMap<Box<str>, Arc<Progress>>,
    /// The version of the search parameters as which their scans were requested.
    pub since: i64,
}

/// The parameters that rely on changed entries, by type.
pub(crate) type ChangedCodes = BTreeMap<Box<str>, BTreeSet<Box<str>>>;

/// Which resources a change concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concerned {
    /// All of them, and so much relies on the entries that nothing can be answered before.
    All,
    /// Those of these types.
    Types(BTreeSet<Box<str>>),
}

/// The parameters of these types that rely on changed entries.
pub(crate) fn changed_codes(types: &[Arc<TypeSearch>], changes: &[IndexChange]) -> ChangedCodes {
    let of_type = |this: &Arc<TypeSearch>| (this.type_name.clone(), this.codes_relying_on(changes));
    types.iter().map(of_type).filter(|(_, codes)| !codes.is_empty()).collect()
}

/// What is said of a parameter while not all resources are indexed by it.
pub(crate) fn being_indexed(code: &str, progress: &Progress) -> String {
    format!(
        "`{code}` is being indexed: {} % of the resources that were there before can be found by it",
        progress.percent()
    )
}

/// The refusal of what must not miss any of them.
pub(crate) fn unavailable(code: &str, progress: &Progress) -> Error {
    Error::new(Kind::Unavailable, format!("{}; try again", being_indexed(code, progress))).at(code)
}

impl TypeSearch {
    /// The parameters that the changes name themselves.
    fn named_params<'s>(&'s self, changes: &'s [IndexChange]) -> impl Iterator<Item = &'s Arc<Param>> {
        self.params().iter().filter(|param| self.is_named(param, changes))
    }

    fn is_named(&self, param: &Param, changes: &[IndexChange]) -> bool {
        changes.iter().any(|change| match change {
            IndexChange::Everything => false,
            IndexChange::Parameters { changed, .. } => changed(&self.type_name, param),
        })
    }

    /// Those, and composites with such a part.
    pub(super) fn changed_params<'s>(
        &'s self,
        changes: &'s [IndexChange],
    ) -> impl Iterator<Item = &'s Arc<Param>> {
        let has_part = |param| parts(param).any(|part| self.is_named(part, changes));
        self.params().iter().filter(move |param| self.is_named(param, changes) || has_part(param))
    }

    /// The codes of those, of parameters that share entries with them, and of composites of such. The entries of a composite of
    /// whole resources are those of its parts, and the combined ones by which they are asked for together. Within elements a part
    /// has a name and entries of its own, and says by its definition what it is.
    pub(super) fn codes_relying_on(&self, changes: &[IndexChange]) -> BTreeSet<Box<str>> {
        let of_parts = self.named_params(changes).flat_map(whole_parts).flat_map(|part| &part.indexes);
        let own = self.changed_params(changes).flat_map(|param| &param.indexes);
        let indexes: Vec<&Arc<Index>> = own.chain(of_parts).collect();
        let shares = |param: &Arc<Param>| param.indexes.iter().any(|index| indexes.contains(&index));
        let relying = |param: &&Arc<Param>| shares(param) || parts(param).any(shares);
        let mut all: Vec<&Arc<Param>> = self.changed_params(changes).collect();
        all.extend(self.params().iter().filter(relying));
        let urls: BTreeSet<&str> = all.iter().map(|param| &*param.definition.url).collect();
        let is_of_such = |param: &&Arc<Param>| parts(param).any(|part| urls.contains(&*part.definition.url));
        let composites = self.params().iter().filter(is_of_such);
        all.iter().copied().chain(composites).map(|param| param.code.clone()).collect()
    }
}

/// The parts of a composite.
fn parts(param: &Arc<Param>) -> impl Iterator<Item = &Arc<Param>> {
    let of_elements = param.composite.iter().flat_map(|composite| &composite.parts);
    of_elements.chain(whole_parts(param))
}

/// Those of one of whole resources.
fn whole_parts(param: &Arc<Param>) -> impl Iterator<Item = &Arc<Param>> {
    param.composite.iter().flat_map(|composite| composite.whole.iter().flatten())
}
