//! What a loaded resource is called.
//!
//! A file may be loaded twice: after an interruption, or because it was copied into the folder again. A `POST` would
//! then make everything twice, so each entry that does not say otherwise is written by `PUT` to an id that follows from
//! the file alone. No ledger is kept beside the data, which could only disagree with it.

use fhir_model::Key;
use fhir_model::json::{Doc, Edits, JsonLimits, Ref};
use fhir_model::reference::Reference;
use foldhash::HashSet;
use sha2::{Digest, Sha256};

/// An entry as it is sent.
#[derive(Debug)]
pub(super) struct PreparedEntry {
    /// The entry's JSON text.
    pub(super) json: String,
    /// What it writes.
    pub(super) writes: Writes,
    /// The resource as it will be written, but for references; where that can be known.
    pub(super) resource: Option<Doc>,
    /// Sending it a second time does no more than sending it once.
    pub(super) is_repeatable: bool,
}

/// What an entry writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Writes {
    /// The resource of this name.
    Key(Key),
    /// The one resource that this search finds (`Patient?identifier=1`), or a new one: a conditional update.
    Match(String),
    /// A new resource, unless this search finds one: a conditional create.
    Unless(String),
    /// Something else: a deletion, a patch, nothing.
    Other,
}

/// An entry of a transaction or batch: as it is when it says how it is to be written, else a `PUT`.
///
/// # Errors
///
/// When it is no entry of a transaction, or its resource has an id that FHIR does not allow.
pub(super) fn from_entry(
    entry: Ref<'_>,
    taken: &mut HashSet<String>,
    limits: JsonLimits,
) -> Result<PreparedEntry, String> {
    let request = entry.get("request").ok_or("the entry has no request")?;
    let method = request.get_str("method").unwrap_or_default();
    let url = request.get_str("url").unwrap_or_default();
    let url = url.trim_matches('/');
    let resource = entry.get("resource");
    let type_name = resource.and_then(|resource| resource.get_str("resourceType")).unwrap_or_default();
    let has = |name: &str| request.get(name).is_some();
    let is_plain = !["ifNoneExist", "ifMatch", "ifNoneMatch", "ifModifiedSince"].into_iter().any(has);
    let as_it_is =
        |writes, resource| PreparedEntry { json: entry.to_json(), writes, resource, is_repeatable: true };
    // `POST Patient` with a Patient, rather than a search or an operation.
    let creates = &*method == "POST" && !type_name.is_empty() && url == type_name;
    if let Some(resource) = resource.filter(|_| creates || &*method == "PUT") {
        own_id(resource)?;
    }
    Ok(match (&*method, resource) {
        ("POST", _) if creates && is_plain => return put(entry, taken, limits),
        ("POST", _) if creates && has("ifNoneExist") => {
            let criteria = request.get_str("ifNoneExist").unwrap_or_default();
            as_it_is(Writes::Unless(search(&type_name, &criteria)), None)
        }
        ("PUT", Some(resource)) if is_plain => {
            let key = url.split_once('/').filter(|(_, id)| Key::is_id(id));
            match (key, url.contains('?')) {
                (Some((type_name, id)), _) => {
                    let doc = with_id(resource, id, limits)?;
                    as_it_is(Writes::Key(Key::new(type_name, id)), Some(doc))
                }
                (None, true) => {
                    let doc = Doc::parse(resource.to_json(), limits).map_err(|error| error.to_string())?;
                    as_it_is(Writes::Match(url.to_owned()), Some(doc))
                }
                (None, false) => as_it_is(Writes::Other, None),
            }
        }
        ("PUT" | "DELETE" | "GET" | "HEAD", _) => as_it_is(Writes::Other, None),
        _ => PreparedEntry { is_repeatable: false, ..as_it_is(Writes::Other, None) },
    })
}

/// The search that `ifNoneExist` asks for. It holds a query, and some write the path of the search before it.
fn search(type_name: &str, criteria: &str) -> String {
    let query = match criteria.split_once('?') {
        Some((path, query)) if !path.contains('=') => query,
        _ => criteria,
    };
    format!("{type_name}?{query}")
}

/// The resource of an entry, written to its id.
///
/// # Errors
///
/// When it has none, or one that is no resource.
pub(super) fn put(
    entry: Ref<'_>,
    taken: &mut HashSet<String>,
    limits: JsonLimits,
) -> Result<PreparedEntry, String> {
    let resource = entry.get("resource").ok_or("the entry has no resource")?;
    put_resource(entry.get_str("fullUrl").as_deref(), resource, taken, limits)
}

/// A resource, written to its id.
///
/// # Errors
///
/// When it is no resource, or has an id that FHIR does not allow.
pub(super) fn put_resource(
    full_url: Option<&str>,
    resource: Ref<'_>,
    taken: &mut HashSet<String>,
    limits: JsonLimits,
) -> Result<PreparedEntry, String> {
    let type_name =
        resource.get_str("resourceType").ok_or("this is no FHIR resource: it has no resourceType")?;
    let own = own_id(resource)?;
    let named =
        full_url.and_then(id_of_urn).or(own).or_else(|| full_url.and_then(|url| id_of_url(url, &type_name)));
    let id = named.unwrap_or_else(|| {
        // The same content twice in one file is two resources.
        let first = id_of_content(resource);
        let numbers = 2..;
        let further = numbers.map(|number: u32| format!("{first}-{number}"));
        let mut ids = std::iter::once(first.clone()).chain(further);
        ids.find(|id| !taken.contains(&format!("{type_name}/{id}"))).unwrap_or(first.clone())
    });
    let key = Key::new(&*type_name, id);
    taken.insert(key.to_string());
    let doc = with_id(resource, &key.id, limits)?;
    let json = entry_json(full_url, &doc, &format!(r#""method":"PUT","url":"{key}""#));
    Ok(PreparedEntry { json, writes: Writes::Key(key), resource: Some(doc), is_repeatable: true })
}

/// The text of an entry.
pub(super) fn entry_json(full_url: Option<&str>, resource: &Doc, request: &str) -> String {
    let full_url =
        full_url.map(|url| format!("\"fullUrl\":{},", serde_json::Value::from(url))).unwrap_or_default();
    format!("{{{full_url}\"resource\":{},\"request\":{{{request}}}}}", resource.text())
}

/// The id that a resource has itself. One that FHIR does not allow is a fault of the file: another would be a name that
/// nobody who refers to the resource knows.
fn own_id(resource: Ref<'_>) -> Result<Option<String>, String> {
    let Some(id) = resource.get("id") else { return Ok(None) };
    match id.str() {
        Some(text) if Key::is_id(&text) => Ok(Some(text.into_owned())),
        _ => {
            let shown: String = id.raw().chars().take(80).collect();
            Err(format!("{shown} is not an id that FHIR allows: 1 to 64 of `A-Z`, `a-z`, `0-9`, `-` and `.`"))
        }
    }
}

/// `urn:uuid:x` and `urn:oid:x`: `x` is a valid id, and stays the same however often the file is read.
fn id_of_urn(url: &str) -> Option<String> {
    let id = url.strip_prefix("urn:uuid:").or_else(|| url.strip_prefix("urn:oid:"))?;
    Key::is_id(id).then(|| id.to_owned())
}

/// The id at the end of `http://example.org/fhir/Patient/7`.
fn id_of_url(url: &str, type_name: &str) -> Option<String> {
    match Reference::parse(url) {
        Reference::Absolute(_, key) | Reference::Relative(key) if *key.type_name == *type_name => {
            Some(key.id.into())
        }
        _ => None,
    }
}

fn id_of_content(resource: Ref<'_>) -> String {
    let digest = Sha256::digest(resource.to_json().as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn with_id(resource: Ref<'_>, id: &str, limits: JsonLimits) -> Result<Doc, String> {
    let mut edits = Edits::default();
    match resource.get("id") {
        Some(own) => edits.replace(own, format!("\"{id}\"")),
        None => edits.insert(resource, format!("\"id\":\"{id}\"")),
    }
    let mut text = String::new();
    resource.write(&edits, &mut text);
    Doc::parse(text, limits).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use foldhash::HashSetExt;

    use super::*;

    fn doc(text: &str) -> Doc {
        Doc::parse(text, JsonLimits::default()).unwrap()
    }

    fn id(made: Result<PreparedEntry, String>) -> String {
        match made.unwrap().writes {
            Writes::Key(key) => key.id.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_id_follows_from_the_file_alone() {
        let rows = [
            (Some("urn:uuid:0d1f"), r#"{"resourceType":"Patient","id":"own"}"#, "Patient/0d1f"),
            (Some("urn:oid:1.2.3"), r#"{"resourceType":"Patient"}"#, "Patient/1.2.3"),
            (Some("http://example.org/Patient/7"), r#"{"resourceType":"Patient","id":"7"}"#, "Patient/7"),
            (Some("http://example.org/Patient/7"), r#"{"resourceType":"Patient"}"#, "Patient/7"),
            (None, r#"{"resourceType":"Patient","id":"own"}"#, "Patient/own"),
        ];
        for (url, text, wanted) in rows {
            let made =
                put_resource(url, doc(text).root(), &mut HashSet::new(), JsonLimits::default()).unwrap();
            assert!(matches!(&made.writes, Writes::Key(key) if key.to_string() == wanted), "{made:?}");
            let request = format!(r#""request":{{"method":"PUT","url":"{wanted}"}}"#);
            assert!(made.json.contains(&request), "{}", made.json);
        }
    }

    #[test]
    fn without_any_name_the_content_is_the_name() {
        let mut taken = HashSet::new();
        let text = doc(r#"{"resourceType":"Patient","active":true}"#);
        let mut ids = |doc: &Doc| id(put_resource(None, doc.root(), &mut taken, JsonLimits::default()));
        let first = ids(&text);
        assert!(Key::is_id(&first));
        assert_eq!(&*ids(&text), format!("{first}-2"), "the same content again is another resource");
        assert_ne!(ids(&doc(r#"{"resourceType":"Patient","active":false}"#)), first);
        let again = put_resource(None, text.root(), &mut HashSet::new(), JsonLimits::default());
        assert_eq!(id(again), first, "and the same in another run");
    }

    #[test]
    fn an_id_that_fhir_does_not_allow_is_refused() {
        let long = format!("\"{}\"", "a".repeat(65));
        for bad in ["\"a_b\"", "\"\"", "\"a b\"", "7", "null", "[\"a\"]", "\"é\"", &long] {
            let resource = format!(r#"{{"resourceType":"Patient","id":{bad}}}"#);
            for entry in [
                format!(r#"{{"resource":{resource},"request":{{"method":"POST","url":"Patient"}}}}"#),
                format!(
                    r#"{{"fullUrl":"urn:uuid:1","resource":{resource},"request":{{"method":"POST","url":"Patient"}}}}"#
                ),
                format!(r#"{{"resource":{resource},"request":{{"method":"PUT","url":"Patient/1"}}}}"#),
                format!(
                    r#"{{"resource":{resource},"request":{{"method":"PUT","url":"Patient?identifier=1"}}}}"#
                ),
            ] {
                let made = from_entry(doc(&entry).root(), &mut HashSet::new(), JsonLimits::default());
                assert!(made.unwrap_err().contains("is not an id"), "{entry}");
            }
        }
    }

    #[test]
    fn an_entry_says_what_it_writes() {
        let rows = [
            (r#""method":"PUT","url":"Patient/1""#, Writes::Key(Key::new("Patient", "1")), true),
            (
                r#""method":"PUT","url":"Patient?identifier=1""#,
                Writes::Match("Patient?identifier=1".into()),
                true,
            ),
            (r#""method":"PUT","url":"Patient/1","ifMatch":"W/\"1\"""#, Writes::Other, true),
            (
                r#""method":"POST","url":"Patient","ifNoneExist":"a=1""#,
                Writes::Unless("Patient?a=1".into()),
                true,
            ),
            (
                r#""method":"POST","url":"/Patient","ifNoneExist":"/Patient?a=http://b/?c|1""#,
                Writes::Unless("Patient?a=http://b/?c|1".into()),
                true,
            ),
            (
                r#""method":"POST","url":"Patient","ifNoneExist":"a=http://b/?c|1""#,
                Writes::Unless("Patient?a=http://b/?c|1".into()),
                true,
            ),
            (r#""method":"PUT","url":"/Patient/1""#, Writes::Key(Key::new("Patient", "1")), true),
            (
                r#""method":"PUT","url":"/Patient?identifier=1""#,
                Writes::Match("Patient?identifier=1".into()),
                true,
            ),
            (r#""method":"POST","url":"Patient/_search""#, Writes::Other, false),
            (r#""method":"PATCH","url":"Patient/1""#, Writes::Other, false),
            (r#""method":"DELETE","url":"Patient/1""#, Writes::Other, true),
        ];
        for (request, writes, is_repeatable) in rows {
            let entry = format!(r#"{{"resource":{{"resourceType":"Patient"}},"request":{{{request}}}}}"#);
            let made = from_entry(doc(&entry).root(), &mut HashSet::new(), JsonLimits::default()).unwrap();
            assert_eq!((&made.writes, made.is_repeatable), (&writes, is_repeatable), "{request}");
            assert_eq!(made.json, entry, "it is sent as it is");
        }
    }
}
