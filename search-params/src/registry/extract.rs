//! One traversal of a resource: the values of its indexes as rows.

use fhir_model::Result;
use fhir_model::json::Ref;

use super::Registry;
use super::sets::Set;
use super::type_search::TypeSearch;
use crate::composite;
use crate::embedded::index::Embedding;
use crate::embedded::{Container, Nesting};
use crate::index_hash::{Form, IndexHasher};
use crate::index_value::index_value;
use crate::index_writer::{IndexWriter, IndexedValue};
use crate::local_references;
use crate::parameters::ParameterKind;
use crate::rows::{DATE_MIN, Ordered, Rows};
use crate::settings::IndexSettings;

impl Registry {
    /// All index entries of a version that is written now, in one traversal.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown type, `TooCostly` when the values of a composite have too many combinations.
    pub fn extract(
        &self,
        hasher: &IndexHasher,
        type_name: &str,
        resource: Ref<'_>,
        settings: &IndexSettings,
    ) -> Result<Rows> {
        self.extract_by(Set::Written, hasher, type_name, resource, settings)
    }

    /// The same by a set of the type's parameters.
    ///
    /// # Errors
    ///
    /// As [`Registry::extract`].
    pub fn extract_by(
        &self,
        set: Set,
        hasher: &IndexHasher,
        type_name: &str,
        resource: Ref<'_>,
        settings: &IndexSettings,
    ) -> Result<Rows> {
        self.extract_within(set, hasher, type_name, resource, settings, Nesting::OfItsOwn)
    }

    /// The same of a resource that may be within another one.
    pub(crate) fn extract_within<'d>(
        &self,
        set: Set,
        hasher: &IndexHasher,
        type_name: &str,
        resource: Ref<'d>,
        settings: &IndexSettings,
        place: Nesting<'d>,
    ) -> Result<Rows> {
        let this = self.for_set(type_name, set)?;
        let mut rows = Rows::default();
        let numbers = |name: &str| self.number(name);
        let container = match place {
            Nesting::OfItsOwn => Container::new(resource),
            Nesting::Within(container) => container,
        };
        let mut embedded = Vec::new();
        let mut failed = None;
        // Of each index: how many values there were, and whether one was held.
        let (mut visited, mut held) = (vec![0; this.indexes.len()], vec![false; this.indexes.len()]);
        let mut truths = vec![false; this.indexes.len()];
        let mut visit = |leaf: usize, value: Ref<'d>, value_type: &str| {
            let (Some(index), Some(users)) = (this.indexes.get(leaf), this.users.get(leaf)) else { return };
            let mut writer = IndexWriter {
                hasher,
                type_number: this.number,
                index,
                bases: &settings.bases,
                zone: &settings.zone,
                ordinal: visited.get(leaf).copied().unwrap_or_default(),
                numbers: &numbers,
                resource,
                container: &container,
                rows: &mut rows,
                indexed: IndexedValue::default(),
            };
            if index.truth {
                if let Some(truth) = truths.get_mut(leaf) {
                    *truth |= value.bool() != Some(false);
                }
                return;
            }
            match index.kind {
                ParameterKind::Composite => match composite::index(value, &mut writer) {
                    Ok(()) => {}
                    // Before there was the composite, it could be written; it has left nothing, and must go all the same.
                    Err(_) if set == Set::Replaced => {}
                    Err(e) => failed = Some(e),
                },
                _ => index_value(value, value_type, &mut writer),
            }
            let found = writer.indexed;
            if let Some(visited) = visited.get_mut(leaf) {
                *visited += 1;
            }
            if found.embedded && index.kind == ParameterKind::Reference {
                embedded.push((leaf, value));
            }
            if let Some(held) = held.get_mut(leaf) {
                *held |= found.any;
            }
            this.mark_present(users, &found, hasher, &mut rows);
        };
        this.trie.walk(resource, &container, &mut visit);
        if let Some(e) = failed {
            return Err(e);
        }
        if !embedded.is_empty() {
            let embedding =
                Embedding { registry: self, this: &this, set, hasher, settings, container, place };
            embedding.index(&embedded, &mut rows)?;
        }
        // A composite of the whole resource has a value when all its parts have.
        for (param, parts) in &this.wholes {
            let any = |leaves: &Vec<usize>| leaves.iter().any(|leaf| held.get(*leaf) == Some(&true));
            let found = IndexedValue { any: parts.iter().all(any), ..IndexedValue::default() };
            this.mark_present(&[*param], &found, hasher, &mut rows);
        }
        for (leaf, index) in this.indexes.iter().enumerate().filter(|(_, i)| i.truth) {
            let text = if truths.get(leaf) == Some(&true) { "true" } else { "false" };
            rows.keys.push(hasher.key(this.number, &index.name, Form::Code, &[text]));
            let found = IndexedValue { any: true, ..IndexedValue::default() };
            if let Some(users) = this.users.get(leaf) {
                this.mark_present(users, &found, hasher, &mut rows);
            }
        }
        if settings.references && matches!(place, Nesting::OfItsOwn) {
            rows.keys.extend(local_references::keys(resource, &settings.bases, hasher));
        }
        if *this.type_name == *"Patient" {
            rows.patient = resource.get_str("id").map(|id| hasher.handle(this.number, &id));
        }
        let code_quantities = this.code_quantity_index(hasher).entries(&rows);
        rows.ordered.extend(code_quantities);
        let date = rows.date.map_or(DATE_MIN, |d| d.0);
        let further = std::mem::take(&mut rows.further_codes);
        rows.ordered.extend(further.into_iter().map(|key| Ordered { key, value: date, extra: 0, rank: 0 }));
        rows.finish();
        Ok(rows)
    }
}

impl TypeSearch {
    fn mark_present(&self, users: &[usize], found: &IndexedValue, hasher: &IndexHasher, rows: &mut Rows) {
        if !found.any {
            return;
        }
        for param in users.iter().filter_map(|u| self.params.get(*u)) {
            let counts = match &param.only_target {
                // An identifier that says no type is found by the parameters of each: it is none of nothing.
                Some(only) => found.of_any_type || found.targets.contains(only),
                None => true,
            };
            if counts {
                match param.bit {
                    Some(bit) => rows.present |= 1 << bit,
                    None => rows.keys.push(hasher.key(self.number, &param.name, Form::Present, &[])),
                }
            }
        }
    }
}
