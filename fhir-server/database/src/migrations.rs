//! The migrations of a module as data: its files, and the names that it may give.

use fhir_model::{Error, Result};
use sha2::{Digest, Sha384};

use crate::migration::Migration;
use crate::schema_names::made;

/// The table of the store's own migrations; a module's has the module's name behind it. Its name and columns are those of sqlx,
/// which ran the migrations of earlier versions.
const RECORD: &str = "_sqlx_migrations";

/// A migration: its number, its name and its SQL.
pub type MigrationFile = (i64, &'static str, &'static str);

/// The migrations of one module, in order. An applied file never changes.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    module: &'static str,
    files: &'static [MigrationFile],
    pub(crate) extensions: &'static [&'static str],
}

impl Migrations {
    /// No migrations.
    pub const NONE: Migrations = Migrations::new("", &[]);

    /// The migrations of a module, from its folder `migrations/<module>/`. The names of its tables and indexes begin with
    /// the module's name and `_`.
    pub const fn new(module: &'static str, files: &'static [MigrationFile]) -> Migrations {
        Migrations { module, files, extensions: &[] }
    }

    /// The migrations of the store, which needs these extensions of PostgreSQL.
    pub const fn store(files: &'static [MigrationFile], extensions: &'static [&'static str]) -> Migrations {
        Migrations { module: "", files, extensions }
    }

    /// The table in which the migrations that ran are recorded.
    pub(crate) fn record(&self) -> String {
        match self.module {
            "" => RECORD.to_owned(),
            _ => format!("{RECORD}_{}", self.identifier()),
        }
    }

    /// What the names of tables and indexes begin with.
    pub(crate) fn prefix(&self) -> String {
        match self.module {
            "" => String::new(),
            _ => format!("{}_", self.identifier()),
        }
    }

    /// The module's name as a part of SQL identifiers.
    fn identifier(&self) -> String {
        self.module.replace('-', "_")
    }

    /// The migrations with their checksums.
    pub(crate) fn all(&self) -> Vec<Migration> {
        let migration = |&(version, name, sql): &MigrationFile| {
            let checksum = Sha384::digest(sql.as_bytes()).to_vec();
            Migration { version, name, sql, checksum }
        };
        self.files.iter().map(migration).collect()
    }

    /// Checks names.
    ///
    /// # Errors
    ///
    /// When the module's name is no identifier, or a table or index does not begin with it.
    pub fn check(&self) -> Result<()> {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !self.module.chars().all(is_part) {
            return Err(Error::internal(format!("`{}` is no name of a module", self.module)));
        }
        let prefix = self.prefix();
        match made(&self.all()).find(|name| !name.starts_with(&prefix)) {
            Some(name) => Err(Error::internal(format!(
                "the module `{}` makes `{name}`, whose name does not begin with `{prefix}`",
                self.module
            ))),
            None => Ok(()),
        }
    }
}
