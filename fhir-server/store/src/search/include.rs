//! What `_include` and `_revinclude` add to a page: <https://hl7.org/fhir/R4/search.html#revinclude>
//!
//! Round by round: first what the matches refer to and what refers to them, then, as far as an include says `:iterate`,
//! the same of what was included. Each resource comes once, so cycles end. A round is one statement for references and
//! one for what refers, whatever their types.

use std::collections::{BTreeMap, HashSet};

use fhir_model::json::{Doc, Limits};
use fhir_model::{Error, Key, Result};
use fhir_search::include::{Referring, Targets};
use fhir_search::query::Include;
use fhir_search::sql;

use crate::Store;
use crate::scope::Scope;
use crate::version::{Found, Version};

/// Most keys of references that one statement looks for.
const KEYS_MAX: usize = 50_000;
/// Keys that are worth a statement.
const KEYS_MIN: usize = 100;

impl Store {
    /// What the includes add to the matches, in no order that means anything; none when that is more than `max`.
    pub(super) async fn included(
        &self,
        scope: &Scope,
        includes: &[Include],
        matches: &[Version],
        max: usize,
    ) -> Result<Option<Vec<Version>>> {
        let mut seen: HashSet<Key> = matches.iter().map(|version| version.key.clone()).collect();
        let mut found: Vec<Version> = Vec::new();
        let mut next: Vec<Version> = Vec::new();
        for round in 0.. {
            let of_round: Vec<&Include> = of_round(includes, round).collect();
            let layer = if round == 0 { matches } else { &next };
            if of_round.is_empty() || layer.is_empty() {
                break;
            }
            let room = max.saturating_sub(found.len() + next.len());
            let mut more = Vec::new();
            if !self.referred(scope, &of_round, layer, room, &mut seen, &mut more).await?
                || !self.referring(scope, &of_round, layer, room, &mut seen, &mut more).await?
            {
                return Ok(None);
            }
            found.append(&mut next);
            next = more;
        }
        found.append(&mut next);
        Ok(Some(found))
    }

    /// Adds what the layer refers to; false when that is more than there is room for.
    async fn referred(
        &self,
        scope: &Scope,
        includes: &[&Include],
        layer: &[Version],
        room: usize,
        seen: &mut HashSet<Key>,
        more: &mut Vec<Version>,
    ) -> Result<bool> {
        let mut targets = self.targets(includes, layer)?;
        targets.retain(|key, _| !seen.contains(key));
        let keys: Vec<Key> = targets.keys().cloned().collect();
        // What is referred to need not be there, so that only what is found counts.
        for keys in keys.chunks((room + 1).max(KEYS_MIN)) {
            for version in self.current(scope, keys).await? {
                let named = targets.get(&version.key).copied().flatten();
                seen.insert(version.key.clone());
                more.push(self.named(scope, version, named).await?);
            }
            if more.len() > room {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The version that a reference names, where there is one and it is still known.
    async fn named(&self, scope: &Scope, current: Version, named: Option<u32>) -> Result<Version> {
        let Some(named) = named.filter(|named| *named != current.version) else { return Ok(current) };
        Ok(match self.vread(scope, &current.key, named).await? {
            Found::Current(version) => version,
            _ => current,
        })
    }

    /// Adds what refers to the layer; false when that is more than there is room for.
    async fn referring(
        &self,
        _: &Scope,
        includes: &[&Include],
        layer: &[Version],
        room: usize,
        seen: &mut HashSet<Key>,
        more: &mut Vec<Version>,
    ) -> Result<bool> {
        let targets: Vec<&Key> = layer.iter().map(|version| &version.key).collect();
        let to = Referring::to(&targets, includes, &self.registry, &self.keyer);
        if to.is_empty() {
            return Ok(true);
        }
        if to.keys.len() > KEYS_MAX && layer.len() > 1 {
            return Ok(false);
        }
        // Of so many from either index one is new that there is no room for.
        let limit = room + seen.len() + 1;
        for row in self.run(&sql::referring(&to, limit)).await? {
            let version = self.of_any_type(&row)?;
            if seen.insert(version.key.clone()) {
                more.push(version);
            }
        }
        Ok(more.len() <= room)
    }

    /// What resources refer to, as far as the includes follow it.
    pub(super) fn targets(&self, includes: &[&Include], layer: &[Version]) -> Result<Targets> {
        let mut targets = BTreeMap::new();
        for version in layer {
            let type_name = &*version.key.type_name;
            let forward: Vec<&Include> =
                includes.iter().filter(|i| !i.reverse && i.is_from(type_name)).copied().collect();
            if forward.is_empty() {
                continue;
            }
            let doc = parse(version)?;
            let bases = &self.options.bases;
            self.registry.follow(type_name, &forward, doc.root(), bases, &mut targets)?;
        }
        Ok(targets)
    }
}

/// The body as a tree.
pub(super) fn parse(version: &Version) -> Result<Doc> {
    let body = version.body.as_deref().unwrap_or_default();
    Doc::parse(body.to_vec(), Limits::NONE).map_err(Error::internal)
}

/// The includes that count in a round.
pub(super) fn of_round(includes: &[Include], round: usize) -> impl Iterator<Item = &Include> {
    includes.iter().filter(move |include| round == 0 || include.iterate)
}
