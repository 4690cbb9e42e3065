//! What a record refers to beyond the patient's compartment.

use std::collections::{BTreeMap, BTreeSet};

use fhir_interactions::Cx;
use fhir_model::{Error, Key, Kind, Result};
use fhir_search::Bases;
use fhir_search::reference::ParsedReference;
use fhir_store::{Scope, Version};
use memchr::memmem::Finder;

/// Most resources that the references of one record lead to.
const REFERENCES_MAX: usize = 10_000;

/// Gathers references to types outside of the patient compartment from bodies, without parsing them.
pub(crate) struct References<'c> {
    cx: &'c Cx,
    bases: &'c Bases,
    member: Finder<'static>,
    found: BTreeSet<Key>,
}

impl<'c> References<'c> {
    pub(crate) fn new(cx: &'c Cx, bases: &'c Bases) -> References<'c> {
        References { cx, bases, member: Finder::new(b"\"reference\""), found: BTreeSet::new() }
    }

    /// Takes all references of a body. Within a string the quotes around `reference` would have backslashes, so what is
    /// found is the name of a member.
    pub(crate) fn scan(&mut self, body: &[u8]) {
        let mut rest = body;
        while let Some(at) = self.member.find(rest) {
            rest = rest.get(at + b"\"reference\"".len()..).unwrap_or_default();
            if let Some(text) = string_after_colon(rest)
                && let Some(ParsedReference::Local(key)) = ParsedReference::parse(text, self.bases)
                && self.is_followed(&key)
            {
                self.found.insert(key);
            }
        }
    }

    fn is_followed(&self, key: &Key) -> bool {
        let registry = &self.cx.registry;
        registry.number(&key.type_name).is_some()
            && registry.compartments().for_resource("Patient", &key.type_name).is_none()
    }

    /// The resources that are referred to, and those that they refer to in turn, by type and id.
    pub(crate) async fn follow(mut self, scope: &Scope) -> Result<BTreeMap<Key, Version>> {
        let mut all = BTreeMap::new();
        let mut seen = BTreeSet::new();
        loop {
            let next: Vec<Key> =
                std::mem::take(&mut self.found).into_iter().filter(|k| seen.insert(k.clone())).collect();
            if next.is_empty() {
                return Ok(all);
            }
            if seen.len() > REFERENCES_MAX {
                let text =
                    format!("the record refers to more than {REFERENCES_MAX} resources; ask for fewer types");
                return Err(Error::new(Kind::TooCostly, text).at("_type"));
            }
            for version in self.cx.store.current(scope, &next).await? {
                self.scan(version.body.as_deref().unwrap_or_default());
                all.insert(version.key.clone(), version);
            }
        }
    }
}

/// `Patient/1` of `: "Patient/1"`. References have nothing that JSON would escape.
fn string_after_colon(text: &[u8]) -> Option<&str> {
    let text = text.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', text)?;
    std::str::from_utf8(text.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::string_after_colon;

    #[test]
    fn strings_after_colons() {
        for (text, found) in [
            (&b":\"Patient/1\"}"[..], Some("Patient/1")),
            (b" : \"Patient/1\", ", Some("Patient/1")),
            (b": {\"a\": 1}", None),
            (b", \"b\": 1", None),
            (b":\"open", None),
            (b"", None),
        ] {
            assert_eq!(string_after_colon(text), found);
        }
    }
}
