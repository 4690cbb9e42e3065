//! Members of organisations, and what they are there.

use fhir_database::Transaction;
use fhir_database::failure::classify;
use fhir_model::{Error, Kind, Result};
use uuid::Uuid;

use super::login_name::LoginName;
use super::organizations::{Organization, OrganizationRole, roles, unknown_organization};
use super::service::Accounts;
use crate::permission::{Permission, Permissions};
use crate::rights::Rights;
use crate::role::{ORG_ADMIN, Role};

/// Held until the end of the transaction, so that two who remove each other do not both succeed.
const LOCK: &str = "select o.id from access_organization o where o.id = $1 for update";

const SET: &str = "insert into access_member as m (organization_id, user_id, roles, created_at) values ($1, $2, $3, $4) \
     on conflict (organization_id, user_id) do update set roles = excluded.roles \
     returning m.created_at = $4";

const REMOVE: &str = "delete from access_member where organization_id = $1 and user_id = $2";

const SET_PATIENT: &str = "update access_member set patient = $3 where organization_id = $1 and user_id = $2";

/// Whether somebody who may sign in is an administrator of the organisation.
const HAS_ADMIN: &str = "select exists (select from access_member m join access_user u on u.id = m.user_id \
     where m.organization_id = $1 and u.status = 1 and m.roles && $2::uuid[])";

/// A user whose address is known to be theirs, or, where that is not asked for, any.
const USER_OF_EMAIL: &str =
    "select l.user_id from access_login l where l.name = $1 and (l.verified_at is not null or not $2)";

/// A member of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user's number.
    pub user: Uuid,
    /// `Jane`
    pub first_name: String,
    /// `Doe`
    pub last_name: String,
    /// Its e-mail address, where it has one.
    pub email: Option<String>,
    /// The names of its roles.
    pub roles: Vec<String>,
    /// Since when, in microseconds since 1970.
    pub created_at: i64,
}

/// What became of somebody who was to be a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    /// A new member.
    Added(Uuid),
    /// One with other roles.
    Changed(Uuid),
    /// Nobody has this address yet: who proves that it is theirs becomes a member.
    Invited,
}

impl Accounts {
    /// Makes whoever has an address a member with these roles, whatever it was before; who has no account yet is invited.
    ///
    /// # Errors
    ///
    /// `NotFound` for no organisation, `Rule` for a role that it does not have and for no roles, `Conflict` when its last administrator
    /// would be none any more.
    pub async fn set_member(
        &self,
        organization: Uuid,
        email: &LoginName,
        names: &[&str],
    ) -> Result<MemberChange> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        let row = transaction.query_opt(USER_OF_EMAIL, &[&email.text, &self.options.verify_email]).await;
        let user: Option<Uuid> = row.map_err(classify)?.map(|row| row.get(0));
        let Some(user) = user else {
            lock(&transaction, organization).await?;
            let roles = chosen(&roles(&*transaction, organization).await?, names)?;
            self.invite(&transaction, organization, &email.text, &roles).await?;
            transaction.commit().await.map_err(classify)?;
            return Ok(MemberChange::Invited);
        };
        let is_new = self.set_user(&transaction, organization, user, names).await?;
        self.commit_revocation(transaction, &[]).await?;
        Ok(if is_new { MemberChange::Added(user) } else { MemberChange::Changed(user) })
    }

    /// Refuses roles that somebody may not give: who could give more than it has would have all.
    ///
    /// # Errors
    ///
    /// `Forbidden`; `Rule` for a role that the organisation does not have.
    pub async fn check_may_give(
        &self,
        by: &Rights,
        organization: &Organization,
        names: &[&str],
    ) -> Result<()> {
        let all = self.organization_roles(organization.id).await?;
        let chosen = chosen(&all, names)?;
        let codes = all.iter().filter(|role| chosen.contains(&role.id)).flat_map(|role| &role.permissions);
        let permissions: Vec<Permission> = codes.filter_map(|code| Permission::parse(code).ok()).collect();
        match by.may_give(organization.tenant, Permissions::new(&permissions)) {
            true => Ok(()),
            false => {
                Err(Error::new(Kind::Forbidden, "you cannot give permissions that you do not have")
                    .at("roles"))
            }
        }
    }

    /// The same of a user by its number.
    ///
    /// # Errors
    ///
    /// As [`set_member`](Accounts::set_member).
    pub async fn set_member_user(&self, organization: Uuid, user: Uuid, names: &[&str]) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        self.set_user(&transaction, organization, user, names).await?;
        self.commit_revocation(transaction, &[]).await
    }

    /// Gives a user its roles in an organisation, in a transaction of the caller's; `true` for a new member.
    pub(super) async fn set_user(
        &self,
        transaction: &Transaction<'_>,
        organization: Uuid,
        user: Uuid,
        names: &[&str],
    ) -> Result<bool> {
        lock(transaction, organization).await?;
        let all = roles(&**transaction, organization).await?;
        let had_admin = has_admin(transaction, organization, &all).await?;
        let chosen = chosen(&all, names)?;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&organization, &user, &chosen, &self.now()];
        let row = transaction.query_one(SET, &values).await.map_err(classify)?;
        keep_an_admin(transaction, organization, &all, had_admin).await?;
        Ok(row.get(0))
    }

    /// Removes a member.
    ///
    /// # Errors
    ///
    /// `NotFound` for who is none, `Conflict` for the last administrator.
    pub async fn remove_member(&self, organization: Uuid, user: Uuid) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        lock(&transaction, organization).await?;
        let all = roles(&*transaction, organization).await?;
        let had_admin = has_admin(&transaction, organization, &all).await?;
        let removed = transaction.execute(REMOVE, &[&organization, &user]).await.map_err(classify)?;
        super::users::found(removed, "this member")?;
        keep_an_admin(&transaction, organization, &all, had_admin).await?;
        self.commit_revocation(transaction, &[]).await
    }

    /// Says which patient of an organisation a member is.
    ///
    /// # Errors
    ///
    /// `NotFound` for who is no member.
    pub async fn set_member_patient(&self, organization: Uuid, user: Uuid, patient: &str) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        let changed =
            transaction.execute(SET_PATIENT, &[&organization, &user, &patient]).await.map_err(classify)?;
        super::users::found(changed, "this member")?;
        self.commit_revocation(transaction, &[]).await
    }
}

async fn lock(transaction: &Transaction<'_>, organization: Uuid) -> Result<()> {
    let row = transaction.query_opt(LOCK, &[&organization]).await.map_err(classify)?;
    row.map(drop).ok_or_else(unknown_organization)
}

/// The numbers of roles by their names, with or without what stands before the colon.
fn chosen(all: &[OrganizationRole], names: &[&str]) -> Result<Vec<Uuid>> {
    if names.is_empty() {
        return Err(Error::new(Kind::Rule, "a member has a role").at("roles"));
    }
    let role = |name: &&str| {
        let same = |role: &&OrganizationRole| {
            role.name == **name || (role.is_system && *Role::short_name(&role.name) == **name)
        };
        let found = all.iter().find(same).map(|role| role.id);
        found.ok_or_else(|| {
            Error::new(Kind::Rule, format!("`{name}` is not a role of this organisation")).at("roles")
        })
    };
    names.iter().map(role).collect()
}

async fn has_admin(
    transaction: &Transaction<'_>,
    organization: Uuid,
    all: &[OrganizationRole],
) -> Result<bool> {
    let admins: Vec<Uuid> = all.iter().filter(|role| role.name == ORG_ADMIN).map(|role| role.id).collect();
    let row = transaction.query_one(HAS_ADMIN, &[&organization, &admins]).await.map_err(classify)?;
    Ok(row.get(0))
}

/// An organisation that had an administrator keeps one.
async fn keep_an_admin(
    transaction: &Transaction<'_>,
    organization: Uuid,
    all: &[OrganizationRole],
    had_admin: bool,
) -> Result<()> {
    if had_admin && !has_admin(transaction, organization, all).await? {
        return Err(Error::new(Kind::Conflict, "the last administrator of an organisation cannot go"));
    }
    Ok(())
}
