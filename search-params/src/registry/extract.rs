//! One walk over a resource: the values of its indexes as rows.

use fhir_model::Result;
use fhir_model::json::Ref;

use super::{Registry, Set, TypeSearch};
use crate::embedded::Container;
use crate::embedded::index::Embedding;
use crate::keyer::{Form, Keyer};
use crate::parameters::ParameterKind;
use crate::rows::{DATE_MIN, Ordered, Rows};
use crate::settings::IndexSettings;
use crate::sink::{Found, Sink};
use crate::{composite, date, near, number, quantity, reference, string, token, uri};

impl Registry {
    /// All index entries that a version which is written now has, in one walk.
    pub fn extract(
        &self,
        keyer: &Keyer,
        type_name: &str,
        resource: Ref<'_>,
        settings: &IndexSettings,
    ) -> Result<Rows> {
        self.extract_by(Set::Written, keyer, type_name, resource, settings)
    }

    /// The same by a set of the type's parameters.
    pub fn extract_by(
        &self,
        set: Set,
        keyer: &Keyer,
        type_name: &str,
        resource: Ref<'_>,
        settings: &IndexSettings,
    ) -> Result<Rows> {
        self.extract_within(set, keyer, type_name, resource, settings, Place::OfItsOwn)
    }

    /// The same of a resource that may be within another one.
    pub(crate) fn extract_within<'d>(
        &self,
        set: Set,
        keyer: &Keyer,
        type_name: &str,
        resource: Ref<'d>,
        settings: &IndexSettings,
        place: Place<'d>,
    ) -> Result<Rows> {
        let this = self.of_set(type_name, set)?;
        let mut rows = Rows::default();
        let numbers = |name: &str| self.number(name);
        let container = match place {
            Place::OfItsOwn => Container::of(resource),
            Place::Within(container) => container,
        };
        let mut embedded = Vec::new();
        let mut failed = None;
        // Of each index: how many values there were, and whether one was held.
        let (mut visited, mut held) = (vec![0; this.indexes.len()], vec![false; this.indexes.len()]);
        let mut truths = vec![false; this.indexes.len()];
        let mut visit = |leaf: usize, value: Ref<'d>, value_type: &str| {
            let (Some(index), Some(users)) = (this.indexes.get(leaf), this.users.get(leaf)) else { return };
            let mut sink = Sink {
                keyer,
                type_number: this.number,
                index,
                bases: &settings.bases,
                zone: &settings.zone,
                ordinal: visited.get(leaf).copied().unwrap_or_default(),
                numbers: &numbers,
                resource,
                container: &container,
                rows: &mut rows,
                found: Found::default(),
            };
            if index.truth {
                if let Some(truth) = truths.get_mut(leaf) {
                    *truth |= value.bool() != Some(false);
                }
                return;
            }
            match index.kind {
                ParameterKind::Composite => match composite::index(value, &mut sink) {
                    Ok(()) => {}
                    // Before there was the composite, it could be written; it has left nothing, and must go all the same.
                    Err(_) if set == Set::Replaced => {}
                    Err(e) => failed = Some(e),
                },
                _ => index_value(value, value_type, &mut sink),
            }
            let found = sink.found;
            if let Some(visited) = visited.get_mut(leaf) {
                *visited += 1;
            }
            if found.embedded && index.kind == ParameterKind::Reference {
                embedded.push((leaf, value));
            }
            if let Some(held) = held.get_mut(leaf) {
                *held |= found.any;
            }
            this.mark_present(users, &found, keyer, &mut rows);
        };
        this.trie.walk(resource, &container, &mut visit);
        if let Some(e) = failed {
            return Err(e);
        }
        if !embedded.is_empty() {
            let embedding = Embedding { registry: self, this: &this, set, keyer, settings, container, place };
            embedding.index(&embedded, &mut rows)?;
        }
        // A composite of the whole resource has a value when all its parts have.
        for (param, parts) in &this.wholes {
            let any = |leaves: &Vec<usize>| leaves.iter().any(|leaf| held.get(*leaf) == Some(&true));
            let found = Found { any: parts.iter().all(any), ..Found::default() };
            this.mark_present(&[*param], &found, keyer, &mut rows);
        }
        for (leaf, index) in this.indexes.iter().enumerate().filter(|(_, i)| i.truth) {
            let text = if truths.get(leaf) == Some(&true) { "true" } else { "false" };
            rows.keys.push(keyer.key(this.number, &index.name, Form::Code, &[text]));
            let found = Found { any: true, ..Found::default() };
            if let Some(users) = this.users.get(leaf) {
                this.mark_present(users, &found, keyer, &mut rows);
            }
        }
        if *this.type_name == *"Patient" {
            rows.patient = resource.get_str("id").map(|id| keyer.handle(this.number, &id));
        }
        let by_code = this.by_code(keyer).entries(&rows);
        rows.ordered.extend(by_code);
        let date = rows.date.map_or(DATE_MIN, |d| d.0);
        let further = std::mem::take(&mut rows.further_codes);
        rows.ordered.extend(further.into_iter().map(|key| Ordered { key, value: date, extra: 0, rank: 0 }));
        rows.finish();
        Ok(rows)
    }
}

/// Where a resource stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'d> {
    /// It is one of the server's.
    OfItsOwn,
    /// It is within another one.
    Within(Container<'d>),
}

impl TypeSearch {
    fn mark_present(&self, users: &[usize], found: &Found, keyer: &Keyer, rows: &mut Rows) {
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
                    None => rows.keys.push(keyer.key(self.number, &param.name, Form::Present, &[])),
                }
            }
        }
    }
}

/// The entries of one value.
pub(crate) fn index_value(value: Ref<'_>, value_type: &str, sink: &mut Sink<'_>) {
    match sink.index.kind {
        ParameterKind::Token => token::index(value, value_type, sink),
        ParameterKind::String => string::index(value, value_type, sink),
        ParameterKind::Reference => reference::index(value, value_type, sink),
        ParameterKind::Date => date::index(value, value_type, sink),
        ParameterKind::Number => number::index(value, value_type, sink),
        ParameterKind::Quantity => quantity::index(value, value_type, sink),
        ParameterKind::Uri => uri::index(value, value_type, sink),
        ParameterKind::Special => near::index(value, sink),
        // Made of parts, each of which has come here.
        ParameterKind::Composite => {}
    }
}
