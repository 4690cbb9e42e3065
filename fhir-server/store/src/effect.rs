//! Effects: rows of a module's own table, written in the statement or transaction of the write that causes them.
//!
//! A write that is stale or refused leaves none; a write that is acknowledged has all of them. They cost no round trip.

use std::fmt;
use std::sync::Arc;

use fhir_model::json::Doc;
use fhir_model::{Error, Key, Result};
use fhir_search::TenantId;
use tokio_postgres::types::ToSql;

use crate::version::{Method, ResourceState};

/// What a module records of writes.
pub trait Effect: Send + Sync {
    /// The table that rows are added to. Its name begins with the module's.
    fn table(&self) -> &'static EffectTable;

    /// The rows of one write, each with a value for every column of the table, in its order. Called for every write: cheap.
    ///
    /// # Errors
    ///
    /// When it cannot be told: the write is refused.
    fn rows(&self, change: &WriteChange<'_>) -> Result<Vec<Vec<EffectValue>>>;
}

/// A table of a module, with the columns that an effect fills. A row that the table refuses, for a unique index of its own, fails
/// the write.
#[derive(Debug, Clone, Copy)]
pub struct EffectTable {
    /// Its name.
    pub name: &'static str,
    /// Names and types of columns.
    pub columns: &'static [(&'static str, ColumnType)],
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `int8`
    Int8,
    /// `text`
    Text,
    /// `bytea`
    Bytea,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectValue {
    /// NULL
    Null,
    /// Of `int8`.
    Int8(i64),
    /// Of `text`.
    Text(String),
    /// Of `bytea`.
    Bytea(Vec<u8>),
}

/// What an effect sees of a write that is about to be committed.
#[derive(Debug, Clone, Copy)]
pub struct WriteChange<'w> {
    /// The organisation whose resource it is.
    pub tenant: TenantId,
    /// The row id of the resource.
    pub handle: i64,
    /// When the version comes to be, in microseconds since 1970.
    pub updated_at: i64,
    /// The resource.
    pub key: &'w Key,
    /// The number of the version that comes.
    pub version: u32,
    /// The HTTP method that makes it.
    pub method: Method,
    /// What was there before.
    pub before: &'w ResourceState,
    /// The new body; `None` for a deletion.
    pub doc: Option<&'w Doc>,
}

/// The effects of all modules.
#[derive(Clone, Default)]
pub struct Effects(Vec<Arc<dyn Effect>>);

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|effect| effect.table().name)).finish()
    }
}

impl Effects {
    /// True when nothing is recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The effects of a list, which are asked in its order.
    pub fn new(effects: Vec<Arc<dyn Effect>>) -> Effects {
        Effects(effects)
    }

    /// The rows that all effects add for writes that are committed together.
    pub(crate) fn additions(&self, changes: &[WriteChange<'_>]) -> Result<Vec<Addition>> {
        let mut all = Vec::new();
        for effect in &self.0 {
            let mut addition = Addition::new(effect.table());
            for change in changes {
                effect.rows(change)?.into_iter().try_for_each(|row| addition.push(row))?;
            }
            if !addition.is_empty() {
                all.push(addition);
            }
        }
        Ok(all)
    }
}

/// Rows of a table as columns.
#[derive(Debug)]
pub(crate) struct Addition {
    table: &'static EffectTable,
    columns: Vec<Column>,
}

#[derive(Debug)]
enum Column {
    Int8(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytea(Vec<Option<Vec<u8>>>),
}

impl Addition {
    fn new(table: &'static EffectTable) -> Addition {
        let column = |(_, kind): &(&str, ColumnType)| match kind {
            ColumnType::Int8 => Column::Int8(Vec::new()),
            ColumnType::Text => Column::Text(Vec::new()),
            ColumnType::Bytea => Column::Bytea(Vec::new()),
        };
        Addition { table, columns: table.columns.iter().map(column).collect() }
    }

    fn push(&mut self, row: Vec<EffectValue>) -> Result<()> {
        let name = self.table.name;
        if row.len() != self.columns.len() {
            return Err(Error::internal(format!("an effect on {name} gives a row of {} values", row.len())));
        }
        for (column, value) in self.columns.iter_mut().zip(row) {
            match (column, value) {
                (Column::Int8(all), EffectValue::Int8(value)) => all.push(Some(value)),
                (Column::Text(all), EffectValue::Text(value)) => all.push(Some(value)),
                (Column::Bytea(all), EffectValue::Bytea(value)) => all.push(Some(value)),
                (Column::Int8(all), EffectValue::Null) => all.push(None),
                (Column::Text(all), EffectValue::Null) => all.push(None),
                (Column::Bytea(all), EffectValue::Null) => all.push(None),
                // The value may be a patient's.
                _ => {
                    let text = format!("an effect on {name} gives a value of another type than its column's");
                    return Err(Error::internal(text));
                }
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        match self.columns.first() {
            Some(Column::Int8(all)) => all.is_empty(),
            Some(Column::Text(all)) => all.is_empty(),
            Some(Column::Bytea(all)) => all.is_empty(),
            None => true,
        }
    }

    /// True when an error comes from the table, or from a part of it.
    pub(crate) fn refused(&self, error: &tokio_postgres::Error) -> bool {
        let table = error.as_db_error().and_then(|error| error.table());
        table.is_some_and(|table| table.starts_with(self.table.name))
    }

    pub(crate) fn table(&self) -> &'static str {
        self.table.name
    }

    /// `"at", "user"`: a column may be called by a word of SQL's.
    pub(crate) fn names(&self) -> String {
        self.table.columns.iter().map(|(name, _)| ["\"", name, "\""].concat()).collect::<Vec<_>>().join(", ")
    }

    /// The columns as parameters, each with the type of its array.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&(dyn ToSql + Sync), &'static str)> {
        self.columns.iter().map(|column| match column {
            Column::Int8(all) => (all as &(dyn ToSql + Sync), "int8[]"),
            Column::Text(all) => (all as _, "text[]"),
            Column::Bytea(all) => (all as _, "bytea[]"),
        })
    }
}
