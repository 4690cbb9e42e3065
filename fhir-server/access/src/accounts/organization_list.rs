//! Lists of organisations and of members: a page of them, in an order that is asked for.

use fhir_database::failure::classify;
use fhir_model::Result;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::members::Member;
use super::organizations::Organization;
use super::service::Accounts;
use super::users::{ACTIVE, SUSPENDED};

/// What of the page's order the `n`th key says. An order is data, the statement stays the same: for each key one of these
/// expressions is a column, and the others are null in all rows.
macro_rules! by {
    ($order:literal, $n:literal: $($key:literal = $column:literal),*) => {
        concat!($(
            "case when (", $order, "::text[])[", $n, "] = '", $key, "' then ", $column, " end, ",
            "case when (", $order, "::text[])[", $n, "] = '-", $key, "' then ", $column, " end desc, ",
        )*)
    };
}

macro_rules! organizations_by {
    ($n:literal) => {
        by!("$9", $n: "name" = "o.name", "slug" = "o.slug", "created_at" = "o.created_at")
    };
}

macro_rules! members_by {
    ($n:literal) => {
        by!("$4", $n: "last_name" = "u.last_name", "first_name" = "u.first_name", "created_at" = "m.created_at")
    };
}

macro_rules! wanted_organizations {
    () => {
        "from access_organization o where ($1::uuid is null or o.status = 1 and exists \
           (select from access_member m where m.organization_id = o.id and m.user_id = $1::uuid)) \
         and ($2::text is null or o.name = $2::text) and ($3::text is null or o.slug = $3::text) \
         and ($4::int2 is null or o.status = $4::int2) \
         and ($5::int8 is null or o.created_at > $5::int8) and ($6::int8 is null or o.created_at < $6::int8)"
    };
}

const ORGANIZATIONS: &str = concat!(
    "select o.id, o.tenant, o.slug, o.name, o.status, o.created_at ",
    wanted_organizations!(),
    " order by ",
    organizations_by!("1"),
    organizations_by!("2"),
    organizations_by!("3"),
    "o.name, o.id limit $7::int8 offset $8::int8"
);

const COUNT_ORGANIZATIONS: &str = concat!("select count(*) ", wanted_organizations!());

const MEMBERS: &str = concat!(
    "select u.id, u.first_name, u.last_name, \
       (select min(l.name) from access_login l where l.user_id = u.id and l.kind = 1), \
       array(select r.name from access_role r where r.organization_id = m.organization_id and r.id = any(m.roles) order by r.name), \
       m.created_at \
     from access_member m join access_user u on u.id = m.user_id where m.organization_id = $1::uuid order by ",
    members_by!("1"),
    members_by!("2"),
    members_by!("3"),
    "u.last_name, u.first_name, u.id limit $2::int8 offset $3::int8"
);

const COUNT_MEMBERS: &str = "select count(*) from access_member m where m.organization_id = $1";

/// A page of a list.
#[derive(Debug, Clone, Copy)]
pub struct ListPage<'l> {
    /// Entries on a page.
    pub limit: i64,
    /// Entries before it.
    pub offset: i64,
    /// In which order: names of columns, with a `-` before one that falls. At most three count.
    pub order: &'l [&'l str],
}

/// Which organisations are listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrganizationFilter<'f> {
    /// Those of a member that are active; `None`: all.
    pub of_user: Option<Uuid>,
    /// Of this name.
    pub name: Option<&'f str>,
    /// Of this name in urls.
    pub slug: Option<&'f str>,
    /// Active ones, or suspended ones.
    pub is_active: Option<bool>,
    /// Made after, in microseconds since 1970.
    pub created_after: Option<i64>,
    /// Made before.
    pub created_before: Option<i64>,
}

impl Accounts {
    /// A page of the organisations that a filter lets through, and how many there are on all.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn list_organizations(
        &self,
        filter: &OrganizationFilter<'_>,
        page: ListPage<'_>,
    ) -> Result<(Vec<Organization>, i64)> {
        let status = filter.is_active.map(|is_active| if is_active { ACTIVE } else { SUSPENDED });
        let filters: [&(dyn ToSql + Sync); 6] = [
            &filter.of_user,
            &filter.name,
            &filter.slug,
            &status,
            &filter.created_after,
            &filter.created_before,
        ];
        let of_page: [&(dyn ToSql + Sync); 3] = [&page.limit, &page.offset, &page.order];
        let client = self.client().await?;
        let all: Vec<&(dyn ToSql + Sync)> = filters.into_iter().chain(of_page).collect();
        let rows = client.query(ORGANIZATIONS, &all).await.map_err(classify)?;
        let count = client.query_one(COUNT_ORGANIZATIONS, &filters).await.map_err(classify)?;
        Ok((rows.iter().map(Organization::new).collect::<Result<_>>()?, count.get(0)))
    }

    /// A page of the members of an organisation, and how many there are on all.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn list_members(&self, organization: Uuid, page: ListPage<'_>) -> Result<(Vec<Member>, i64)> {
        let client = self.client().await?;
        let values: [&(dyn ToSql + Sync); 4] = [&organization, &page.limit, &page.offset, &page.order];
        let rows = client.query(MEMBERS, &values).await.map_err(classify)?;
        let count = client.query_one(COUNT_MEMBERS, &[&organization]).await.map_err(classify)?;
        let member = |row: &Row| Member {
            user: row.get(0),
            first_name: row.get(1),
            last_name: row.get(2),
            email: row.get(3),
            roles: row.get(4),
            created_at: row.get(5),
        };
        Ok((rows.iter().map(member).collect(), count.get(0)))
    }
}
