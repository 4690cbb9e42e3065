//! A write and what its statements need: rows of the index, packed bodies, the handle.

use fhir_model::json::{Doc, JsonLimits};
use fhir_model::{Error, Key, Result};
use fhir_search::index_hash::{IndexHasher, parse_server_id};
use fhir_search::registry::Set;
use fhir_search::registry::index_change::{FormerEntries, IndexChange};
use fhir_search::rows::{DATE_MIN, Rows};
use fhir_search::tenant::TenantId;

use super::{Precondition, Write};
use crate::body::{self, AsJsonb};
use crate::parameters::Definition;
use crate::scope::ScopedStore;
use crate::version::{Method, ResourceState, Version};
use crate::{Store, codec};

/// A write with everything computed that the statements need.
pub(crate) struct PreparedWrite<'w> {
    pub(super) write: &'w Write,
    pub(super) type_id: i32,
    pub(crate) handle: i64,
    pub(super) version: i32,
    pub(super) rows: Rows,
    pub(super) old_rows: Rows,
    /// The replaced version, packed for history.
    pub(super) old_packed: Option<Vec<u8>>,
    /// The new body, when JSONB does not hold it exactly (or is not wanted).
    pub(super) packed: Option<Vec<u8>>,
    /// The new body is kept as JSONB (too).
    pub(super) has_json: bool,
    /// The replaced version need not have all entries that it should have.
    pub(super) building: bool,
    /// Of a SearchParameter: what it asks for.
    pub(crate) definition: Option<Definition>,
}

impl Store {
    /// The index rows of a body, in the tenant of the hasher.
    pub(crate) fn rows(&self, hasher: &IndexHasher, set: Set, key: &Key, doc: &Doc) -> Result<Rows> {
        self.registry.extract_by(set, hasher, &key.type_name, doc.root(), self.settings_of(hasher.tenant()))
    }

    /// The index rows that a version may have while not all are indexed by this format and these settings: of these, and of the
    /// earlier ones that some may still have.
    pub(crate) fn former_rows(&self, hasher: &IndexHasher, key: &Key, doc: &Doc) -> Result<Rows> {
        let ours = self.rows(hasher, Set::Replaced, key, doc)?;
        let (registry, resource) = (&*self.registry, doc.root());
        let search = &*registry.for_type(&key.type_name)?;
        let mut by_settings = vec![(self.settings_of(hasher.tenant()), *hasher, ours)];
        for (settings, hasher) in self.settings.former(*hasher) {
            let rows = registry.extract_by(Set::Replaced, &hasher, &key.type_name, resource, settings)?;
            by_settings.push((settings, hasher, rows));
        }
        let pending = registry.pending_change();
        let changes = pending.iter().flat_map(|pending| pending.changes.iter().rev());
        let mut every = Vec::with_capacity(by_settings.len());
        for (settings, hasher, mut rows) in by_settings {
            // The last format first: of what the one before it made is told what the one before that made.
            for former in changes.clone().filter_map(IndexChange::former) {
                let more =
                    former(&FormerEntries { search, hasher: &hasher, settings, resource, rows: &rows })?;
                rows.ordered.extend(more.ordered);
                rows.strings.extend(more.strings);
            }
            every.push(rows);
        }
        // The columns are those of this build: rules are asked of them.
        let mut every = every.into_iter();
        let mut all = every.next().unwrap_or_default();
        for rows in every {
            all.ordered.extend(rows.ordered);
            all.strings.extend(rows.strings);
        }
        Ok(all)
    }
}

impl ScopedStore<'_> {
    /// Refuses a write that the rules do not allow.
    ///
    /// # Errors
    ///
    /// `Forbidden` when they do not.
    pub(crate) fn check_write(&self, write: &Write) -> Result<()> {
        if self.writes_all_of(&write.key.type_name) {
            return Ok(());
        }
        let rows = |set, body: Option<&Doc>| match body {
            Some(doc) => self.rows(&self.hasher, set, &write.key, doc),
            None => Ok(Rows::default()),
        };
        let old = match &write.before {
            ResourceState::Current(Version { body: Some(body), .. }) => {
                Some(Doc::parse(body.to_vec(), JsonLimits::NONE).map_err(Error::internal)?)
            }
            _ => None,
        };
        self.check_rows(write, &rows(Set::Replaced, old.as_ref())?, &rows(Set::Written, write.doc.as_ref())?)
    }

    /// The rule must hold of the version that goes and of the one that comes.
    fn check_rows(&self, write: &Write, old: &Rows, new: &Rows) -> Result<()> {
        if self.writes_all_of(&write.key.type_name) {
            return Ok(());
        }
        if matches!(write.before, ResourceState::Current(_)) {
            self.check_writable(&write.key, old)?;
        }
        if write.doc.is_some() {
            self.check_writable(&write.key, new)?;
        }
        Ok(())
    }

    /// Computes what the statements of a write need, and refuses it when the rules do.
    pub(super) fn prepare<'w>(&self, write: &'w Write) -> Result<PreparedWrite<'w>> {
        let number = self.type_number(&write.key.type_name)?;
        let building = self.registry.is_building(&write.key.type_name);
        let (old_rows, old_packed) = match &write.before {
            ResourceState::Current(Version { body: Some(body), .. }) => {
                let doc = Doc::parse(body.to_vec(), JsonLimits::NONE).map_err(Error::internal)?;
                let rows = match self.registry.is_pending(&write.key.type_name) {
                    true => self.former_rows(&self.hasher, &write.key, &doc)?,
                    false => self.rows(&self.hasher, Set::Replaced, &write.key, &doc)?,
                };
                (rows, Some(codec::pack(body)?))
            }
            _ => (Rows::default(), None),
        };
        let shape = write.doc.as_ref().map_or(AsJsonb::Exact, body::as_jsonb);
        let packed = match &write.doc {
            Some(doc) if self.options.packed || shape != AsJsonb::Exact => {
                Some(codec::pack(doc.text().as_bytes())?)
            }
            _ => None,
        };
        let rows = match &write.doc {
            Some(doc) => self.rows(&self.hasher, Set::Written, &write.key, doc)?,
            None => Rows::default(),
        };
        self.check_rows(write, &old_rows, &rows)?;
        let has_json = !self.options.packed && shape != AsJsonb::Impossible;
        // A server-given id names its handle, but only when the server gives it: a client that brings such an id
        // gets a handle of its own, as somebody else's resource may have the other.
        let handle = match (&write.before, parse_server_id(&write.key.id)) {
            (ResourceState::Current(v) | ResourceState::Deleted(v), _) => v.handle,
            (ResourceState::Absent, Some(handle)) if write.method == Method::Post => handle,
            _ => self.hasher.foreign_handle(number, &write.key.id),
        };
        let version = i32::try_from(write.version).map_err(Error::internal)?;
        Ok(PreparedWrite {
            write,
            type_id: self.hasher.type_id(number),
            handle,
            version,
            rows,
            old_rows,
            old_packed,
            packed,
            has_json,
            building,
            definition: match self.hasher.tenant() {
                TenantId::DEFAULT | TenantId::SHARED => Definition::from_write(write, &self.registry)?,
                // What one organisation defines changes no index of the others.
                _ => None,
            },
        })
    }
}

impl PreparedWrite<'_> {
    /// False for the deletion of what is not there.
    pub(crate) fn changes_something(&self) -> bool {
        self.write.doc.is_some() || matches!(self.write.before, ResourceState::Current(_))
    }

    /// What else must be true when it is committed.
    pub(super) fn preconditions(&self) -> impl Iterator<Item = &Precondition> {
        self.write.preconditions.iter()
    }

    /// True for a deletion, and for a creation under an id that was a client's choice: see `turns::SEQUENCE`. An id that
    /// the server made just now is nobody else's.
    pub(super) fn needs_sequence(&self) -> bool {
        match &self.write.before {
            ResourceState::Current(_) => self.write.doc.is_none(),
            ResourceState::Deleted(_) => true,
            ResourceState::Absent => self.handle < 0,
        }
    }

    /// The id column: `None` when the id is the handle in hexadecimal.
    pub(super) fn id(&self) -> Option<&str> {
        (parse_server_id(&self.write.key.id) != Some(self.handle)).then_some(&*self.write.key.id)
    }

    /// The body as JSONB.
    pub(super) fn json(&self) -> Option<body::Jsonb<'_>> {
        self.write.doc.as_ref().filter(|_| self.has_json).map(|doc| body::Jsonb(doc.text()))
    }

    pub(super) fn date(&self) -> i64 {
        self.rows.date.map_or(DATE_MIN, |d| d.0)
    }

    pub(super) fn date_high(&self) -> Option<i64> {
        date_high(&self.rows)
    }
}

/// The prefix hashes; `None` (NULL in the row) when the resource has no texts.
pub(super) fn prefix_hashes(rows: &Rows) -> Option<&[i64]> {
    Some(rows.prefix_hashes.as_slice()).filter(|all| !all.is_empty())
}

/// The upper bound of the primary date, unless it is the second that begins at the lower one.
pub(super) fn date_high(rows: &Rows) -> Option<i64> {
    rows.date.filter(|(low, high)| low.checked_add(999_999) != Some(*high)).map(|d| d.1)
}
