//! `_list`: <https://hl7.org/fhir/R4/search.html#list>

use fhir_model::json::Ref;
use fhir_model::{Key, Result};
use fhir_search::condition::Condition;
use fhir_search::reference::ParsedReference;

use super::resolved::Resolved;
use crate::scope::ScopedStore;

impl ScopedStore<'_> {
    /// The entries of a List that are of a type, but for those that are marked as deleted.
    pub(super) async fn list_condition(
        &self,
        type_name: &str,
        id: &str,
        resolved: &mut Resolved,
    ) -> Result<Condition> {
        let Some(listed) = self.list_entries(id).await? else {
            resolved.warnings.push(format!("`_list`: there is no List/{id}"));
            return Ok(Condition::never());
        };
        let (mut handles, mut ids) = (Vec::new(), Vec::new());
        for key in listed.iter().filter(|key| *key.type_name == *type_name) {
            handles.extend(self.handles(key)?);
            ids.push(key.id.to_string());
        }
        Ok(Condition::Ids(handles, ids))
    }

    /// The local references in the entries of a List, without those marked as deleted. Returns `None` when there is no such List.
    pub(crate) async fn list_entries(&self, id: &str) -> Result<Option<Vec<Key>>> {
        let list = Key::new("List", id);
        let Some(version) = self.current(&[list]).await?.pop() else { return Ok(None) };
        let doc = version.doc()?;
        let mut listed = Vec::new();
        for entry in doc.root().get("entry").into_iter().flat_map(Ref::items) {
            let text = entry.get("item").and_then(|item| item.get_str("reference"));
            let target = text.and_then(|text| ParsedReference::parse(&text, &self.index_settings().bases));
            let deleted = entry.get("deleted").and_then(Ref::bool) == Some(true);
            if let (Some(ParsedReference::Local(key)), false) = (target, deleted)
                && self.registry.number(&key.type_name).is_some()
            {
                listed.push(key);
            }
        }
        Ok(Some(listed))
    }
}
