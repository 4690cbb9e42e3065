//! What sorts by token, reference and uri go by, of bodies that PostgreSQL cannot look into: one least and one greatest
//! text for each parameter.
//!
//! A body that is JSONB needs none of this: there the sort asks [`Param::json_paths`], which say the same.

use std::collections::BTreeMap;

use fhir_model::Result;
use fhir_model::json::Ref;

use super::{Param, Registry, Set};
use crate::keyer::{Form, Keyer};
use crate::parameters::ParameterKind;
use crate::path::{names, text_members};
use crate::rows::{Rows, Text};
use crate::sql::sorted_part;

impl Param {
    /// True when it is sorted by the texts at its paths.
    pub(crate) fn sorts_by_text(&self) -> bool {
        let truth = matches!(self.indexes.as_slice(), [index] if index.truth);
        let kind = matches!(self.kind, ParameterKind::Token | ParameterKind::Reference | ParameterKind::Uri);
        kind && !truth
    }

    /// The key of its entries for a body that is not JSONB.
    pub(crate) fn text_key(&self, keyer: &Keyer) -> i64 {
        keyer.key(self.type_number, &self.name, Form::Sorted, &[])
    }
}

impl Registry {
    /// Adds the entries that stand for a body which is stored packed. What [`Registry::extract_by`] gives is enough for one
    /// that is stored as JSONB alone.
    pub fn add_sorted(
        &self,
        set: Set,
        keyer: &Keyer,
        type_name: &str,
        resource: Ref<'_>,
        rows: &mut Rows,
    ) -> Result<()> {
        let this = self.of_set(type_name, set)?;
        let mut edges: BTreeMap<usize, (String, String)> = BTreeMap::new();
        let mut visit = |leaf: usize, value: Ref<'_>, value_type: &str| {
            let Some(members) = text_members(value_type) else { return };
            let users = this.users.get(leaf).map(Vec::as_slice).unwrap_or_default();
            for at in users {
                let Some(param) = this.params.get(*at).filter(|p| p.sorts_by_text()) else { continue };
                each(value, members, &mut |text| {
                    if param.only_target.as_ref().is_some_and(|only| !names(text, only)) {
                        return;
                    }
                    let text = sorted_part(text);
                    let (least, greatest) =
                        edges.entry(*at).or_insert_with(|| (text.to_owned(), text.to_owned()));
                    if text < least.as_str() {
                        text.clone_into(least);
                    }
                    if text > greatest.as_str() {
                        text.clone_into(greatest);
                    }
                });
            }
        };
        this.trie.walk(resource, &mut visit);
        for (at, (least, greatest)) in edges {
            let Some(param) = this.params.get(at) else { continue };
            let key = param.text_key(keyer);
            rows.strings.extend([least, greatest].map(|value| Text { key, value, rank: 0 }));
        }
        rows.finish();
        Ok(())
    }
}

/// The texts at the end of these members, of every item where there are several.
fn each(value: Ref<'_>, members: &[&str], found: &mut dyn FnMut(&str)) {
    match members.split_first() {
        Some((name, rest)) => {
            value.get(name).into_iter().flat_map(Ref::items).for_each(|item| each(item, rest, found));
        }
        // What is no text is a boolean or a number, as written.
        None => found(&value.str().unwrap_or_else(|| value.raw().into())),
    }
}
