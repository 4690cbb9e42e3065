//! What `_include` and `_revinclude` add to a page: <https://hl7.org/fhir/R4/search.html#revinclude>
//!
//! Round by round: first what the matches refer to and what refers to them, then, as far as an include says `:iterate`,
//! the same of what was included. Each resource comes once, so cycles end. A round is one statement for references and
//! one for what refers, whatever their types.

use std::collections::HashSet;

use fhir_model::{Key, Kind, Result};
use fhir_search::include::{Followed, ReferencedResource, Referring, Targets};
use fhir_search::query::Include;
use fhir_search::sql;

use super::timeouts;
use crate::scope::ScopedStore;
use crate::version::{ResourceState, Version};

/// Most keys of references that one statement looks for.
const KEYS_MAX: usize = 50_000;
/// Keys that are worth a statement.
const KEYS_MIN: usize = 100;

/// The included resources so far, and how many more rows and bytes fit.
struct IncludePage {
    seen: HashSet<Key>,
    found: Vec<Version>,
    rows: usize,
    bytes: usize,
}

impl IncludePage {
    /// Adds a resource unless it is there already. Returns false when it does not fit.
    fn try_push(&mut self, version: Version) -> bool {
        if !self.seen.insert(version.key.clone()) {
            return true;
        }
        let size = version.body.as_ref().map_or(0, |body| body.len());
        // Both are counted so that it does not matter which resource comes last.
        let (Some(rows), Some(bytes)) = (self.rows.checked_sub(1), self.bytes.checked_sub(size)) else {
            return false;
        };
        (self.rows, self.bytes) = (rows, bytes);
        self.found.push(version);
        true
    }
}

impl ScopedStore<'_> {
    /// What the includes add to the matches, in no particular order. Returns `None` when that is more than `max` resources,
    /// or more bytes than a page has.
    pub(super) async fn included(
        &self,
        includes: &[Include],
        matches: &[Version],
        max: usize,
    ) -> Result<Option<Vec<Version>>> {
        let mut included = IncludePage {
            seen: matches.iter().map(|version| version.key.clone()).collect(),
            found: Vec::new(),
            rows: max,
            bytes: self.options.page_bytes_max,
        };
        let mut from = 0;
        for round in 0.. {
            let of_round: Vec<&Include> = includes_in_round(includes, round).collect();
            let layer = if round == 0 { matches } else { included.found.get(from..).unwrap_or_default() };
            if of_round.is_empty() || layer.is_empty() {
                break;
            }
            let targets = match self.targets(&of_round, layer).await {
                // Of fewer matches they are fewer.
                Err(e) if e.kind == Kind::TooCostly && matches.len() > 1 => return Ok(None),
                targets => targets.map_err(|e| e.at("_include"))?,
            };
            let named = self.named(&of_round, layer)?;
            let to = Referring::to(&named, &of_round, &self.registry, &self.hasher);
            if to.keys.len() > KEYS_MAX && layer.len() > 1 {
                return Ok(None);
            }
            from = included.found.len();
            if !self.referred(targets, &mut included).await? || !self.referring(&to, &mut included).await? {
                return Ok(None);
            }
        }
        Ok(Some(included.found))
    }

    /// Adds the targets of references. Returns false when they do not all fit.
    async fn referred(&self, mut targets: Targets, included: &mut IncludePage) -> Result<bool> {
        targets.retain(|key, _| !included.seen.contains(key));
        let keys: Vec<Key> = targets.keys().cloned().collect();
        // What is referred to need not be there, so that only what is found counts.
        for keys in keys.chunks((included.rows + 1).max(KEYS_MIN)) {
            let found = self.current_all_within(keys, included.bytes).await;
            let Some(found) = found.map_err(|e| timeouts::costly_for(e, "_include"))? else {
                return Ok(false);
            };
            for version in found {
                let named = targets.get(&version.key).copied().flatten();
                if !included.try_push(self.version_named(version, named).await?) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Adds what refers to something. Returns false when that does not all fit.
    async fn referring(&self, to: &Referring, included: &mut IncludePage) -> Result<bool> {
        if to.is_empty() {
            return Ok(true);
        }
        // With so many rows from either index, at least one is new and does not fit.
        let limit = included.rows + included.seen.len() + 1;
        let sql = sql::referring(to, &self.visible_rows(), limit);
        let rows = self.run_all_within(&sql, included.bytes).await;
        let Some(rows) = rows.map_err(|e| timeouts::costly_for(e, "_revinclude"))? else {
            return Ok(false);
        };
        for row in rows {
            if !included.try_push(self.version_of_any_type(&row)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The version that a reference names, where there is one and it is still known.
    async fn version_named(&self, current: Version, named: Option<u32>) -> Result<Version> {
        let Some(named) = named.filter(|named| *named != current.version) else { return Ok(current) };
        Ok(match self.vread(&current.key, named).await? {
            ResourceState::Current(version) => version,
            _ => current,
        })
    }

    /// What resources refer to, as far as the includes follow it.
    pub(super) async fn targets(&self, includes: &[&Include], layer: &[Version]) -> Result<Targets> {
        let mut followed = Followed::default();
        for version in layer {
            let type_name = &*version.key.type_name;
            let forward: Vec<&Include> =
                includes.iter().filter(|i| !i.reverse && i.is_from(type_name)).copied().collect();
            if forward.is_empty() {
                continue;
            }
            let doc = version.doc()?;
            let bases = &self.index_settings().bases;
            self.registry.follow(type_name, &forward, doc.root(), bases, &mut followed)?;
        }
        self.resolve_targets(followed).await
    }

    /// Resources as others refer to them, as far as reverse includes ask.
    pub(super) fn named(&self, includes: &[&Include], layer: &[Version]) -> Result<Vec<ReferencedResource>> {
        match includes.iter().any(|include| include.reverse) {
            true => layer.iter().map(|version| self.named_by_body(version)).collect(),
            false => Ok(Vec::new()),
        }
    }
}

/// The includes that count in a round.
pub(super) fn includes_in_round(includes: &[Include], round: usize) -> impl Iterator<Item = &Include> {
    includes.iter().filter(move |include| round == 0 || include.iterate)
}
