//! Parameters that come and go while the server runs.
//!
//! Several processes write at the same time, and none of them learns of a change at the same moment. So a parameter
//! comes in steps ([`Stage`]), as in an online change of a schema: first everybody takes away what it leaves in the
//! index (of a version that is replaced), then everybody writes it, then old resources get it, then it is ready. It
//! goes the same way back. As neighbouring steps agree with each other, no resource ever keeps an entry that its
//! current version does not have.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use fhir_model::{Error, Result};

use super::Registry;
use super::index_change::PendingChange;
use super::sets::{CustomParameters, Set, Sets};
use super::type_search::TypeSearch;
use crate::custom::{Custom, Stage};

impl Registry {
    /// A registry of its own with what R4 has, for another database.
    pub fn fork(&self) -> Registry {
        Registry { base: self.base.clone(), live: Default::default() }
    }

    /// Replaces all parameters that were added before, and what not all resources have of this build's format. On an error everything
    /// stays as it was.
    ///
    /// # Errors
    ///
    /// When a definition does not compile.
    pub fn set_catalog(
        &self,
        version: i64,
        customs: Vec<Arc<Custom>>,
        change: Option<PendingChange>,
    ) -> Result<()> {
        let names: BTreeSet<&Box<str>> = customs.iter().flat_map(|c| &c.types).collect();
        let before = self.live();
        let mut types = HashMap::new();
        for name in names {
            let base = self.base.types.get(name);
            let base = base.ok_or_else(|| Error::internal(format!("{name} is not a resource type")))?;
            let of_type: Vec<Arc<Custom>> =
                customs.iter().filter(|c| c.types.contains(name)).cloned().collect();
            let sets = match before.types.get(name).filter(|sets| sets.are_for(&of_type)) {
                Some(known) => known.clone(),
                None => Arc::new(self.sets(base, of_type)?),
            };
            types.insert(name.clone(), sets);
        }
        let pending = change.map(|change| self.pending(change, &types)).transpose()?.map(Arc::new);
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        *live = Arc::new(CustomParameters { version, customs, types, pending });
        Ok(())
    }

    fn sets(&self, base: &Arc<TypeSearch>, customs: Vec<Arc<Custom>>) -> Result<Sets> {
        let mut made: Vec<(Vec<i64>, Arc<TypeSearch>)> = vec![(Vec::new(), base.clone())];
        let mut set = |has: fn(Stage) -> bool| -> Result<Arc<TypeSearch>> {
            let wanted: Vec<&Custom> = customs.iter().map(|c| &**c).filter(|c| has(c.stage)).collect();
            let numbers: Vec<i64> = wanted.iter().map(|c| c.number).collect();
            if let Some((_, known)) = made.iter().find(|(these, _)| *these == numbers) {
                return Ok(known.clone());
            }
            let Registry { base: b, .. } = self;
            let new = TypeSearch::compile(&base.type_name, &b.definitions, &b.parameters, &wanted)?;
            let new = Arc::new(new);
            made.push((numbers, new.clone()));
            Ok(new)
        };
        Ok(Sets {
            searched: set(|stage| stage != Stage::Retiring)?,
            written: set(|stage| matches!(stage, Stage::Building | Stage::Ready))?,
            replaced: set(|_| true)?,
            building: customs.iter().any(|c| c.stage == Stage::Building),
            customs,
        })
    }

    /// The parameters of a type.
    pub(crate) fn for_set(&self, type_name: &str, set: Set) -> Result<Arc<TypeSearch>> {
        if let Some(sets) = self.live().types.get(type_name) {
            return Ok(match set {
                Set::Searched => sets.searched.clone(),
                Set::Written => sets.written.clone(),
                Set::Replaced => sets.replaced.clone(),
            });
        }
        let known = self.base.types.get(type_name).cloned();
        known.ok_or_else(|| Error::not_found(format!("the resource type `{type_name}`")))
    }

    /// The version of what was added: it grows with every change of it.
    pub fn version(&self) -> i64 {
        self.live().version
    }

    /// What was added.
    pub fn customs(&self) -> Vec<Arc<Custom>> {
        self.live().customs.clone()
    }

    /// True when the current versions of a type need not have all entries yet that their successors will have.
    pub fn is_building(&self, type_name: &str) -> bool {
        let live = self.live();
        live.types.get(type_name).is_some_and(|sets| sets.building)
            || live.pending.as_ref().is_some_and(|pending| pending.change.types.contains_key(type_name))
    }

    pub(super) fn live(&self) -> Arc<CustomParameters> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
