//! Which entry of a transaction a url means: <https://hl7.org/fhir/R4/bundle.html#references>

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use fhir_model::interaction::Interaction;
use fhir_model::reference::Reference;
use fhir_model::{Error, Key, Result};
use fhir_search::Bases;

use super::entries::Entry;
use super::entry_error::in_entry;

/// The full urls of the entries that leave a resource behind.
pub(super) struct FullUrlIndex {
    /// Absolute urls and urns, as [`FullUrlIndex::name`] says them.
    by_url: HashMap<String, usize>,
    /// `Type/id` of entries that are below no base; `None` when two entries have the same.
    baseless: HashMap<String, Option<usize>>,
    targets: HashMap<usize, EntryTarget>,
    /// The server's own.
    bases: Bases,
}

/// What a full url resolves to: the resource of an entry.
struct EntryTarget {
    /// The key, where the entry's url says it.
    key: Option<Key>,
    /// The server chooses the id, so that ids and versions in the Bundle are those of elsewhere.
    renamed: bool,
    /// `meta.versionId`
    version: Option<String>,
}

impl FullUrlIndex {
    pub(super) fn new(entries: &[Entry<'_>], bases: &Bases) -> Result<FullUrlIndex> {
        let (by_url, baseless, targets) = Default::default();
        let mut links = FullUrlIndex { by_url, baseless, targets, bases: bases.clone() };
        let mut full_urls = HashSet::new();
        for (at, entry) in entries.iter().enumerate() {
            let renamed = match &entry.interaction {
                Interaction::Create(_) | Interaction::ConditionalUpdate(_) => true,
                Interaction::Update(_) | Interaction::Patch(_) | Interaction::ConditionalPatch(_) => false,
                _ => continue,
            };
            let meta = entry.resource.and_then(|resource| resource.get("meta"));
            let version = meta.and_then(|meta| meta.get_str("versionId")).map(|v| v.into_owned());
            let key = match &entry.interaction {
                Interaction::Update(key) | Interaction::Patch(key) => Some(key.clone()),
                _ => None,
            };
            links.targets.insert(at, EntryTarget { key, renamed, version });
            if let Some(url) = &entry.full_url {
                let name = links.name(url).into_owned();
                if !full_urls.insert(name.clone()) {
                    let error = Error::invalid("two entries have the same `fullUrl`").at("fullUrl");
                    return Err(in_entry(error, at));
                }
                if !matches!(Reference::parse(url), Reference::Relative(_)) {
                    links.by_url.insert(name, at);
                }
            }
            if let Some(written) = baseless_name(entry) {
                links.baseless.entry(written).and_modify(|seen| *seen = None).or_insert(Some(at));
            }
        }
        Ok(links)
    }

    /// The url in normalized form: the same below each of the server's own bases.
    fn name<'t>(&self, url: &'t str) -> Cow<'t, str> {
        match self.bases.below(url) {
            // No url of a client's has this character: JSON with it is refused.
            Some(path) => Cow::Owned(format!("\0{path}")),
            None => Cow::Borrowed(url),
        }
    }

    /// The key of an entry that does not wait for the database.
    pub(super) fn key(&self, entry: usize) -> Option<&Key> {
        self.targets.get(&entry)?.key.as_ref()
    }

    /// The entry that `text`, found in an entry with the full url `own`, means.
    ///
    /// A version in the text must be the one the entry's resource says it has. It counts only where the Bundle alone
    /// gives the url a meaning, not where the server has versions of the resource itself.
    pub(super) fn find<'t>(&self, text: &'t str, own: Option<&str>) -> Option<EntryReference<&'t str>> {
        if self.by_url.is_empty() && self.baseless.is_empty() {
            return None;
        }
        let end = text.find(['#', '|']).filter(|end| *end > 0).unwrap_or(text.len());
        let (url, tail) = text.split_at_checked(end)?;
        let (url, version) =
            url.split_once("/_history/").map_or((url, None), |(url, version)| (url, Some(version)));
        let entry = self.named(url, own)?;
        if let Some(version) = version {
            let targets = self.targets.get(&entry)?;
            let says = targets.version.as_deref().is_none_or(|says| says == version);
            if !says || !(targets.renamed || url.starts_with("urn:")) {
                return None;
            }
        }
        Some(EntryReference { entry, versioned: version.is_some(), tail })
    }

    /// A relative url is below the base of the entry it stands in: an entry below another base is somebody else's, even
    /// when it has the same type and id. Where there is no base, it can only mean an entry that has none either.
    fn named(&self, url: &str, own: Option<&str>) -> Option<usize> {
        if let Some(at) = self.by_url.get(&*self.name(url)) {
            return Some(*at);
        }
        let Reference::Relative(key) = Reference::parse(url) else { return None };
        match own.map(Reference::parse) {
            Some(Reference::Absolute(root, _)) => {
                self.by_url.get(&*self.name(&format!("{root}/{key}"))).copied()
            }
            _ => self.baseless.get(url).copied().flatten(),
        }
    }
}

/// The identity of an entry's resource once it is written: its key and version.
pub(super) type Identity = (Key, u32);

/// A reference to the resource of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EntryReference<T> {
    pub(super) entry: usize,
    /// Whether the version that the Bundle makes is meant, and not whatever is current later.
    versioned: bool,
    /// The rest after the url: `#fragment`, `|version`.
    tail: T,
}

impl<T: AsRef<str>> EntryReference<T> {
    pub(super) fn owned(&self) -> EntryReference<String> {
        EntryReference { entry: self.entry, versioned: self.versioned, tail: self.tail.as_ref().to_owned() }
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

/// The `Type/id` of an entry that is below no base: by that others without a base may speak of it before it has its id.
fn baseless_name(entry: &Entry<'_>) -> Option<String> {
    match (&entry.interaction, &entry.full_url) {
        // The resource of this server itself.
        (Interaction::Update(key) | Interaction::Patch(key), _) => Some(key.to_string()),
        (Interaction::ConditionalPatch(_), _) => None,
        (_, Some(url)) => match Reference::parse(url) {
            Reference::Relative(key) => Some(key.to_string()),
            // The id in the resource is not its name when the Bundle gives it another.
            _ => None,
        },
        (_, None) => {
            let resource = entry.resource?;
            Some(format!("{}/{}", resource.get_str("resourceType")?, resource.get_str("id")?))
        }
    }
}

#[cfg(test)]
mod tests {
    use fhir_model::interaction::Method;
    use fhir_model::json::{Doc, JsonLimits};

    use super::*;
    use crate::conditions::Conditions;

    fn entry(full_url: &str) -> Entry<'static> {
        Entry {
            full_url: (!full_url.is_empty()).then(|| full_url.to_owned()),
            method: Method::Post,
            path: "Patient".to_owned(),
            query: String::new(),
            interaction: Interaction::Create("Patient".into()),
            resource: None,
            conditions: Conditions::default(),
        }
    }

    fn put(full_url: &str, id: &str) -> Entry<'static> {
        Entry { interaction: Interaction::Update(Key::new("Patient", id)), ..entry(full_url) }
    }

    fn bases() -> Bases {
        Bases::new(["http://us/fhir", "https://us.org/fhir"])
    }

    #[test]
    fn urls_mean_entries() {
        let doc = |text: &str| Doc::parse(text.to_owned(), JsonLimits::default()).unwrap();
        let third = doc(r#"{"meta": {"versionId": "3"}}"#);
        let (five, six) = (
            doc(r#"{"resourceType": "Patient", "id": "5"}"#),
            doc(r#"{"resourceType": "Patient", "id": "6"}"#),
        );
        let entries = [
            entry("urn:uuid:a"),
            entry("http://x.org/fhir/Patient/1"),
            entry("http://y.org/fhir/Patient/1"),
            entry("http://y.org/fhir/Patient/2"),
            Entry { resource: Some(third.root()), ..entry("http://z.org/fhir/Patient/3") },
            put("http://z.org/fhir/Patient/4", "4"),
            Entry { resource: Some(five.root()), ..entry("") },
            Entry { resource: Some(six.root()), ..entry("") },
            put("urn:uuid:b6", "6"),
            entry("Patient/7"),
            entry("https://us.org/fhir/Patient/8"),
        ];
        let links = FullUrlIndex::new(&entries, &bases()).unwrap();
        let identity = |at: usize| (Key::new("Patient", format!("new{at}")), 7);
        let at_x = Some("http://x.org/fhir/Observation/7");
        let at_z = Some("http://z.org/fhir/Observation/7");
        let at_us = Some("http://us/fhir/Observation/7");
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
            // A url below another base is not a reference to the entry.
            ("Patient/2", at_x, ""),
            ("Patient/2/_history/2", at_x, ""),
            ("Patient/2", at_us, ""),
            ("Patient/5", at_x, ""),
            ("Patient/7", at_x, ""),
            ("Patient/8", at_x, ""),
            ("Patient/1", urn, ""),
            ("Patient/2", urn, ""),
            ("Patient/2", None, ""),
            ("Patient/8", None, ""),
            // Where there is no base, an entry without one is.
            ("Patient/5", None, "Patient/new6"),
            ("Patient/5", urn, "Patient/new6"),
            ("Patient/5/_history/1", Some("Observation/1"), "Patient/new6/_history/7"),
            ("Patient/7", None, "Patient/new9"),
            // This server's, or the one that the server is to name.
            ("Patient/6", None, ""),
            // Two names of this server.
            ("Patient/8", at_us, "Patient/new10"),
            ("HTTP://US/fhir/Patient/8", at_x, "Patient/new10"),
            ("http://us/fhir/Patient/8#part", None, "Patient/new10#part"),
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
        for pair in [
            ["urn:uuid:a", "urn:uuid:a"],
            ["Patient/1", "Patient/1"],
            ["http://us/fhir/Patient/1", "https://US.org/fhir/Patient/1"],
        ] {
            assert!(FullUrlIndex::new(&pair.map(entry), &bases()).is_err(), "{pair:?}");
        }
        assert!(FullUrlIndex::new(&["http://us/fhir/Patient/1", "Patient/1"].map(entry), &bases()).is_ok());
    }
}
