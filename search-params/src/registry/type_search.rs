//! The search parameters of one resource type, and the traversal that finds their values.

use std::sync::Arc;

use fhir_model::json::Ref;

use crate::embedded::Container;
use crate::param::{Index, Param};
use crate::path::Trie;

/// The parameters of one type.
#[derive(Debug)]
pub struct TypeSearch {
    /// The type.
    pub type_name: Box<str>,
    /// Its number.
    pub number: u16,
    pub(super) params: Vec<Arc<Param>>,
    pub(super) indexes: Vec<Arc<Index>>,
    /// Per index: the parameters over it.
    pub(super) users: Vec<Vec<usize>>,
    /// Composites of the whole resource, by parameter: the indexes of each part.
    pub(super) wholes: Vec<(usize, Vec<Vec<usize>>)>,
    /// The indexes of quantities that are entries under the primary codes, too: R4 has a composite of both.
    pub(crate) code_quantities: Vec<Arc<Index>>,
    pub(super) trie: Trie,
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
