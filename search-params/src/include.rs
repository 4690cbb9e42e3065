//! What includes follow: the references of a resource, and what refers to resources.
//!
//! <https://hl7.org/fhir/R4/search.html#revinclude>

use std::collections::BTreeMap;

use fhir_model::json::Ref;
use fhir_model::{Key, Result};

use crate::bases::Bases;
use crate::condition::Condition;
use crate::filter::refers_to;
use crate::keyer::Keyer;
use crate::parameters::ParameterKind;
use crate::query::Include;
use crate::reference::Target;
use crate::registry::{Param, Registry};

/// Resources that are referred to, with the version where all references name the same one.
pub type Targets = BTreeMap<Key, Option<u32>>;

impl Registry {
    /// Adds the references of a resource that one of the includes follows: those to resources of this server, not to
    /// contained ones, by identifier alone or to other servers.
    pub fn follow(
        &self,
        type_name: &str,
        includes: &[&Include],
        resource: Ref<'_>,
        bases: &Bases,
        found: &mut Targets,
    ) -> Result<()> {
        let this = self.of(type_name)?;
        let asked = |param: &Param, target: &str| {
            param.kind == ParameterKind::Reference
                && param.only_target.as_deref().is_none_or(|only| only == target)
                && includes.iter().any(|include| {
                    include.code.as_deref().is_none_or(|code| *param.code == *code) && include.is_to(target)
                })
        };
        this.walk_with_users(resource, &mut |users, value, value_type| {
            if value_type == "Resource" {
                return;
            }
            let text = if value_type == "Reference" { value.get_str("reference") } else { value.str() };
            let Some(text) = text else { return };
            let Some(Target::Local(key)) = Target::parse(&text, bases) else { return };
            // A reference to itself: of a trait object nothing else is an iterator.
            let mut users = users;
            if self.number(&key.type_name).is_none() || !(&mut users).any(|p| asked(p, &key.type_name)) {
                return;
            }
            let version = text.rsplit_once("/_history/").and_then(|(_, version)| version.parse().ok());
            found
                .entry(key)
                .and_modify(|before| *before = before.filter(|_| *before == version))
                .or_insert(version);
        });
        Ok(())
    }
}

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
    pub fn to(targets: &[&Key], includes: &[&Include], registry: &Registry, keyer: &Keyer) -> Referring {
        let mut found = Referring::default();
        for include in includes.iter().filter(|include| include.reverse) {
            let targets: Vec<Key> = targets
                .iter()
                .filter(|key| include.is_to(&key.type_name))
                .map(|key| (*key).clone())
                .collect();
            match &include.source {
                Some(source) => found.by(source, include, &targets, registry, keyer),
                None => registry
                    .definitions()
                    .resource_types()
                    .for_each(|source| found.by(source, include, &targets, registry, keyer)),
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

    fn by(&mut self, source: &str, include: &Include, targets: &[Key], registry: &Registry, keyer: &Keyer) {
        let Ok(of) = registry.of(source) else { return };
        let asked = |param: &&std::sync::Arc<Param>| {
            param.kind == ParameterKind::Reference
                && include.code.as_deref().is_none_or(|c| *param.code == *c)
        };
        for param in of.params().iter().filter(asked) {
            // Whatever a parameter may point at according to its definition: others are not looked for.
            let targets: Vec<Key> =
                targets.iter().filter(|key| param.leads_to(&key.type_name)).cloned().collect();
            if !targets.is_empty() {
                self.add(of.number.into(), refers_to(param, &targets, registry, keyer));
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
