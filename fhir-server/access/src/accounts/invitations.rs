//! Invitations: who becomes a member once an address is known to be theirs.

use fhir_database::Transaction;
use fhir_database::failure::classify;
use fhir_model::Result;
use uuid::Uuid;

use super::service::Accounts;

const INVITE: &str = "insert into access_invitation as i (organization_id, email, roles, created_at) values ($1, $2, $3, $4) \
     on conflict (organization_id, email) do update set roles = excluded.roles";

/// Takes all invitations of an address, and makes memberships of them. What somebody is already stays.
const ACCEPT: &str = "with taken as (delete from access_invitation where email = $2 returning organization_id, roles) \
     insert into access_member (organization_id, user_id, roles, created_at) \
     select t.organization_id, $1, t.roles, $3 from taken t on conflict (organization_id, user_id) do nothing";

impl Accounts {
    pub(super) async fn invite(
        &self,
        transaction: &Transaction<'_>,
        organization: Uuid,
        email: &str,
        roles: &[Uuid],
    ) -> Result<()> {
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&organization, &email, &roles, &self.now()];
        transaction.execute(INVITE, &values).await.map(drop).map_err(classify)
    }

    /// Makes a user a member wherever its address was invited: it is known to be theirs.
    pub(super) async fn accept_invitations(
        &self,
        transaction: &Transaction<'_>,
        user: Uuid,
        email: &str,
    ) -> Result<()> {
        transaction.execute(ACCEPT, &[&user, &email, &self.now()]).await.map(drop).map_err(classify)
    }
}
