//! What is written in one go: a Bundle, a resource, or some lines of a list.

use fhir_model::Key;
use fhir_model::json::{Doc, Limits, Ref};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use super::identity;

/// Entries that are written together.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The file.
    pub(super) name: String,
    /// Its share of the progress bar.
    pub(super) bytes: u64,
    /// What is to be written, in order.
    pub(super) entries: Vec<Entry>,
    /// True when one entry may be written without the others.
    pub(super) independent: bool,
    /// True when all of it is to be written or nothing.
    pub(super) atomic: bool,
    /// Where the entries' own urls lead: `urn:uuid:...` to `Patient/...`.
    pub(super) urls: HashMap<String, String>,
    /// What could not be read.
    pub(super) errors: Vec<(String, String)>,
}

/// One entry of the Bundle that is sent.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it came from, for messages.
    pub(super) place: String,
    /// The entry's JSON text.
    pub(super) json: String,
    /// What it writes, when that is known.
    pub(super) key: Option<Key>,
    /// The resource as it will be written, but for references.
    pub(super) resource: Option<Doc>,
}

impl Piece {
    /// A file that cannot be read.
    pub(super) fn broken(name: String, bytes: u64, error: String) -> Piece {
        Piece { errors: vec![(name.clone(), error)], name, bytes, ..Piece::default() }
    }
}

/// The piece that a file's whole text is.
pub(super) fn of_text(name: &str, text: &[u8], limits: Limits) -> Piece {
    let bytes = text.len() as u64;
    // Editors of some systems put a byte order mark first.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let doc = match Doc::parse(text, limits) {
        Ok(doc) => doc,
        Err(error) => return Piece::broken(name.to_owned(), bytes, error.to_string()),
    };
    let root = doc.root();
    let kind = root.get_str("type").unwrap_or_default().into_owned();
    match (root.get_str("resourceType").as_deref(), kind.as_str()) {
        (Some("Bundle"), "transaction" | "batch" | "collection" | "searchset") => {
            let mut piece = of_bundle(name, root, &kind, limits);
            piece.bytes = bytes;
            piece
        }
        // Documents and messages are Bundles in their own right.
        _ => Piece { bytes, independent: true, ..of_resources(name, vec![(name.to_owned(), doc)], limits) },
    }
}

/// The piece that some lines of a list are; each comes with its number.
pub(super) fn of_lines(name: &str, lines: Vec<(usize, Vec<u8>)>, limits: Limits) -> Piece {
    let (mut docs, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        let place = format!("{name}:{number}");
        match Doc::parse(line, limits) {
            Ok(doc) => docs.push((place, doc)),
            Err(error) => errors.push((place, error.to_string())),
        }
    }
    let mut piece = of_resources(name, docs, limits);
    piece.errors.append(&mut errors);
    piece
}

fn of_bundle(name: &str, bundle: Ref<'_>, kind: &str, limits: Limits) -> Piece {
    let carries_resources = matches!(kind, "collection" | "searchset");
    let mut piece = Piece {
        name: name.to_owned(),
        independent: kind != "transaction",
        atomic: kind == "transaction",
        ..Piece::default()
    };
    let mut taken = HashSet::new();
    for (number, entry) in bundle.get("entry").into_iter().flat_map(Ref::items).enumerate() {
        let place = format!("{name}, entry {number}");
        let outcome =
            entry.get("search").is_some_and(|search| search.get_str("mode").as_deref() == Some("outcome"));
        if carries_resources && outcome {
            continue;
        }
        let made = if carries_resources {
            identity::put(entry, &mut taken, limits)
        } else {
            identity::of_entry(entry, &mut taken, limits)
        };
        match made {
            Ok((json, key, resource)) => {
                if let (Some(url), Some(key)) = (entry.get_str("fullUrl"), &key) {
                    piece.urls.insert(url.into_owned(), key.to_string());
                }
                piece.entries.push(Entry { place, json, key, resource });
            }
            // In a transaction this leaves the entry to the server, which says what is wrong with it.
            Err(text) if !carries_resources => {
                let json = entry.to_json();
                tracing::debug!("{place}: {text}");
                piece.entries.push(Entry { place, json, key: None, resource: None });
            }
            Err(text) => piece.errors.push((place, text)),
        }
    }
    piece
}

fn of_resources(name: &str, docs: Vec<(String, Doc)>, limits: Limits) -> Piece {
    let mut piece =
        Piece { name: name.to_owned(), independent: true, urls: HashMap::new(), ..Piece::default() };
    let mut taken = HashSet::new();
    for (place, doc) in docs {
        match identity::put_resource(None, doc.root(), &mut taken, limits) {
            Ok((json, key, resource)) => piece.entries.push(Entry { place, json, key, resource }),
            Err(text) => piece.errors.push((place, text)),
        }
    }
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> Piece {
        of_text("f.json", text.as_bytes(), Limits::default())
    }

    #[test]
    fn a_transaction_is_all_or_nothing_and_keeps_what_says_how_it_is_written() {
        let piece = piece(
            r#"{"resourceType":"Bundle","type":"transaction","entry":[
              {"fullUrl":"urn:uuid:aaaaaaaa-0000-0000-0000-000000000001","resource":{"resourceType":"Patient"},
               "request":{"method":"POST","url":"Patient"}},
              {"resource":{"resourceType":"Organization"},
               "request":{"method":"POST","url":"Organization","ifNoneExist":"identifier=x|1"}},
              {"request":{"method":"DELETE","url":"Patient/9"}}]}"#,
        );
        assert!(piece.atomic && !piece.independent && piece.errors.is_empty());
        let keys: Vec<_> = piece.entries.iter().map(|e| e.key.as_ref().map(Key::to_string)).collect();
        assert_eq!(keys, [Some("Patient/aaaaaaaa-0000-0000-0000-000000000001".to_owned()), None, None]);
        let first = &piece.entries[0].json;
        assert!(first.contains(r#""request":{"method":"PUT","url":"Patient/aaaaaaaa-0000-"#), "{first}");
        assert!(first.contains(r#""id":"aaaaaaaa-0000-0000-0000-000000000001""#), "{first}");
        assert!(piece.entries[1].json.contains("ifNoneExist"));
        assert!(piece.entries[2].json.contains("DELETE"));
    }

    #[test]
    fn collections_are_their_resources_and_documents_are_themselves() {
        let collection = piece(
            r#"{"resourceType":"Bundle","type":"searchset","entry":[
              {"resource":{"resourceType":"Patient","id":"1"},"search":{"mode":"match"}},
              {"resource":{"resourceType":"OperationOutcome"},"search":{"mode":"outcome"}}]}"#,
        );
        assert_eq!(collection.entries.len(), 1);
        let document = piece(r#"{"resourceType":"Bundle","id":"d","type":"document","entry":[]}"#);
        assert_eq!(document.entries[0].key, Some(Key::new("Bundle", "d")));
        let broken = piece("{");
        assert_eq!((broken.entries.len(), broken.errors.len()), (0, 1));
        let nameless = piece(r#"{"a":1}"#);
        assert_eq!((nameless.entries.len(), nameless.errors.len()), (0, 1));
    }
}
