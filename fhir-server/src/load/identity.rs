//! What a loaded resource is called, and whether it is there already.
//!
//! A file may be loaded twice: after an interruption, or because it was copied into the folder again. A `POST` would
//! then make everything twice, so each entry that does not say otherwise is written by `PUT` to an id that follows from
//! the file alone. No ledger is kept beside the data, which could only disagree with it.

use std::borrow::Cow;

use fhir_model::Key;
use fhir_model::json::{Doc, Edits, Limits, Ref};
use foldhash::{HashMap, HashSet};
use sha2::{Digest, Sha256};

/// The entry to send, what it writes, and the resource in it.
pub(super) type Made = (String, Option<Key>, Option<Doc>);

/// An entry of a transaction or batch: as it is when it says how it is to be written, else a `PUT`.
pub(super) fn of_entry(entry: Ref<'_>, taken: &mut HashSet<String>, limits: Limits) -> Result<Made, String> {
    let request = entry.get("request").ok_or("the entry has no request")?;
    let method = request.get_str("method").unwrap_or_default();
    let conditional = ["ifNoneExist", "ifMatch", "ifNoneMatch", "ifModifiedSince"].iter();
    match &*method {
        "POST"
            if conditional.clone().all(|name| request.get(name).is_none()) && is_create(entry, request) =>
        {
            put(entry, taken, limits)
        }
        "PUT" if conditional.clone().all(|name| request.get(name).is_none()) => {
            let url = request.get_str("url").unwrap_or_default();
            let key = url.split_once('/').filter(|(_, id)| Key::is_id(id));
            let key = key.map(|(type_name, id)| Key::new(type_name, id));
            let resource = match (&key, entry.get("resource")) {
                (Some(key), Some(resource)) => Some(with_id(resource, &key.id, limits)?),
                _ => None,
            };
            Ok((entry.to_json(), key, resource))
        }
        _ => Ok((entry.to_json(), None, None)),
    }
}

/// `POST Patient` with a Patient, rather than a search or an operation.
fn is_create(entry: Ref<'_>, request: Ref<'_>) -> bool {
    let type_name = entry.get("resource").and_then(|resource| resource.get_str("resourceType"));
    type_name.is_some() && request.get_str("url") == type_name
}

/// The resource of an entry, written to its id.
pub(super) fn put(entry: Ref<'_>, taken: &mut HashSet<String>, limits: Limits) -> Result<Made, String> {
    let resource = entry.get("resource").ok_or("the entry has no resource")?;
    put_resource(entry.get_str("fullUrl"), resource, taken, limits)
}

/// A resource, written to its id.
pub(super) fn put_resource(
    full_url: Option<Cow<'_, str>>,
    resource: Ref<'_>,
    taken: &mut HashSet<String>,
    limits: Limits,
) -> Result<Made, String> {
    let type_name =
        resource.get_str("resourceType").ok_or("this is no FHIR resource: it has no resourceType")?;
    let own = || resource.get_str("id").map(Cow::into_owned).filter(|id| Key::is_id(id));
    let mut id =
        full_url.as_deref().and_then(id_of_urn).or_else(own).unwrap_or_else(|| id_of_content(resource));
    // The same content twice in one file is two resources; a name used twice is the file's mistake, which the server tells.
    if resource.get("id").is_none() && full_url.as_deref().and_then(id_of_urn).is_none() {
        let first = id.clone();
        let mut turn = 1;
        while taken.contains(&format!("{type_name}/{id}")) {
            turn += 1;
            id = format!("{first}-{turn}");
        }
    }
    let key = Key::new(&*type_name, id);
    taken.insert(key.to_string());
    let doc = with_id(resource, &key.id, limits)?;
    let full_url =
        full_url.map(|url| format!("\"fullUrl\":{},", serde_json::Value::from(&*url))).unwrap_or_default();
    let resource = doc.text();
    let json =
        format!("{{{full_url}\"resource\":{resource},\"request\":{{\"method\":\"PUT\",\"url\":\"{key}\"}}}}");
    Ok((json, Some(key), Some(doc)))
}

/// `urn:uuid:x` and `urn:oid:x`: `x` is a valid id, and stays the same however often the file is read.
fn id_of_urn(url: &str) -> Option<String> {
    let id = url.strip_prefix("urn:uuid:").or_else(|| url.strip_prefix("urn:oid:"))?;
    Key::is_id(id).then(|| id.to_owned())
}

fn id_of_content(resource: Ref<'_>) -> String {
    let digest = Sha256::digest(resource.to_json().as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn with_id(resource: Ref<'_>, id: &str, limits: Limits) -> Result<Doc, String> {
    let mut edits = Edits::default();
    match resource.get("id") {
        Some(own) => edits.replace(own, format!("\"{id}\"")),
        None => edits.insert(resource, format!("\"id\":\"{id}\"")),
    }
    let mut text = String::new();
    resource.write(&edits, &mut text);
    Doc::parse(text, limits).map_err(|error| error.to_string())
}

/// True when `stored` is what writing `ours` would make of it. `urls` are the entries' own urls, which became references.
pub(super) fn same(ours: Ref<'_>, stored: Ref<'_>, urls: &HashMap<String, String>) -> bool {
    Comparison { urls }.resources(ours, stored)
}

struct Comparison<'a> {
    urls: &'a HashMap<String, String>,
}

impl Comparison<'_> {
    fn resources(&self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
        let rest = |resource: Ref<'_>| resource.children().filter(|c| !c.key_is("meta")).count();
        rest(ours) == rest(stored)
            && ours.children().filter(|c| !c.key_is("meta")).all(|c| self.member(c, stored))
            && self.metas(ours.get("meta"), stored.get("meta"))
    }

    /// The server owns `versionId` and `lastUpdated`.
    fn metas(&self, ours: Option<Ref<'_>>, stored: Option<Ref<'_>>) -> bool {
        fn kept<'d>(meta: Option<Ref<'d>>) -> impl Iterator<Item = Ref<'d>> + Clone {
            let owned = |c: &Ref<'_>| c.key_is("versionId") || c.key_is("lastUpdated");
            meta.into_iter().flat_map(Ref::children).filter(move |c| !owned(c))
        }
        let Some(stored) = stored else { return kept(ours).count() == 0 };
        kept(ours).count() == kept(Some(stored)).count() && kept(ours).all(|c| self.member(c, stored))
    }

    fn member(&self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
        stored.get(&ours.key()).is_some_and(|stored| self.values(ours, stored))
    }

    fn values(&self, ours: Ref<'_>, stored: Ref<'_>) -> bool {
        if ours.kind() != stored.kind() {
            return false;
        }
        if ours.is_object() {
            return ours.children().count() == stored.children().count()
                && ours.children().all(|c| self.member(c, stored));
        }
        if ours.is_array() {
            return ours.children().count() == stored.children().count()
                && ours.children().zip(stored.children()).all(|(a, b)| self.values(a, b));
        }
        match (ours.str(), stored.str()) {
            (Some(ours), Some(stored)) => ours == stored || self.resolves(&ours, &stored),
            _ => ours.raw() == stored.raw(),
        }
    }

    /// True when the reference `ours` became `stored`.
    fn resolves(&self, ours: &str, stored: &str) -> bool {
        if let Some(target) = self.urls.get(ours) {
            return target == stored;
        }
        // `Practitioner?identifier=...` became the practitioner that was found.
        if let (Some((found, _)), Some((wanted, _))) = (stored.split_once('/'), ours.split_once('?')) {
            return found == wanted && found.starts_with(|c: char| c.is_ascii_uppercase());
        }
        // Links within a narrative.
        if !ours.contains("urn:") {
            return false;
        }
        let known = self.urls.iter().filter(|(url, _)| ours.contains(url.as_str()));
        known.fold(ours.to_owned(), |text, (url, target)| text.replace(url.as_str(), target)) == stored
    }
}

#[cfg(test)]
mod tests {
    use foldhash::{HashMapExt, HashSetExt};

    use super::*;

    fn doc(text: &str) -> Doc {
        Doc::parse(text, Limits::default()).unwrap()
    }

    #[test]
    fn an_id_follows_from_the_file_alone() {
        let rows = [
            (Some("urn:uuid:0d1f"), r#"{"resourceType":"Patient","id":"own"}"#, "Patient/0d1f"),
            (Some("urn:oid:1.2.3"), r#"{"resourceType":"Patient"}"#, "Patient/1.2.3"),
            (Some("http://example.org/Patient/7"), r#"{"resourceType":"Patient","id":"7"}"#, "Patient/7"),
            (None, r#"{"resourceType":"Patient","id":"own"}"#, "Patient/own"),
        ];
        for (url, text, wanted) in rows {
            let (json, key, _) =
                put_resource(url.map(Cow::from), doc(text).root(), &mut HashSet::new(), Limits::default())
                    .unwrap();
            assert_eq!(key.unwrap().to_string(), wanted);
            assert!(json.contains(&format!(r#""request":{{"method":"PUT","url":"{wanted}"}}"#)), "{json}");
        }
    }

    #[test]
    fn without_any_name_the_content_is_the_name() {
        let mut taken = HashSet::new();
        let text = doc(r#"{"resourceType":"Patient","active":true}"#);
        let mut ids = |doc: &Doc| {
            let made = put_resource(None, doc.root(), &mut taken, Limits::default());
            made.unwrap().1.unwrap().id
        };
        let first = ids(&text);
        assert!(Key::is_id(&first));
        assert_eq!(&*ids(&text), format!("{first}-2"), "the same content again is another resource");
        assert_ne!(ids(&doc(r#"{"resourceType":"Patient","active":false}"#)), first);
        let again = put_resource(None, text.root(), &mut HashSet::new(), Limits::default());
        assert_eq!(again.unwrap().1.unwrap().id, first, "and the same in another run");
    }

    #[test]
    fn sameness_passes_over_what_the_server_owns_and_resolves() {
        let mut urls = HashMap::new();
        urls.insert("urn:uuid:1".to_owned(), "Patient/1".to_owned());
        let rows = [
            (r#"{"id":"a"}"#, r#"{"id":"a","meta":{"versionId":"1","lastUpdated":"2020"}}"#, true),
            (r#"{"meta":{"versionId":"7"}}"#, r#"{"meta":{"versionId":"1"}}"#, true),
            (r#"{"meta":{"profile":["p"]}}"#, r#"{"meta":{"versionId":"1","profile":["p"]}}"#, true),
            (r#"{"meta":{"profile":["p"]}}"#, r#"{"meta":{"versionId":"1"}}"#, false),
            (r#"{"id":"a"}"#, r#"{"id":"a","meta":{"profile":["p"]}}"#, false),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2],"a":1}"#, true),
            (r#"{"a":1.0}"#, r#"{"a":1.00}"#, false),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false),
            (r#"{"s":{"reference":"urn:uuid:1"}}"#, r#"{"s":{"reference":"Patient/1"}}"#, true),
            (r#"{"s":{"reference":"urn:uuid:1"}}"#, r#"{"s":{"reference":"Patient/2"}}"#, false),
            (r#"{"s":"<a href='urn:uuid:1'>x</a>"}"#, r#"{"s":"<a href='Patient/1'>x</a>"}"#, true),
            (r#"{"s":"Patient?identifier=x"}"#, r#"{"s":"Patient/9"}"#, true),
            (r#"{"s":"Patient?identifier=x"}"#, r#"{"s":"Group/9"}"#, false),
        ];
        for (ours, stored, wanted) in rows {
            assert_eq!(same(doc(ours).root(), doc(stored).root(), &urls), wanted, "{ours} {stored}");
        }
    }
}
