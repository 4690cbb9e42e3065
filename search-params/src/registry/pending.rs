//! Changes of the index that not all resources have yet, as searches and writes ask for them.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_model::Result;

use super::Registry;
use super::index_change::{Concerned, IndexChange, PendingChange, changed_codes, unavailable};
use super::sets::{Pending, Sets};
use super::type_search::TypeSearch;
use crate::custom::Progress;
use crate::param::{Index, Param, Role};
use crate::parameters::ParameterKind;

impl Registry {
    /// The types whose resources have other entries after these changes.
    ///
    /// References and primary dates concern all: compartments, `$everything`, includes, chains and the order of pages
    /// rely on them, whatever is asked for.
    ///
    /// # Errors
    ///
    /// `Internal` when a type has no search parameters: a defect of the build.
    pub fn concerned(&self, changes: &[IndexChange]) -> Result<Concerned> {
        if changes.iter().any(|change| matches!(change, IndexChange::Everything)) {
            return Ok(Concerned::All);
        }
        let mut all = Vec::new();
        for name in self.definitions().resource_types() {
            let this = self.for_type(name)?;
            if this.changed_params(changes).any(relied_on_by_all) {
                return Ok(Concerned::All);
            }
            all.push(this);
        }
        let changed = changed_codes(&all, changes);
        // What stands within a resource leaves keys of its own parameters with it.
        let embeds = |this: &&Arc<TypeSearch>| {
            let mut references = this.params().iter().filter(|p| p.kind == ParameterKind::Reference);
            references.any(|param| changed.keys().any(|target| param.leads_to(target)))
        };
        let embedding = all.iter().filter(embeds).map(|this| this.type_name.clone());
        Ok(Concerned::Types(embedding.chain(changed.keys().cloned()).collect()))
    }

    /// Refuses what relies on a parameter while not all resources of its type have the entries of this build's format.
    ///
    /// # Errors
    ///
    /// `Unavailable` as long as that is so.
    pub fn check_indexed(&self, type_name: &str, code: &str) -> Result<()> {
        match self.pending_progress(type_name, None, code) {
            Some(progress) => Err(unavailable(code, &progress)),
            None => Ok(()),
        }
    }

    /// The changes that not all resources have yet.
    pub fn pending_change(&self) -> Option<Arc<PendingChange>> {
        self.live().pending.as_ref().map(|pending| pending.change.clone())
    }

    /// The parameters that searches are refused by, by type, and how far its resources are.
    pub fn refused_params(&self) -> Vec<(Box<str>, Arc<Param>, Arc<Progress>)> {
        let live = self.live();
        let mut refused = Vec::new();
        for (type_name, progress) in live.pending.iter().flat_map(|pending| &pending.change.types) {
            let codes = live.pending.iter().filter_map(|pending| pending.codes.get(type_name)).flatten();
            let Ok(this) = self.for_type(type_name) else { continue };
            let params = codes.filter_map(|code| this.param(code));
            refused.extend(params.map(|param| (type_name.clone(), param.clone(), progress.clone())));
        }
        refused
    }

    /// True when some resources of the type need not have the entries of this build's format.
    pub fn is_pending(&self, type_name: &str) -> bool {
        self.live().pending.as_ref().is_some_and(|pending| pending.change.types.contains_key(type_name))
    }

    /// True when searches of the type by some of its own parameters rely on what changes.
    pub fn has_pending_params(&self, type_name: &str) -> bool {
        self.live().pending.as_ref().is_some_and(|pending| pending.codes.contains_key(type_name))
    }

    /// How far the resources are that a search by a parameter relies on, while not all of them have its entries: those of its type, and
    /// those of the type that holds the references of a chain to it, as they leave what stands within them.
    pub(crate) fn pending_progress(
        &self,
        type_name: &str,
        holder: Option<&str>,
        code: &str,
    ) -> Option<Arc<Progress>> {
        let live = self.live();
        let pending = live.pending.as_ref()?;
        if !pending.codes.get(type_name)?.contains(code) {
            return None;
        }
        let of = |type_name: &str| pending.change.types.get(type_name).cloned();
        of(type_name).or_else(|| of(holder?))
    }

    /// What relies on a change, of R4's parameters and of those that are added.
    pub(super) fn pending(
        &self,
        change: PendingChange,
        added: &HashMap<Box<str>, Arc<Sets>>,
    ) -> Result<Pending> {
        let of_type = |name: &str| match added.get(name) {
            Some(sets) => Ok(sets.searched.clone()),
            None => self.for_type(name),
        };
        let types = self.definitions().resource_types().map(of_type).collect::<Result<Vec<_>>>()?;
        Ok(Pending { codes: changed_codes(&types, &change.changes), change: Arc::new(change) })
    }
}

fn relied_on_by_all(param: &Arc<Param>) -> bool {
    let has_role = |index: &Arc<Index>| matches!(index.role, Role::PrimaryDate | Role::Patient);
    param.kind == ParameterKind::Reference || param.indexes.iter().any(has_role)
}

#[cfg(test)]
mod tests;
