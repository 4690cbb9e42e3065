//! Changes of organisations, in a transaction that the caller may put more into.

use fhir_database::Transaction;
use fhir_database::failure::classify;
use fhir_model::Result;
use uuid::Uuid;

use super::service::Accounts;
use super::users::{ACTIVE, SUSPENDED, found};

const CHANGE: &str = "update access_organization set name = coalesce($2::text, name), status = coalesce($3::int2, status) \
     where id = $1::uuid";

impl Accounts {
    /// Gives an organisation another name, suspends it or takes that back, and commits the transaction. Takes effect at once.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub async fn commit_organization_change(
        &self,
        transaction: Transaction<'_>,
        id: Uuid,
        name: Option<&str>,
        is_active: Option<bool>,
    ) -> Result<()> {
        let status = is_active.map(|is_active| if is_active { ACTIVE } else { SUSPENDED });
        let changed = transaction.execute(CHANGE, &[&id, &name, &status]).await.map_err(classify)?;
        found(changed, "this organisation")?;
        match status {
            Some(_) => self.commit_revocation(transaction, &[]).await,
            None => transaction.commit().await.map_err(classify),
        }
    }
}
