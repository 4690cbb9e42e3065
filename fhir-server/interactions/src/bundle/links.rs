//! Which entry of a transaction a url means: <https://hl7.org/fhir/R4/bundle.html#references>

use std::collections::HashMap;

use fhir_model::interaction::Interaction;
use fhir_model::reference::Reference;
use fhir_model::{Error, Result};

use super::entries::Entry;
use super::in_entry;

/// The full urls of the entries that leave a resource behind.
pub(super) struct Links {
    by_url: HashMap<String, usize>,
    /// `Type/id` as written, of entries whose id the server chooses; `None` when two entries have the same.
    relative: HashMap<String, Option<usize>>,
}

impl Links {
    pub(super) fn new(entries: &[Entry<'_>]) -> Result<Links> {
        let mut links = Links { by_url: HashMap::new(), relative: HashMap::new() };
        for (at, entry) in entries.iter().enumerate() {
            let renamed = match &entry.interaction {
                Interaction::Create(_) | Interaction::ConditionalUpdate(_) => true,
                Interaction::Update(_) | Interaction::Patch(_) | Interaction::ConditionalPatch(_) => false,
                _ => continue,
            };
            if let Some(url) = &entry.full_url
                && links.by_url.insert(url.clone(), at).is_some()
            {
                return Err(in_entry(
                    Error::invalid("two entries have the same `fullUrl`").at("fullUrl"),
                    at,
                ));
            }
            if let Some(written) = written_key(entry).filter(|_| renamed) {
                links.relative.entry(written).and_modify(|seen| *seen = None).or_insert(Some(at));
            }
        }
        Ok(links)
    }

    /// The entry that `text`, found in an entry with the full url `own`, means, and what follows the url in the text
    /// (`#fragment`, `|version`).
    pub(super) fn find<'t>(&self, text: &'t str, own: Option<&str>) -> Option<(usize, &'t str)> {
        if self.by_url.is_empty() && self.relative.is_empty() {
            return None;
        }
        let end = text.find(['#', '|']).filter(|end| *end > 0).unwrap_or(text.len());
        let (url, tail) = text.split_at_checked(end)?;
        if let Some(at) = self.by_url.get(url) {
            return Some((*at, tail));
        }
        let Reference::Relative(key) = Reference::parse(url) else { return None };
        if let Some(Reference::Absolute(root, _)) = own.map(Reference::parse)
            && let Some(at) = self.by_url.get(&format!("{root}/{key}"))
        {
            return Some((*at, tail));
        }
        self.relative.get(url).copied().flatten().map(|at| (at, tail))
    }
}

/// The `Type/id` by which other entries of the Bundle may speak of this one before it has its id.
fn written_key(entry: &Entry<'_>) -> Option<String> {
    match &entry.full_url {
        Some(url) => match Reference::parse(url) {
            Reference::Absolute(_, key) | Reference::Relative(key) => Some(key.to_string()),
            // The id in the resource is not its name when the Bundle gives it another.
            _ => None,
        },
        None => {
            let resource = entry.resource?;
            Some(format!("{}/{}", resource.get_str("resourceType")?, resource.get_str("id")?))
        }
    }
}

#[cfg(test)]
mod tests {
    use fhir_model::interaction::Method;

    use super::*;
    use crate::conditions::Conditions;

    fn entry(full_url: &str) -> Entry<'static> {
        Entry {
            full_url: Some(full_url.to_owned()),
            method: Method::Post,
            path: "Patient".to_owned(),
            query: String::new(),
            interaction: Interaction::Create("Patient".into()),
            resource: None,
            conditions: Conditions::default(),
        }
    }

    #[test]
    fn urls_mean_entries() {
        let entries = [
            entry("urn:uuid:a"),
            entry("http://x.org/fhir/Patient/1"),
            entry("http://y.org/fhir/Patient/1"),
            entry("http://y.org/fhir/Patient/2"),
        ];
        let links = Links::new(&entries).unwrap();
        let at_x = Some("http://x.org/fhir/Observation/7");
        let rows = [
            ("urn:uuid:a", None, Some((0, ""))),
            ("urn:uuid:a#part", None, Some((0, "#part"))),
            ("urn:uuid:b", None, None),
            ("http://x.org/fhir/Patient/1", None, Some((1, ""))),
            ("Patient/1", at_x, Some((1, ""))),
            ("Patient/1", Some("http://y.org/fhir/Observation/7"), Some((2, ""))),
            // Two entries could be meant.
            ("Patient/1", Some("urn:uuid:o"), None),
            ("Patient/2", Some("urn:uuid:o"), Some((3, ""))),
            ("#a", None, None),
            ("", None, None),
        ];
        for (text, own, wanted) in rows {
            assert_eq!(links.find(text, own), wanted, "{text} {own:?}");
        }
    }

    #[test]
    fn full_urls_are_unique() {
        assert!(Links::new(&[entry("urn:uuid:a"), entry("urn:uuid:a")]).is_err());
    }
}
