//! Organisations: each is a tenant, with copies of the product's roles.

use fhir_database::Transaction;
use fhir_database::failure::{classify, is_duplicate};
use fhir_model::{Error, Kind, Result};
use fhir_search::TenantId;
use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

use super::service::Accounts;
use super::users::ACTIVE;
use crate::permission::{Permission, Permissions};
use crate::role::Role;

/// Held until the end of the transaction, so that those who add organisations do so one after the other: the next number is the
/// greatest and one more.
const LOCK: &str = "select e.id from access_epoch e where e.id = 1 for update";

const ADD: &str = "insert into access_organization (id, tenant, slug, name, status, created_at) values ($1, $2, $3, $4, 1, $5)";

/// Of the default organisation, and of those that settings name: another process may add them at the same time.
const ADD_MISSING: &str = "insert into access_organization (id, tenant, slug, name, status, created_at) \
     values ($1, $2, $3, $4, 1, $5) on conflict do nothing";

const MISSING: &str = "select t.number, t.slug from tenant t \
     where not exists (select from access_organization o where o.tenant = t.number) order by t.number";

const ADD_ROLE: &str =
    "insert into access_role (id, organization_id, name, is_system, permissions) values ($1, $2, $3, $4, $5)";

const BY_ID: &str = "select o.id, o.tenant, o.slug, o.name, o.status, o.created_at from access_organization o where o.id = $1";

const BY_SLUG: &str = "select o.id, o.tenant, o.slug, o.name, o.status, o.created_at from access_organization o where o.slug = $1";

const BY_DOMAIN: &str = "select o.id, o.tenant, o.slug, o.name, o.status, o.created_at from access_organization o \
     join access_domain d on d.organization_id = o.id where d.name = $1 and d.verified_at is not null";

const ROLES: &str = "select r.id, r.name, r.is_system, r.permissions from access_role r where r.organization_id = $1 \
     order by r.is_system desc, r.name";

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its number.
    pub id: Uuid,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name in urls.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// False for one that is suspended: nobody acts in it.
    pub is_active: bool,
    /// When it was made, in microseconds since 1970.
    pub created_at: i64,
}

/// A role of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationRole {
    /// Its number.
    pub id: Uuid,
    /// `ORG:DOCTOR`, or a name of the organisation's own.
    pub name: String,
    /// True for a copy of one of the product's.
    pub is_system: bool,
    /// The codes of what it allows.
    pub permissions: Vec<String>,
}

/// What no organisation can give to anybody.
pub(crate) const OF_PLATFORM_ALONE: Permissions = Permissions::new(&[
    Permission::ManageOrganizations,
    Permission::ManageAccounts,
    Permission::ManageMpi,
    Permission::ManagePublicHealth,
    Permission::ManageKnowledge,
    Permission::WriteDefinitions,
    Permission::Administer,
]);

/// The name of the default organisation, whose base is the bare one.
pub const DEFAULT_SLUG: &str = "default";

impl Organization {
    pub(super) fn new(row: &Row) -> Result<Organization> {
        let tenant: i32 = row.get(1);
        Ok(Organization {
            id: row.get(0),
            tenant: TenantId::new(u16::try_from(tenant).map_err(Error::internal)?)?,
            slug: row.get(2),
            name: row.get(3),
            is_active: row.get::<_, i16>(4) == ACTIVE,
            created_at: row.get(5),
        })
    }
}

impl Accounts {
    /// Adds an organisation with its tenant and the roles that each has, in a transaction of the caller's, who says when that was
    /// [committed](Accounts::organization_added).
    ///
    /// # Errors
    ///
    /// `Value` for a name that cannot stand in a url, `Conflict` for one that is taken; `Unavailable` when others add one at the same
    /// time, and the transaction is to be done again.
    pub async fn add_organization(
        &self,
        transaction: &Transaction<'_>,
        name: &str,
        slug: &str,
    ) -> Result<Organization> {
        check_slug(slug)?;
        transaction.query_one(LOCK, &[]).await.map_err(classify)?;
        let taken = || Error::new(Kind::Conflict, "there is an organisation of this name already").at("slug");
        let tenant = self.store.add_tenant(transaction, slug).await?.ok_or_else(taken)?;
        let (id, now) = (Uuid::new_v4(), self.now());
        let number = i32::from(tenant.number());
        let added = transaction.execute(ADD, &[&id, &number, &slug, &name, &now]).await;
        added.map_err(|error| if is_duplicate(&error) { taken() } else { classify(error) })?;
        add_roles(transaction, id).await?;
        Ok(Organization {
            id,
            tenant,
            slug: slug.to_owned(),
            name: name.to_owned(),
            is_active: true,
            created_at: now,
        })
    }

    /// Serves an organisation from now on that was added.
    pub fn organization_added(&self, organization: &Organization) {
        self.store.learn_tenant(organization.tenant, &organization.slug);
    }

    /// Makes the default organisation, and those that settings name, what the others are. Called at each start.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn ensure_organizations(&self) -> Result<()> {
        let client = self.client().await?;
        let rows = client.query(MISSING, &[]).await.map_err(classify)?;
        let missing = rows.iter().map(|row| (row.get::<_, i32>(0), row.get::<_, String>(1)));
        let default = (0, DEFAULT_SLUG.to_owned());
        let all: Vec<(i32, String)> = std::iter::once(default).chain(missing).collect();
        drop(client);
        for (tenant, slug) in all {
            let mut client = self.client().await?;
            let transaction = client.transaction().await.map_err(classify)?;
            let (id, now) = (Uuid::new_v4(), self.now());
            let added = transaction
                .execute(ADD_MISSING, &[&id, &tenant, &slug, &slug, &now])
                .await
                .map_err(classify)?;
            if added == 1 {
                add_roles(&transaction, id).await?;
                transaction.commit().await.map_err(classify)?;
            }
        }
        Ok(())
    }

    /// An organisation by its number.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub async fn organization(&self, id: Uuid) -> Result<Organization> {
        let row = self.client().await?.query_opt(BY_ID, &[&id]).await.map_err(classify)?;
        row.as_ref().map(Organization::new).transpose()?.ok_or_else(unknown_organization)
    }

    /// An organisation by its name in urls, or by its number.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn organization_named(&self, text: &str) -> Result<Option<Organization>> {
        let client = self.client().await?;
        let row = match text.parse::<Uuid>() {
            Ok(id) => client.query_opt(BY_ID, &[&id]).await,
            // What no organisation can be called is not asked for.
            Err(_) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => return Ok(None),
            Err(_) => client.query_opt(BY_SLUG, &[&text]).await,
        };
        row.map_err(classify)?.as_ref().map(Organization::new).transpose()
    }

    /// The organisation that has proved that a domain is its own.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn organization_of_domain(&self, domain: &str) -> Result<Option<Organization>> {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let row = self.client().await?.query_opt(BY_DOMAIN, &[&domain]).await.map_err(classify)?;
        row.as_ref().map(Organization::new).transpose()
    }

    /// The roles of an organisation, the product's first.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn organization_roles(&self, id: Uuid) -> Result<Vec<OrganizationRole>> {
        let client = self.client().await?;
        roles(&**client, id).await
    }

    /// Makes a role of an organisation's own.
    ///
    /// # Errors
    ///
    /// `Rule` for a permission that no organisation can give, `Value` for one that there is not, `Conflict` for a name that is taken.
    pub async fn add_role(&self, organization: Uuid, name: &str, codes: &[&str]) -> Result<OrganizationRole> {
        let permissions = codes.iter().map(|code| Permission::parse(code)).collect::<Result<Vec<_>>>()?;
        let permissions = Permissions::new(&permissions);
        if permissions.without(OF_PLATFORM_ALONE) != permissions {
            let text = "an organisation cannot give permissions of the platform";
            return Err(Error::new(Kind::Rule, text).at("permissions"));
        }
        if name.contains(':')
            || name.chars().any(char::is_control)
            || !(1..=64).contains(&name.trim().chars().count())
        {
            let text = "a role has a name of 1 to 64 characters, without a colon";
            return Err(Error::new(Kind::Rule, text).at("name"));
        }
        let (id, codes) = (Uuid::new_v4(), permissions.codes());
        let client = self.client().await?;
        let added = client.execute(ADD_ROLE, &[&id, &organization, &name.trim(), &false, &codes]).await;
        added.map_err(|error| match is_duplicate(&error) {
            true => Error::new(Kind::Conflict, "there is a role of this name already").at("name"),
            false => classify(error),
        })?;
        let permissions = codes.into_iter().map(str::to_owned).collect();
        Ok(OrganizationRole { id, name: name.trim().to_owned(), is_system: false, permissions })
    }
}

pub(super) async fn roles(client: &(impl GenericClient + Sync), id: Uuid) -> Result<Vec<OrganizationRole>> {
    let rows = client.query(ROLES, &[&id]).await.map_err(classify)?;
    let role = |row: &Row| OrganizationRole {
        id: row.get(0),
        name: row.get(1),
        is_system: row.get(2),
        permissions: row.get(3),
    };
    Ok(rows.iter().map(role).collect())
}

async fn add_roles(transaction: &Transaction<'_>, organization: Uuid) -> Result<()> {
    for role in Role::of_organizations() {
        let codes = role.permissions.codes();
        let id = Uuid::new_v4();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&id, &organization, &role.name, &true, &codes];
        transaction.execute(ADD_ROLE, &values).await.map_err(classify)?;
    }
    Ok(())
}

/// `NotFound` for an organisation that there is not, and for one that the caller has nothing to do with.
pub fn unknown_organization() -> Error {
    Error::new(Kind::NotFound, "this organisation is not known here")
}

/// Names that would be mistaken for something else.
const RESERVED: [&str; 6] = ["default", "shared", "platform", "admin", "api", "fhir"];

fn check_slug(slug: &str) -> Result<()> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_slug = (2..=63).contains(&slug.len())
        && slug.chars().all(is_part)
        && slug.starts_with(|c: char| c.is_ascii_lowercase())
        && !slug.ends_with('-')
        && !slug.contains("--")
        && slug.parse::<Uuid>().is_err()
        && !RESERVED.contains(&slug);
    match is_slug {
        true => Ok(()),
        false => {
            let text = "a name in urls has 2 to 63 small letters, digits and hyphens, begins with a letter, and is not reserved";
            Err(Error::new(Kind::Rule, text).at("slug"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_urls() {
        for slug in ["north-clinic", "lab", "a1"] {
            assert!(check_slug(slug).is_ok(), "{slug}");
        }
        let long = "a".repeat(64);
        for slug in
            ["", "a", "North", "1st", "-a", "a-", "a--b", "a_b", "a/b", "a.b", "default", "\u{e4}b", &long]
        {
            assert!(check_slug(slug).is_err(), "{slug}");
        }
    }
}
