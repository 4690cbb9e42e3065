//! The store's migrations.

use fhir_database::{Migrations, SchemaState};
use fhir_model::Result;

/// The migrations of the store, in order. An applied file never changes.
pub const MIGRATIONS: Migrations = Migrations::store(
    &[
        (1, "resource", include_str!("../../../migrations/0001_resource.sql")),
        (2, "postgresql", include_str!("../../../migrations/0002_postgresql.sql")),
        (3, "patient_order", include_str!("../../../migrations/0003_patient_order.sql")),
        (4, "search_parameter", include_str!("../../../migrations/0004_search_parameter.sql")),
        (5, "distinct_text", include_str!("../../../migrations/0005_distinct_text.sql")),
        (6, "long_range", include_str!("../../../migrations/0006_long_range.sql")),
        (7, "beginnings", include_str!("../../../migrations/0007_beginnings.sql")),
        (8, "index_format", include_str!("../../../migrations/0008_index_format.sql")),
        (9, "long_search", include_str!("../../../migrations/0009_long_search.sql")),
        (10, "index_settings", include_str!("../../../migrations/0010_index_settings.sql")),
        (11, "address_words", include_str!("../../../migrations/0011_address_words.sql")),
        (12, "modules", include_str!("../../../migrations/0012_modules.sql")),
        (13, "tenant", include_str!("../../../migrations/0013_tenant.sql")),
        (14, "claim_row", include_str!("../../../migrations/0014_claim_row.sql")),
    ],
    &["pg_trgm"],
);

/// How far the schema of the database is; changes nothing.
///
/// # Errors
///
/// As [`fhir_database::schema`].
pub async fn schema(url: &str) -> Result<SchemaState> {
    fhir_database::schema(url, &[MIGRATIONS]).await
}

/// Brings the database to the store's schema of this version.
///
/// # Errors
///
/// As [`fhir_database::migrate`].
pub async fn migrate(url: &str) -> Result<()> {
    fhir_database::migrate(url, &[MIGRATIONS]).await
}
