//! What is written in one go: a Bundle, a resource, or some lines of a list.

use std::sync::Arc;

use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::types::Types;
use fhir_model::{Key, xml};
use foldhash::{HashMapExt, HashSet, HashSetExt};

use super::identity::{self, PreparedEntry, Writes};
use super::same::{UrlTarget, Urls};

/// Entries that are written together.
#[derive(Debug)]
pub(super) struct Piece {
    /// The file.
    pub(super) name: String,
    /// Its share of the progress bar.
    pub(super) bytes: u64,
    /// The file ends with it.
    pub(super) ends_file: bool,
    /// What is to be written, in order.
    pub(super) entries: Vec<Entry>,
    /// True when all of it is to be written or nothing.
    pub(super) atomic: bool,
    /// Where the entries' own urls lead.
    pub(super) urls: Urls,
    /// What could not be read.
    pub(super) errors: Vec<(String, String)>,
    /// Resources among that.
    pub(super) failed: u64,
}

/// One entry of the Bundle that is sent.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it came from, for messages.
    pub(super) name: String,
    pub(super) full_url: Option<String>,
    pub(super) made: PreparedEntry,
    /// Its place among all entries of all files.
    pub(super) place: u64,
}

impl Entry {
    /// The resource it writes, when that has a name from the start.
    pub(super) fn key(&self) -> Option<&Key> {
        match &self.made.writes {
            Writes::Key(key) => Some(key),
            _ => None,
        }
    }
}

/// How files are read.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) limits: JsonLimits,
    pub(super) types: Arc<dyn Types>,
}

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Xml,
}

impl Reading {
    fn doc(&self, text: &[u8], format: Format) -> Result<Doc, String> {
        // Editors of some systems put a byte order mark first.
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        match format {
            Format::Json => Doc::parse(text, self.limits).map_err(|error| error.to_string()),
            Format::Xml => {
                let json =
                    xml::to_json(text, &*self.types, self.limits).map_err(|error| error.to_string())?;
                let doc = Doc::parse(json, self.limits);
                doc.map_err(|error| format!("the XML, read as JSON, is {error}"))
            }
        }
    }
}

impl Piece {
    fn new(name: &str) -> Piece {
        Piece {
            name: name.to_owned(),
            bytes: 0,
            ends_file: false,
            entries: Vec::new(),
            atomic: false,
            urls: Urls::new(),
            errors: Vec::new(),
            failed: 0,
        }
    }

    /// A file that cannot be read.
    pub(super) fn broken(name: &str, bytes: u64, error: String) -> Piece {
        Piece { errors: vec![(name.to_owned(), error)], bytes, ends_file: true, ..Piece::new(name) }
    }

    /// Gives the entries their places, from `first` on; those of a Bundle that is all or nothing share one.
    pub(super) fn number(&mut self, first: u64) -> u64 {
        let mut next = first;
        for entry in &mut self.entries {
            entry.place = next;
            next += u64::from(!self.atomic);
        }
        if self.atomic { next + 1 } else { next }
    }

    fn add(&mut self, name: String, full_url: Option<String>, made: PreparedEntry) {
        let target = match &made.writes {
            Writes::Key(key) => Some(UrlTarget::Key(key.clone())),
            Writes::Unless(search) | Writes::Match(search) => Some(UrlTarget::Search(search.clone())),
            Writes::Other => None,
        };
        if let (Some(url), Some(target)) = (&full_url, target) {
            self.urls.insert(url.clone(), target);
        }
        self.entries.push(Entry { name, full_url, made, place: 0 });
    }

    fn fail(&mut self, name: String, error: String) {
        self.errors.push((name, error));
        self.failed += 1;
    }
}

/// The piece that a file's whole text is.
pub(super) fn from_text(name: &str, text: &[u8], format: Format, reading: &Reading) -> Piece {
    let bytes = text.len() as u64;
    let doc = match reading.doc(text, format) {
        Ok(doc) => doc,
        Err(error) => return Piece::broken(name, bytes, error),
    };
    let root = doc.root();
    let kind = root.get_str("type").unwrap_or_default().into_owned();
    let piece = match (root.get_str("resourceType").as_deref(), kind.as_str()) {
        (Some("Bundle"), "transaction" | "batch" | "collection" | "searchset") => {
            from_bundle(name, root, &kind, reading.limits)
        }
        // Documents and messages are Bundles in their own right.
        _ => from_resources(name, vec![(name.to_owned(), doc)], reading.limits),
    };
    Piece { bytes, ends_file: true, ..piece }
}

/// The piece that some lines of a list are; each comes with its number.
pub(super) fn from_lines(name: &str, lines: Vec<(usize, Vec<u8>)>, limits: JsonLimits) -> Piece {
    let (mut docs, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        let place = format!("{name}:{number}");
        let line = match line.strip_prefix("\u{feff}".as_bytes()).filter(|_| number == 1) {
            Some(rest) => rest.to_vec(),
            None => line,
        };
        match Doc::parse(line, limits) {
            Ok(doc) => docs.push((place, doc)),
            Err(error) => errors.push((place, error.to_string())),
        }
    }
    let mut piece = from_resources(name, docs, limits);
    piece.failed += errors.len() as u64;
    piece.errors.append(&mut errors);
    piece
}

fn from_bundle(name: &str, bundle: Ref<'_>, kind: &str, limits: JsonLimits) -> Piece {
    let carries_resources = matches!(kind, "collection" | "searchset");
    let mut piece = Piece { atomic: kind == "transaction", ..Piece::new(name) };
    let mut taken = HashSet::new();
    for (number, entry) in bundle.get("entry").into_iter().flat_map(Ref::items).enumerate() {
        let outcome =
            entry.get("search").is_some_and(|search| search.get_str("mode").as_deref() == Some("outcome"));
        if carries_resources && outcome {
            continue;
        }
        let made = if carries_resources {
            identity::put(entry, &mut taken, limits)
        } else {
            identity::from_entry(entry, &mut taken, limits)
        };
        let place = format!("{name}, entry {number}");
        match made {
            Ok(made) => piece.add(place, entry.get_str("fullUrl").map(|url| url.into_owned()), made),
            Err(error) => piece.fail(place, error),
        }
    }
    if piece.atomic && piece.failed > 0 {
        piece.failed += piece.entries.len() as u64;
        piece.entries.clear();
    }
    piece
}

fn from_resources(name: &str, docs: Vec<(String, Doc)>, limits: JsonLimits) -> Piece {
    let mut piece = Piece::new(name);
    let mut taken = HashSet::new();
    for (place, doc) in docs {
        match identity::put_resource(None, doc.root(), &mut taken, limits) {
            Ok(made) => piece.add(place, None, made),
            Err(error) => piece.fail(place, error),
        }
    }
    piece
}

#[cfg(test)]
mod tests {
    use fhir_profiles::Definitions;

    use super::*;

    fn piece_of(text: &str, format: Format) -> Piece {
        let reading =
            Reading { limits: JsonLimits::default(), types: Arc::new(Definitions::load().unwrap()) };
        from_text("f", text.as_bytes(), format, &reading)
    }

    fn piece(text: &str) -> Piece {
        piece_of(text, Format::Json)
    }

    #[test]
    fn a_transaction_is_all_or_nothing_and_keeps_what_says_how_it_is_written() {
        let mut piece = piece(
            r#"{"resourceType":"Bundle","type":"transaction","entry":[
              {"fullUrl":"urn:uuid:aaaaaaaa-0000-0000-0000-000000000001","resource":{"resourceType":"Patient"},
               "request":{"method":"POST","url":"Patient"}},
              {"resource":{"resourceType":"Organization"},
               "request":{"method":"POST","url":"Organization","ifNoneExist":"identifier=x|1"}},
              {"request":{"method":"DELETE","url":"Patient/9"}}]}"#,
        );
        assert!(piece.atomic && piece.errors.is_empty());
        let keys: Vec<_> = piece.entries.iter().map(|e| e.key().map(Key::to_string)).collect();
        assert_eq!(keys, [Some("Patient/aaaaaaaa-0000-0000-0000-000000000001".to_owned()), None, None]);
        let first = &piece.entries[0].made.json;
        assert!(first.contains(r#""request":{"method":"PUT","url":"Patient/aaaaaaaa-0000-"#), "{first}");
        assert!(first.contains(r#""id":"aaaaaaaa-0000-0000-0000-000000000001""#), "{first}");
        assert!(piece.entries[1].made.json.contains("ifNoneExist"));
        assert!(piece.entries[2].made.json.contains("DELETE"));
        assert_eq!(piece.number(7), 8);
        assert!(piece.entries.iter().all(|entry| entry.place == 7), "they stand or fall together");
    }

    #[test]
    fn a_transaction_with_an_entry_that_cannot_be_is_not_sent() {
        let piece = piece(
            r#"{"resourceType":"Bundle","type":"transaction","entry":[
              {"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
              {"resource":{"resourceType":"Patient","id":"a_b"},"request":{"method":"POST","url":"Patient"}}]}"#,
        );
        assert_eq!((piece.entries.len(), piece.failed, piece.errors.len()), (0, 2, 1));
        assert_eq!(piece.errors[0].0, "f, entry 1");
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
        assert_eq!(document.entries[0].key(), Some(&Key::new("Bundle", "d")));
        let broken = piece("{");
        assert_eq!((broken.entries.len(), broken.errors.len()), (0, 1));
        let nameless = piece(r#"{"a":1}"#);
        assert_eq!((nameless.entries.len(), nameless.errors.len(), nameless.failed), (0, 1, 1));
    }

    #[test]
    fn xml_is_read_as_what_it_says() {
        let patient =
            r#"<Patient xmlns="http://hl7.org/fhir"><id value="p"/><active value="true"/></Patient>"#;
        let piece = piece_of(patient, Format::Xml);
        assert_eq!(piece.entries[0].key(), Some(&Key::new("Patient", "p")), "{:?}", piece.errors);
        let bundle = format!(
            r#"<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><resource>{patient}</resource></entry></Bundle>"#
        );
        assert_eq!(piece_of(&bundle, Format::Xml).entries.len(), 1);
        assert_eq!(piece_of("<Patient/>", Format::Xml).errors.len(), 1);
        assert_eq!(piece_of("<!DOCTYPE x><Patient/>", Format::Xml).errors.len(), 1);
    }
}
