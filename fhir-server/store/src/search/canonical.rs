//! References by canonical url: <https://hl7.org/fhir/R4/references.html#canonical>
//!
//! Such a reference is to each resource that has the url, and the version where it names one. A row holds the urls that it
//! refers to and the url that it has, but no version of its own: that is asked of the bodies, of which there are few.

use std::collections::{BTreeSet, HashMap};

use fhir_model::{Error, Key, Kind, Result};
use fhir_search::include::{Canonical, Followed, ReferencedResource, Targets};
use fhir_search::index_hash::Form;
use fhir_search::registry::Param;
use fhir_search::sql;

use crate::scope::ScopedStore;
use crate::version::Version;

/// Most resources that have the urls which are followed at once.
const RESOURCES_MAX: usize = 5_000;
/// Bodies that are read at once.
const BODIES: usize = 100;

/// What canonical urls name.
pub(super) type CanonicalTargets = HashMap<Canonical, Vec<Key>>;

/// The resources that references lead to, each once.
pub(super) fn targets_of(followed: Followed, known: &CanonicalTargets) -> Vec<Key> {
    let by_url = followed.canonicals.iter().filter_map(|canonical| known.get(canonical)).flatten().cloned();
    let mut ends: Vec<Key> = followed.targets.into_keys().chain(by_url).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

impl ScopedStore<'_> {
    /// What references lead to, by type and id; the urls among them resolved.
    pub(super) async fn resolve_targets(&self, followed: Followed) -> Result<Targets> {
        let mut targets = followed.targets;
        for key in self.resolve_canonicals(&followed.canonicals).await?.into_values().flatten() {
            targets.entry(key).or_insert(None);
        }
        Ok(targets)
    }

    /// The resources that canonical urls name.
    pub(super) async fn resolve_canonicals(
        &self,
        canonicals: &BTreeSet<Canonical>,
    ) -> Result<CanonicalTargets> {
        let mut known = CanonicalTargets::new();
        let mut keys = BTreeSet::new();
        for canonical in canonicals {
            let this = self.registry.for_type(&canonical.type_name)?;
            self.registry.check_indexed(&canonical.type_name, "url")?;
            let indexes = this.param("url").into_iter().flat_map(|param| &param.indexes);
            keys.extend(indexes.map(|i| self.hasher.key(this.number, &i.name, Form::Uri, &[&canonical.url])));
        }
        if keys.is_empty() {
            return Ok(known);
        }
        let places = self
            .row_keys(&sql::rows_with_keys(
                keys.into_iter().collect(),
                &self.visible_rows(),
                RESOURCES_MAX + 1,
            ))
            .await?;
        if places.len() > RESOURCES_MAX {
            let text =
                format!("the canonical urls name more than {RESOURCES_MAX} resources; ask for less at once");
            return Err(Error::new(Kind::TooCostly, text));
        }
        let keys: Vec<Key> = places.into_iter().map(|(_, key)| key).collect();
        for named in self.named_by_bodies(&keys).await? {
            let ReferencedResource { key, url: Some(url), version } = named else { continue };
            // Without a version it is named, too, whichever it has.
            for version in std::iter::once(None).chain(version.map(Some)) {
                let canonical = Canonical { type_name: key.type_name.clone(), url: url.clone(), version };
                if canonicals.contains(&canonical) {
                    known.entry(canonical).or_default().push(key.clone());
                }
            }
        }
        Ok(known)
    }

    /// Resources as a parameter's references may name them.
    pub(super) async fn named_for(&self, keys: Vec<Key>, param: &Param) -> Result<Vec<ReferencedResource>> {
        match self.may_be_canonical(param) {
            true => self.named_with_urls(keys).await,
            false => Ok(keys.into_iter().map(ReferencedResource::from).collect()),
        }
    }

    /// True when references by the parameter can be canonical urls.
    pub(super) fn may_be_canonical(&self, param: &Param) -> bool {
        param.indexes.iter().any(|index| index.has_canonicals())
    }

    /// Resources as references of any kind may name them.
    pub(super) async fn named_with_urls(&self, keys: Vec<Key>) -> Result<Vec<ReferencedResource>> {
        let asked = |key: &Key| self.registry.has_canonical_url(&key.type_name);
        let (with, without): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(asked);
        let mut named = self.named_by_bodies(&with).await?;
        named.extend(without.into_iter().map(ReferencedResource::from));
        Ok(named)
    }

    /// A resource as its body says that it is named.
    pub(super) fn named_by_body(&self, version: &Version) -> Result<ReferencedResource> {
        match self.registry.has_canonical_url(&version.key.type_name) {
            true => Ok(ReferencedResource::from_body(version.key.clone(), version.doc()?.root())),
            false => Ok(version.key.clone().into()),
        }
    }

    async fn named_by_bodies(&self, keys: &[Key]) -> Result<Vec<ReferencedResource>> {
        let mut named = Vec::with_capacity(keys.len());
        for some in keys.chunks(BODIES) {
            let mut left = some.to_vec();
            while !left.is_empty() {
                let bytes = self.options.page_bytes_max;
                let (found, more) = self.current_within(&left, bytes).await?;
                left.retain(|key| more && !found.iter().any(|version| version.key == *key));
                for version in found {
                    named.push(self.named_by_body(&version)?);
                }
            }
        }
        Ok(named)
    }
}
