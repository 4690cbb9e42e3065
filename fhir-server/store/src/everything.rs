//! What belongs to one patient, for `$everything`.

use std::collections::HashSet;

use fhir_model::{Error, Key, Result};
use fhir_search::index_hash::parse_server_id;
use fhir_search::sql::everything::{Compartment, Part, compartment, current};
use tokio_postgres::Row;

use crate::read::COLUMNS;
use crate::scope::ScopedStore;
use crate::version::Version;

/// What is wanted of a compartment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EverythingFilter {
    /// Types; `None` means all.
    pub types: Option<Vec<Box<str>>>,
    /// Changed at this time or later, µs since 1970.
    pub since: Option<i64>,
    /// First and last microsecond of care. Resources without a date of care are always wanted.
    pub care: Option<(i64, i64)>,
}

/// A resource of a compartment and its position in the order: type, primary date, handle.
#[derive(Debug, Clone)]
pub struct Member {
    /// The resource.
    pub version: Version,
    /// Its position.
    pub position: (i32, i64, i64),
}

impl ScopedStore<'_> {
    /// The next members of a patient's compartment after a position, without the patient: one statement.
    pub(crate) async fn compartment(
        &self,
        patient: &Key,
        wanted: &EverythingFilter,
        after: Option<(i32, i64, i64)>,
        limit: usize,
    ) -> Result<Vec<Member>> {
        let numbers = |types: &Vec<Box<str>>| self.type_ids(types.iter().map(|name| &**name));
        let types = wanted.types.as_ref().map(numbers);
        let part = Part { types, since: wanted.since, care: wanted.care, after };
        let of = Compartment::new(patient, &self.registry, &self.hasher);
        let rows = self.run(&compartment(&of, &part, &self.visible_rows(), limit)).await?;
        rows.iter()
            .map(|row| {
                let type_id: i32 = row.try_get(COLUMNS).map_err(Error::internal)?;
                let date: i64 = row.try_get(COLUMNS + 1).map_err(Error::internal)?;
                let version = self.version_of_any_type(row)?;
                Ok(Member { position: (type_id, date, version.handle), version })
            })
            .collect()
    }

    /// The current resources among these keys, in no particular order: one statement, whatever their types.
    pub(crate) async fn current(&self, keys: &[Key]) -> Result<Vec<Version>> {
        Ok(self.current_within(keys, usize::MAX).await?.0)
    }

    /// The same, cut after the resource with which `bytes` are exceeded. Returns true when there may be more.
    pub(crate) async fn current_within(&self, keys: &[Key], bytes: usize) -> Result<(Vec<Version>, bool)> {
        let handles = self.handles_of(keys);
        if handles.is_empty() {
            return Ok((Vec::new(), false));
        }
        let (rows, more) = self.run_within(&current(handles, &self.visible_rows()), bytes).await?;
        Ok((self.versions_of(keys, &rows)?, more))
    }

    /// The same. Returns `None` when they have more than `bytes` together.
    pub(crate) async fn current_all_within(
        &self,
        keys: &[Key],
        bytes: usize,
    ) -> Result<Option<Vec<Version>>> {
        let handles = self.handles_of(keys);
        if handles.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let rows = self.run_all_within(&current(handles, &self.visible_rows()), bytes).await?;
        rows.map(|rows| self.versions_of(keys, &rows)).transpose()
    }

    /// The handles that these resources may have, each once.
    fn handles_of(&self, keys: &[Key]) -> Vec<i64> {
        let mut handles = Vec::with_capacity(keys.len() + 8);
        for key in keys {
            let Some(number) = self.registry.number(&key.type_name) else { continue };
            handles.extend(parse_server_id(&key.id));
            handles.push(self.hasher.foreign_handle(number, &key.id));
        }
        handles.sort_unstable();
        handles.dedup();
        handles
    }

    /// Of rows that were found by handles, those of these keys.
    fn versions_of(&self, keys: &[Key], rows: &[Row]) -> Result<Vec<Version>> {
        let wanted: HashSet<&Key> = keys.iter().collect();
        let mut found = rows.iter().map(|row| self.version_of_any_type(row)).collect::<Result<Vec<_>>>()?;
        found.retain(|version| wanted.contains(&version.key));
        Ok(found)
    }
}
