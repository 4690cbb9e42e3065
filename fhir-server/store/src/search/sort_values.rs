//! The sort values of rows: from the columns of the row where statements have them, else from the body.

use std::collections::HashMap;

use fhir_model::json::Doc;
use fhir_model::{Error, Key, Result};
use fhir_search::cursor::{Cursor, SortValue};
use fhir_search::include::Followed;
use fhir_search::order::{Order, RowFacts, SortSource};
use fhir_search::sql::everything::current;
use tokio_postgres::Row;

use super::canonical::targets_of;
use crate::read::{self, COLUMNS, body_bytes};
use crate::scope::ScopedStore;
use crate::version::Version;

/// Resources that are read at once to know what others are sorted by.
const TARGETS_AT_ONCE: usize = 500;

/// A row with its sort values.
#[derive(Debug)]
pub(super) struct SortedRow {
    pub(super) row: Row,
    pub(super) sort_values: Vec<SortValue>,
    pub(super) handle: i64,
}

impl SortedRow {
    /// A row of a statement that has its sort values: true where one is a text.
    pub(super) fn read(row: Row, texts: &[bool]) -> Result<SortedRow> {
        let place = |(i, text): (usize, &bool)| {
            Ok(match text {
                true => SortValue::Text(row.try_get(COLUMNS + i).map_err(Error::internal)?),
                false => SortValue::Number(row.try_get(COLUMNS + i).map_err(Error::internal)?),
            })
        };
        let sort_values = texts.iter().enumerate().map(place).collect::<Result<_>>()?;
        Ok(SortedRow { handle: row.try_get(0).map_err(Error::internal)?, row, sort_values })
    }

    /// The keyset cursor after the row, or before it.
    pub(super) fn cursor(&self, backwards: bool) -> Cursor {
        Cursor { sort_values: self.sort_values.clone(), handle: self.handle, backwards, within: None }
    }
}

/// The sort values of a row by its body, and the targets of its references.
pub(super) struct SortKey {
    pub(super) sort_values: Vec<SortValue>,
    pub(super) handle: i64,
    pub(super) bytes: usize,
    /// For a key that follows a reference, by its number: the other ends.
    ends: Vec<(usize, Followed)>,
}

impl SortKey {
    /// How many resources it is sorted by, besides itself.
    pub(super) fn ends(&self) -> usize {
        self.ends.iter().map(|(_, ends)| ends.targets.len() + ends.canonicals.len()).sum()
    }
}

impl ScopedStore<'_> {
    /// The sort values of a row. Those that follow references are not looked up yet.
    pub(super) fn sort_key(&self, type_name: &str, row: &Row, order: &Order) -> Result<SortKey> {
        let version = read::version(type_name, row)?;
        let doc = version.doc()?;
        let mut ends = Vec::new();
        for (at, key) in order.keys().iter().enumerate() {
            let SortSource::Chain(param, targets) = &key.by else { continue };
            let wanted = |type_name: &str| targets.iter().any(|(target, _)| **target == *type_name);
            let mut found = Followed::default();
            self.follow_parameter(&version, &param.code, &wanted, &mut found)?;
            ends.push((at, found));
        }
        let sort_values = self.sort_values(order, &version, &doc)?;
        Ok(SortKey { sort_values, handle: version.handle, bytes: body_bytes(row), ends })
    }

    /// Adds the sort values that come from the targets of references.
    pub(super) async fn add_target_values(&self, order: &Order, rows: &mut [SortKey]) -> Result<()> {
        let followed = || rows.iter().flat_map(|row| &row.ends).map(|(_, followed)| followed);
        let canonicals = followed().flat_map(|followed| &followed.canonicals).cloned().collect();
        let named = self.resolve_canonicals(&canonicals).await?;
        let wanted = followed().flat_map(|followed| followed.targets.keys()).chain(named.values().flatten());
        let known = self.target_values(order, wanted).await?;
        for row in rows {
            for (at, followed) in std::mem::take(&mut row.ends) {
                let ends = targets_of(followed, &named);
                let (Some(key), Some(place)) = (order.keys().get(at), row.sort_values.get_mut(at)) else {
                    continue;
                };
                let values = ends.iter().filter_map(|end| known.get(end)?.get(at).cloned());
                if let Some(edge) = key.edge(values.filter(|value| *value != key.missing())) {
                    *place = edge;
                }
            }
        }
        Ok(())
    }

    /// The sort values of the targets of references.
    async fn target_values(
        &self,
        order: &Order,
        ends: impl Iterator<Item = &Key>,
    ) -> Result<HashMap<Key, Vec<SortValue>>> {
        let mut wanted: Vec<&Key> = ends.collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut known = HashMap::with_capacity(wanted.len());
        for some in wanted.chunks(TARGETS_AT_ONCE) {
            let handles = some.iter().map(|end| self.handles(end)).collect::<Result<Vec<_>>>()?;
            for row in
                self.run(&current(handles.into_iter().flatten().collect(), &self.visible_rows())).await?
            {
                let version = self.version_of_any_type(&row)?;
                let sort_values =
                    self.sort_values(&order.for_targets(&version.key.type_name), &version, &version.doc()?)?;
                known.insert(version.key, sort_values);
            }
        }
        Ok(known)
    }

    fn sort_values(&self, order: &Order, version: &Version, doc: &Doc) -> Result<Vec<SortValue>> {
        let type_name = &version.key.type_name;
        let rows = self.registry.extract(&self.hasher, type_name, doc.root(), self.index_settings())?;
        let this = self.registry.for_type(type_name)?;
        let texts = |param: &_| this.texts(param, doc.root());
        let facts =
            RowFacts { id: &version.key.id, updated_at: version.updated_at, rows: &rows, texts: &texts };
        Ok(order.keys().iter().map(|key| key.sort_value(&facts)).collect())
    }
}
