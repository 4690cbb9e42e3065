//! Bundles written as text: resources are spliced in as the bytes they are stored as.
//!
//! <https://hl7.org/fhir/R4/bundle.html>

use bytes::Bytes;
use fhir_model::Key;
use fhir_model::date::format_instant;
use fhir_model::error::{Issue, operation_outcome};
use fhir_model::status::reason;

use crate::reply::Reply;

/// A Bundle that grows.
pub struct BundleText {
    out: Vec<u8>,
    /// The list that is being written.
    list: List,
    /// The entry has no member yet.
    fresh: bool,
    /// The resources in it, where an observer wants to know.
    keys: Option<Vec<Key>>,
}

#[derive(PartialEq)]
enum List {
    None,
    Links,
    Entries,
}

impl BundleText {
    /// An empty Bundle of a type, with `bytes` reserved.
    pub fn new(type_name: &str, bytes: usize) -> BundleText {
        let mut out = Vec::with_capacity(bytes + 512);
        out.extend_from_slice(b"{\"resourceType\":\"Bundle\",\"type\":\"");
        out.extend_from_slice(type_name.as_bytes());
        out.push(b'"');
        BundleText { out, list: List::None, fresh: true, keys: None }
    }

    /// Remembers what resources it holds, when somebody wants to know.
    #[must_use]
    pub fn observed(mut self, is_observed: bool) -> BundleText {
        self.keys = is_observed.then(Vec::new);
        self
    }

    /// `total`, before links and entries.
    pub fn total(&mut self, total: u64) {
        self.push(&format!(",\"total\":{total}"));
    }

    /// A link, before the entries.
    pub fn link(&mut self, relation: &str, url: &str) {
        self.item(List::Links, ",\"link\":[");
        self.push(&format!("{{\"relation\":\"{relation}\",\"url\":"));
        self.string(url);
        self.push("}");
    }

    /// Begins an entry.
    pub fn entry(&mut self) {
        self.item(List::Entries, ",\"entry\":[");
        self.push("{");
        self.fresh = true;
    }

    /// Ends an entry.
    pub fn end_entry(&mut self) {
        self.push("}");
    }

    /// The address of a resource of this server.
    pub fn full_url(&mut self, base: &str, key: &Key) {
        if let Some(keys) = &mut self.keys {
            keys.push(key.clone());
        }
        self.member("fullUrl");
        self.string(&format!("{base}/{key}"));
    }

    /// JSON text, as it is.
    pub fn resource(&mut self, json: &[u8]) {
        self.member("resource");
        self.out.extend_from_slice(json);
    }

    /// Why the entry is in a searchset.
    pub fn search_mode(&mut self, mode: &str) {
        self.member("search");
        self.push(&format!("{{\"mode\":\"{mode}\"}}"));
    }

    /// A match, and how well it matches: from 0 to 1.
    pub fn search_score(&mut self, score: f32) {
        self.member("search");
        self.push(&format!("{{\"mode\":\"match\",\"score\":{score:.4}}}"));
    }

    /// An entry of a searchset that says what there is to say of the search, if there is anything.
    pub fn outcome(&mut self, issues: &[Issue]) {
        if issues.is_empty() {
            return;
        }
        self.entry();
        self.resource(operation_outcome(issues).to_string().as_bytes());
        self.search_mode("outcome");
        self.end_entry();
    }

    /// How the version of a history came.
    pub fn request(&mut self, method: &str, url: &str) {
        self.member("request");
        self.push(&format!("{{\"method\":\"{method}\",\"url\":"));
        self.string(url);
        self.push("}");
    }

    /// The response of the entry.
    pub fn response(
        &mut self,
        status: u16,
        location: Option<&str>,
        version: Option<u32>,
        last_modified: Option<i64>,
        outcome: Option<&[u8]>,
    ) {
        self.member("response");
        self.push(&format!("{{\"status\":\"{status} {}\"", reason(status)));
        if let Some(location) = location {
            self.push(",\"location\":");
            self.string(location);
        }
        if let Some(version) = version {
            self.push(&format!(",\"etag\":\"W/\\\"{version}\\\"\""));
        }
        if let Some(micros) = last_modified {
            self.push(&format!(",\"lastModified\":\"{}\"", format_instant(micros)));
        }
        if let Some(outcome) = outcome {
            self.push(",\"outcome\":");
            self.out.extend_from_slice(outcome);
        }
        self.push("}");
    }

    /// The whole as a reply.
    pub fn into_reply(mut self) -> Reply {
        let keys = self.keys.take().unwrap_or_default();
        Reply { keys, ..Reply::resource(self.finish()) }
    }

    /// The whole.
    fn finish(mut self) -> Bytes {
        if self.list != List::None {
            self.push("]");
        }
        self.push("}");
        Bytes::from(self.out)
    }

    fn item(&mut self, list: List, opening: &str) {
        if self.list == list {
            self.push(",");
            return;
        }
        if self.list != List::None {
            self.push("]");
        }
        self.push(opening);
        self.list = list;
    }

    fn member(&mut self, name: &str) {
        if !self.fresh {
            self.push(",");
        }
        self.fresh = false;
        self.push("\"");
        self.push(name);
        self.push("\":");
    }

    fn string(&mut self, text: &str) {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut self.out, text);
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_json() {
        let mut bundle = BundleText::new("searchset", 0);
        bundle.total(1);
        bundle.link("self", "http://a/\"b\"");
        bundle.link("next", "http://a/c");
        bundle.entry();
        bundle.full_url("http://a", &Key::new("Patient", "1"));
        bundle.resource(b"{\"resourceType\":\"Patient\"}");
        bundle.search_mode("match");
        bundle.end_entry();
        bundle.entry();
        bundle.request("PUT", "Patient/1");
        bundle.response(201, Some("Patient/1/_history/1"), Some(1), Some(0), Some(b"{}"));
        bundle.end_entry();
        let found: serde_json::Value = serde_json::from_slice(&bundle.finish()).unwrap();
        let wanted = serde_json::json!({
            "resourceType": "Bundle", "type": "searchset", "total": 1,
            "link": [{"relation": "self", "url": "http://a/\"b\""}, {"relation": "next", "url": "http://a/c"}],
            "entry": [
                {
                    "fullUrl": "http://a/Patient/1", "resource": {"resourceType": "Patient"},
                    "search": {"mode": "match"}
                },
                {
                    "request": {"method": "PUT", "url": "Patient/1"},
                    "response": {
                        "status": "201 Created", "location": "Patient/1/_history/1", "etag": "W/\"1\"",
                        "lastModified": "1970-01-01T00:00:00.000Z", "outcome": {}
                    }
                }
            ]
        });
        assert_eq!(found, wanted);
    }

    #[test]
    fn empty_bundles_have_no_entry() {
        assert_eq!(
            BundleText::new("history", 0).finish(),
            "{\"resourceType\":\"Bundle\",\"type\":\"history\"}"
        );
    }
}
