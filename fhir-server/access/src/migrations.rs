//! The tables of accounts.

use fhir_database::Migrations;

/// The migrations of accounts, in order. An applied file never changes.
pub const MIGRATIONS: Migrations = Migrations::new(
    "access",
    &[(1, "accounts", include_str!("../../../migrations/access/0001_accounts.sql"))],
);
