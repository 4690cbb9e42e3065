//! Which entry of a transaction a url means: <https://hl7.org/fhir/R4/bundle.html#references>

use std::collections::HashMap;

use fhir_model::interaction::Interaction;
use fhir_model::reference::Reference;
use fhir_model::{Error, Result};

use super::entries::Entry;
use super::in_entry;
use super::references::Identity;

/// The full urls of the entries that leave a resource behind.
pub(super) struct Links {
    by_url: HashMap<String, usize>,
    /// `Type/id` as written, of entries whose id the server chooses; `None` when two entries have the same.
    relative: HashMap<String, Option<usize>>,
    known: HashMap<usize, Known>,
}

/// What an entry says of its resource.
struct Known {
    /// The server chooses the id, so that ids and versions in the Bundle are those of elsewhere.
    renamed: bool,
    /// `meta.versionId`
    version: Option<String>,
}

impl Links {
    pub(super) fn new(entries: &[Entry<'_>]) -> Result<Links> {
        let mut links = Links { by_url: HashMap::new(), relative: HashMap::new(), known: HashMap::new() };
        for (at, entry) in entries.iter().enumerate() {
            let renamed = match &entry.interaction {
                Interaction::Create(_) | Interaction::ConditionalUpdate(_) => true,
                Interaction::Update(_) | Interaction::Patch(_) | Interaction::ConditionalPatch(_) => false,
                _ => continue,
            };
            let meta = entry.resource.and_then(|resource| resource.get("meta"));
            let version = meta.and_then(|meta| meta.get_str("versionId")).map(|v| v.into_owned());
            links.known.insert(at, Known { renamed, version });
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

    /// The entry that `text`, found in an entry with the full url `own`, means.
    ///
    /// A version in the text must be the one the entry's resource says it has. It counts only where the Bundle alone
    /// gives the url a meaning, not where the server has versions of the resource itself.
    pub(super) fn find<'t>(&self, text: &'t str, own: Option<&str>) -> Option<Link<&'t str>> {
        if self.by_url.is_empty() && self.relative.is_empty() {
            return None;
        }
        let end = text.find(['#', '|']).filter(|end| *end > 0).unwrap_or(text.len());
        let (url, tail) = text.split_at_checked(end)?;
        let (url, version) =
            url.split_once("/_history/").map_or((url, None), |(url, version)| (url, Some(version)));
        let entry = self.named(url, own)?;
        if let Some(version) = version {
            let known = self.known.get(&entry)?;
            let says = known.version.as_deref().is_none_or(|says| says == version);
            if !says || !(known.renamed || url.starts_with("urn:")) {
                return None;
            }
        }
        Some(Link { entry, versioned: version.is_some(), tail })
    }

    fn named(&self, url: &str, own: Option<&str>) -> Option<usize> {
        if let Some(at) = self.by_url.get(url) {
            return Some(*at);
        }
        let Reference::Relative(key) = Reference::parse(url) else { return None };
        if let Some(Reference::Absolute(root, _)) = own.map(Reference::parse)
            && let Some(at) = self.by_url.get(&format!("{root}/{key}"))
        {
            return Some(*at);
        }
        self.relative.get(url).copied().flatten()
    }
}

/// What a url means: the resource of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link<T> {
    pub(super) entry: usize,
    /// Whether the version that the Bundle makes is meant, and not whatever is current later.
    versioned: bool,
    /// What follows the url: `#fragment`, `|version`.
    tail: T,
}

impl<T: AsRef<str>> Link<T> {
    pub(super) fn owned(&self) -> Link<String> {
        Link { entry: self.entry, versioned: self.versioned, tail: self.tail.as_ref().to_owned() }
    }

    /// The url once the resource has its name here.
    pub(super) fn text(&self, (key, version): &Identity) -> String {
        let tail = self.tail.as_ref();
        match self.versioned {
            true => format!("{key}/_history/{version}{tail}"),
            false => format!("{key}{tail}"),
        }
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
    use fhir_model::Key;
    use fhir_model::interaction::Method;
    use fhir_model::json::{Doc, Limits};

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
        let doc = Doc::parse(r#"{"meta": {"versionId": "3"}}"#, Limits::default()).unwrap();
        let known = Entry { resource: Some(doc.root()), ..entry("http://z.org/fhir/Patient/3") };
        let put = Entry {
            interaction: Interaction::Update(Key::new("Patient", "4")),
            ..entry("http://z.org/fhir/Patient/4")
        };
        let entries = [
            entry("urn:uuid:a"),
            entry("http://x.org/fhir/Patient/1"),
            entry("http://y.org/fhir/Patient/1"),
            entry("http://y.org/fhir/Patient/2"),
            known,
            put,
        ];
        let links = Links::new(&entries).unwrap();
        let identity = |at: usize| (Key::new("Patient", format!("new{at}")), 7);
        let at_x = Some("http://x.org/fhir/Observation/7");
        let at_z = Some("http://z.org/fhir/Observation/7");
        let urn = Some("urn:uuid:o");
        let rows = [
            ("urn:uuid:a", None, "Patient/new0"),
            ("urn:uuid:a#part", None, "Patient/new0#part"),
            ("urn:uuid:a|1", None, "Patient/new0|1"),
            ("urn:uuid:a/_history/1", None, "Patient/new0/_history/7"),
            ("urn:uuid:a/_history/1#part", None, "Patient/new0/_history/7#part"),
            ("urn:uuid:b", None, ""),
            ("urn:uuid:b/_history/1", None, ""),
            ("http://x.org/fhir/Patient/1", None, "Patient/new1"),
            ("http://x.org/fhir/Patient/1/_history/2", None, "Patient/new1/_history/7"),
            ("Patient/1", at_x, "Patient/new1"),
            ("Patient/1/_history/2", at_x, "Patient/new1/_history/7"),
            ("Patient/1#part", at_x, "Patient/new1#part"),
            ("Patient/1", Some("http://y.org/fhir/Observation/7"), "Patient/new2"),
            // Two entries could be meant.
            ("Patient/1", urn, ""),
            ("Patient/1/_history/2", urn, ""),
            ("Patient/2", urn, "Patient/new3"),
            ("Patient/2/_history/2", urn, "Patient/new3/_history/7"),
            // Another version than the one that is sent.
            ("Patient/3/_history/3", at_z, "Patient/new4/_history/7"),
            ("Patient/3/_history/2", at_z, ""),
            // Versions this server has itself.
            ("Patient/4", at_z, "Patient/new5"),
            ("Patient/4/_history/2", at_z, ""),
            ("http://z.org/fhir/Patient/4/_history/2", None, ""),
            ("#a", None, ""),
            ("", None, ""),
        ];
        for (text, own, wanted) in rows {
            let found = links.find(text, own).map(|link| link.text(&identity(link.entry)));
            assert_eq!(found.as_deref().unwrap_or_default(), wanted, "{text} {own:?}");
        }
    }

    #[test]
    fn full_urls_are_unique() {
        assert!(Links::new(&[entry("urn:uuid:a"), entry("urn:uuid:a")]).is_err());
    }
}
