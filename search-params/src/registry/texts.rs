//! What sorts by token, reference and uri go by: the least and the greatest text of a parameter in a body. They have no
//! entries, as these would cost every write what few searches use.

use fhir_model::json::Ref;

use super::type_search::TypeSearch;
use crate::embedded::Container;
use crate::order::sorted_part;
use crate::param::Param;
use crate::path::{names, text_members};

impl TypeSearch {
    /// The least and the greatest text of one of its parameters in a resource.
    pub fn texts(&self, param: &Param, resource: Ref<'_>) -> Option<(String, String)> {
        let mut edges: Option<(String, String)> = None;
        let mut visit = |leaf: usize, value: Ref<'_>, value_type: &str| {
            let Some(members) = text_members(value_type) else { return };
            let users = self.users.get(leaf).map(Vec::as_slice).unwrap_or_default();
            if !users.iter().filter_map(|at| self.params.get(*at)).any(|user| user.name == param.name) {
                return;
            }
            // A resource in the place of a reference says itself what it is.
            let is_embedded = value_type == "Resource";
            let of_type = |only: &str| value.get_str("resourceType").is_some_and(|own| *own == *only);
            if is_embedded && param.only_target.as_deref().is_some_and(|only| !of_type(only)) {
                return;
            }
            each(value, members, &mut |text| {
                if !is_embedded && param.only_target.as_ref().is_some_and(|only| !names(text, only)) {
                    return;
                }
                let text = sorted_part(text);
                let (least, greatest) = edges.get_or_insert_with(|| (text.to_owned(), text.to_owned()));
                if text < least.as_str() {
                    text.clone_into(least);
                }
                if text > greatest.as_str() {
                    text.clone_into(greatest);
                }
            });
        };
        self.trie.walk(resource, &Container::new(resource), &mut visit);
        edges
    }
}

/// The texts at the end of these members, of every item where there are several.
fn each(value: Ref<'_>, members: &[&str], found: &mut dyn FnMut(&str)) {
    match members.split_first() {
        Some((name, rest)) => {
            value.get(name).into_iter().flat_map(Ref::items).for_each(|item| each(item, rest, found));
        }
        // A number is no token: it cannot be searched for either.
        None => {
            let text = value.str().or_else(|| value.bool().map(|_| value.raw().into()));
            text.into_iter().for_each(|text| found(&text));
        }
    }
}
