//! What refers to resources: the condition of a reverse include.

use super::ReferencedResource;
use crate::condition::Condition;
use crate::index_hash::IndexHasher;
use crate::param::{Param, Role};
use crate::parameters::ParameterKind;
use crate::query::Include;
use crate::reference;
use crate::registry::Registry;

/// What refers to some resources, as reverse includes look for it: keys hold the type and the parameter, so that one
/// list says it for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Referring {
    /// Handles of patients ..
    pub patients: Vec<i64>,
    /// .. and the types whose patient column is meant.
    pub by_patient: Vec<i32>,
    /// Keys of references.
    pub keys: Vec<i64>,
}

impl Referring {
    /// What refers to one of the targets, by these includes.
    pub fn to(
        targets: &[ReferencedResource],
        includes: &[&Include],
        registry: &Registry,
        hasher: &IndexHasher,
    ) -> Referring {
        let mut found = Referring::default();
        for include in includes.iter().filter(|include| include.reverse) {
            let targets: Vec<ReferencedResource> =
                targets.iter().filter(|target| include.is_to(&target.key.type_name)).cloned().collect();
            match &include.source {
                Some(source) => found.by(source, include, &targets, registry, hasher),
                None => registry
                    .definitions()
                    .resource_types()
                    .for_each(|source| found.by(source, include, &targets, registry, hasher)),
            }
        }
        for list in [&mut found.patients, &mut found.keys] {
            list.sort_unstable();
            list.dedup();
        }
        found.by_patient.sort_unstable();
        found.by_patient.dedup();
        found
    }

    /// True when nothing can refer to them.
    pub fn is_empty(&self) -> bool {
        self.by_patient.is_empty() && self.keys.is_empty()
    }

    fn by(
        &mut self,
        source: &str,
        include: &Include,
        targets: &[ReferencedResource],
        registry: &Registry,
        hasher: &IndexHasher,
    ) {
        let Ok(of) = registry.for_type(source) else { return };
        let asked = |param: &&std::sync::Arc<Param>| {
            param.kind == ParameterKind::Reference
                && include.code.as_deref().is_none_or(|c| *param.code == *c)
        };
        for param in of.params().iter().filter(asked) {
            // Whatever a parameter may point at according to its definition: others are not looked for.
            let mut targets: Vec<ReferencedResource> =
                targets.iter().filter(|target| param.leads_to(&target.key.type_name)).cloned().collect();
            if include.code.is_none() {
                targets.iter_mut().for_each(|target| target.url = None);
            }
            if !targets.is_empty() {
                self.add(hasher.type_id(of.number), refers_to(param, &targets, registry, hasher));
            }
        }
    }

    fn add(&mut self, type_number: i32, condition: Condition) {
        match condition {
            Condition::Any(each) => each.into_iter().for_each(|one| self.add(type_number, one)),
            Condition::Patient(handles) => {
                self.patients.extend(handles);
                self.by_patient.push(type_number);
            }
            Condition::Keys(keys) => self.keys.extend(keys),
            _ => {}
        }
    }
}

/// The condition of a reverse include: resources that refer to one of these by the parameter.
pub fn refers_to(
    param: &Param,
    targets: &[ReferencedResource],
    registry: &Registry,
    hasher: &IndexHasher,
) -> Condition {
    // What stands within a resource is another than the one here of the same id.
    if param.is_embedded() {
        return Condition::never();
    }
    let mut patients = Vec::new();
    let mut rest = Vec::new();
    let role = param.indexes.iter().any(|i| i.role == Role::Patient);
    for target in targets {
        if role && *target.key.type_name == *"Patient" && param.indexes.len() == 1 {
            patients.push(hasher.handle(registry.number("Patient").unwrap_or(0), &target.key.id));
        } else {
            let term = reference::ReferenceTerm::Local(target.key.clone());
            rest.push(reference::condition(&term, param, hasher, registry.definitions()));
        }
    }
    let urls: Vec<String> = targets.iter().flat_map(ReferencedResource::urls).collect();
    if !urls.is_empty() {
        rest.push(reference::by_canonical(&urls, param, hasher));
    }
    if !patients.is_empty() {
        rest.push(Condition::Patient(patients));
    }
    Condition::Any(rest).simplify()
}
