//! What belongs to one patient, for `$everything`.

use fhir_model::{Error, Key, Result};
use fhir_search::index_hash::parse_server_id;
use fhir_search::sql::everything::{Compartment, Part, compartment, current};
use tokio_postgres::Row;

use crate::scope::Scope;
use crate::version::Version;
use crate::{Store, read};

/// Columns of a match, before those of a member.
const COLUMNS: usize = 7;

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

impl Store {
    /// The next members of a patient's compartment after a position, without the patient: one statement.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away, `Timeout` when the statement takes too long.
    pub async fn compartment(
        &self,
        scope: &Scope,
        patient: &Key,
        wanted: &EverythingFilter,
        after: Option<(i32, i64, i64)>,
        limit: usize,
    ) -> Result<Vec<Member>> {
        let _ = scope;
        let numbers = |types: &Vec<Box<str>>| {
            types.iter().filter_map(|t| self.registry.number(t)).map(i32::from).collect()
        };
        let types = wanted.types.as_ref().map(numbers);
        let part = Part { types, since: wanted.since, care: wanted.care, after };
        let of = Compartment::new(patient, &self.registry, &self.hasher);
        let rows = self.run(&compartment(&of, &part, limit)).await?;
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
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is away, `Timeout` when the statement takes too long.
    pub async fn current(&self, scope: &Scope, keys: &[Key]) -> Result<Vec<Version>> {
        Ok(self.current_within(scope, keys, usize::MAX).await?.0)
    }

    /// The same, cut after the resource with which `bytes` are exceeded. Returns true when there may be more.
    pub(crate) async fn current_within(
        &self,
        scope: &Scope,
        keys: &[Key],
        bytes: usize,
    ) -> Result<(Vec<Version>, bool)> {
        let _ = scope;
        let mut handles = Vec::with_capacity(keys.len() + 8);
        let mut wanted = std::collections::HashSet::with_capacity(keys.len());
        for key in keys {
            let Some(number) = self.registry.number(&key.type_name) else { continue };
            handles.extend(parse_server_id(&key.id));
            handles.push(self.hasher.foreign_handle(number, &key.id));
            wanted.insert(key);
        }
        if handles.is_empty() {
            return Ok((Vec::new(), false));
        }
        handles.sort_unstable();
        handles.dedup();
        let (rows, more) = self.run_within(&current(handles), bytes).await?;
        let mut found = rows.iter().map(|row| self.version_of_any_type(row)).collect::<Result<Vec<_>>>()?;
        found.retain(|version| wanted.contains(&version.key));
        Ok((found, more))
    }

    /// A version from the columns of a match and its type.
    pub(crate) fn version_of_any_type(&self, row: &Row) -> Result<Version> {
        read::version(self.type_name(row.try_get(COLUMNS).map_err(Error::internal)?)?, row)
    }

    /// The type of a number.
    pub(crate) fn type_name(&self, type_id: i32) -> Result<&str> {
        let type_name = u16::try_from(type_id).ok().and_then(|n| self.registry.definitions().type_name(n));
        type_name.ok_or_else(|| Error::internal("a row of an unknown type"))
    }
}
