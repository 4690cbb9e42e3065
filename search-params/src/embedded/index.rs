//! What a resource leaves in the index of those within it that its references lead to.
//!
//! For each such reference parameter: that there is one of a type, and each equality key of it, bound to the parameter. A
//! chain finds by these which bodies to look at (`embedded/evaluate.rs`); a resource without any leaves nothing.

use std::collections::HashSet;

use fhir_model::Result;
use fhir_model::json::Ref;

use super::{Container, Nesting};
use crate::condition::{Chain, Condition};
use crate::index_hash::{Form, IndexHasher};
use crate::param::Param;
use crate::prefix_hash;
use crate::registry::{Registry, Set, TypeSearch};
use crate::rows::{Distinct, Rows};
use crate::settings::IndexSettings;

/// Most keys that are asked for together; what would need more is asked for by the type alone.
const KEYS_MAX: usize = 1_000;

/// One resource whose embedded resources are indexed.
pub(crate) struct Embedding<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) this: &'a TypeSearch,
    pub(crate) set: Set,
    pub(crate) hasher: &'a IndexHasher,
    pub(crate) settings: &'a IndexSettings,
    pub(crate) container: Container<'a>,
    pub(crate) place: Nesting<'a>,
}

impl<'a> Embedding<'a> {
    /// Adds what these values, each of the index with the number, lead to.
    pub(crate) fn index(&self, values: &[(usize, Ref<'a>)], rows: &mut Rows) -> Result<()> {
        let mut seen = HashSet::new();
        for (leaf, value) in values {
            let Some((resource, within)) = self.container.target(*value) else { continue };
            let Some(type_name) = resource.get_str("resourceType") else { continue };
            let is_new = seen.insert((*leaf, resource.index()));
            if is_new && self.registry.number(&type_name).is_some() && self.this.leads_to(*leaf, &type_name) {
                self.add(*leaf, &type_name, resource, within, rows)?;
            }
        }
        Ok(())
    }

    fn add(
        &self,
        leaf: usize,
        type_name: &str,
        resource: Ref<'a>,
        within: Container<'a>,
        rows: &mut Rows,
    ) -> Result<()> {
        let Some(index) = self.this.indexes().get(leaf) else { return Ok(()) };
        let key = |parts: &[&str]| self.hasher.key(self.this.number, &index.name, Form::Embedded, parts);
        let of_type = key(&[type_name]);
        rows.keys.push(of_type);
        rows.distinct.push(Distinct { key: key(&[]), value: type_name.to_owned(), token: of_type });
        // One step: what is within a resource that is itself embedded is looked for in the bodies.
        if let Nesting::Within(_) = self.place {
            return Ok(());
        }
        let place = Nesting::Within(within);
        let found =
            self.registry.extract_within(self.set, self.hasher, type_name, resource, self.settings, place);
        let inner = match found {
            // It could be written before there was a composite of so many values; then it has left nothing of them.
            Err(_) if self.set == Set::Replaced => return Ok(()),
            found => found?,
        };
        let own = inner.keys.iter().chain(&inner.prefix_hashes).chain(&inner.patient);
        rows.keys.extend(own.map(|own| self.hasher.combined([of_type, *own].into_iter())));
        rows.distinct.extend(inner.distinct);
        Ok(())
    }
}

/// The keys of the distinct texts that say which types of resources are embedded by a parameter.
pub fn keys_of_types(param: &Param, hasher: &IndexHasher) -> Vec<i64> {
    let key = |name: &str| hasher.key(param.type_number, name, Form::Embedded, &[]);
    param.indexes.iter().map(|index| key(&index.name)).collect()
}

/// The resources that may lead by the chain's parameter to an embedded one of which its condition holds.
pub fn candidates(param: &Param, chain: &Chain, registry: &Registry, hasher: &IndexHasher) -> Condition {
    let mut candidates = Vec::new();
    for (type_name, condition) in &chain.targets {
        let wanted = needed(condition, type_name, registry, hasher)
            .filter(|keys| keys.len() <= KEYS_MAX && !chain.by_added);
        let of_types = type_keys(param, type_name, hasher);
        match wanted {
            Some(keys) => candidates.extend(
                of_types
                    .iter()
                    .flat_map(|of_type| keys.iter().map(|key| hasher.combined([*of_type, *key].into_iter()))),
            ),
            None => candidates.extend(of_types),
        }
    }
    Condition::Keys(candidates)
}

fn type_keys(param: &Param, type_name: &str, hasher: &IndexHasher) -> Vec<i64> {
    let key = |name: &str| hasher.key(param.type_number, name, Form::Embedded, &[type_name]);
    param.indexes.iter().map(|index| key(&index.name)).collect()
}

/// Keys of which a resource has one that meets the condition. `None`: it need not have any.
fn needed(
    condition: &Condition,
    type_name: &str,
    registry: &Registry,
    hasher: &IndexHasher,
) -> Option<Vec<i64>> {
    let of = |part: &Condition| needed(part, type_name, registry, hasher);
    match condition {
        Condition::Keys(keys) | Condition::Tokens(keys) | Condition::Codes(keys) => Some(keys.clone()),
        Condition::Patient(handles) => Some(handles.clone()),
        Condition::TextPrefix(key, text) => Some(vec![prefix_hash::longest(*key, text)]),
        Condition::All(parts) => parts.iter().filter_map(of).min_by_key(Vec::len),
        Condition::Any(parts) => parts.iter().map(of).collect::<Option<Vec<_>>>().map(|each| each.concat()),
        Condition::Embedded(embedded) => {
            let this = registry.for_type(type_name).ok()?;
            let param = this.param(&embedded.chain.code)?;
            let targets = embedded.chain.targets.iter();
            let within: Vec<i64> = targets.flat_map(|(target, _)| type_keys(param, target, hasher)).collect();
            Some([within, of(&embedded.others)?].concat())
        }
        // These are of other resources, which nothing embedded is.
        Condition::Handles(_) => Some(Vec::new()),
        _ => None,
    }
}
