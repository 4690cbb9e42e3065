//! One migration.

/// A migration as it is run and recorded.
#[derive(Debug, Clone)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    /// SHA-384 of the SQL.
    pub(crate) checksum: Vec<u8>,
}
