//! The organisations that share the database, each a tenant with a base url of its own.

use std::collections::BTreeMap;

use fhir_database::{Connections, failure};
use fhir_model::{Error, Result};
use fhir_search::IndexSettings;
use fhir_search::tenant::TenantId;

const TENANTS: &str = "select t.number, t.slug from tenant t order by t.number";

/// The next free number. Two processes may take the same one; the loser's primary key says so.
const ADD: &str = "insert into tenant (number, slug, created_at) \
     select greatest($1::int4, coalesce((select max(t.number) + 1 from tenant t), 0)), $2::text, $3::int8 \
     where not exists (select from tenant t where t.slug = $2::text)";

/// Tries to add a tenant, while others add some.
const TRIES: usize = 20;

/// A tenant that is not the default organisation.
#[derive(Debug)]
pub(crate) struct Tenant {
    id: TenantId,
    /// As the server's, with the organisation's own base urls.
    settings: IndexSettings,
}

/// All of them, by slug.
#[derive(Debug, Default)]
pub(crate) struct Tenants(BTreeMap<Box<str>, Tenant>);

impl Tenants {
    /// The tenants of the database, after those that are missing were added at `now`, in microseconds since 1970.
    ///
    /// # Errors
    ///
    /// When the database does not answer, or there are more than a `type_id` can tell apart.
    pub(crate) async fn load(
        connections: &Connections,
        wanted: &[String],
        settings: &IndexSettings,
        now: i64,
    ) -> Result<Tenants> {
        let client = connections.client().await?;
        for slug in wanted {
            let mut tries = 0;
            let first = i32::from(TenantId::FIRST_ADDED.number());
            while let Err(e) = client.execute(ADD, &[&first, slug, &now]).await {
                tries += 1;
                if !failure::is_duplicate(&e) || tries == TRIES {
                    return Err(failure::classify(e));
                }
            }
        }
        let mut all = BTreeMap::new();
        for row in client.query(TENANTS, &[]).await.map_err(failure::classify)? {
            let (number, slug): (i32, String) =
                (row.try_get(0).map_err(Error::internal)?, row.try_get(1).map_err(Error::internal)?);
            let id = TenantId::new(u16::try_from(number).map_err(Error::internal)?)?;
            let bases = settings.bases.with_organization(&slug);
            all.insert(slug.into(), Tenant { id, settings: IndexSettings { bases, ..settings.clone() } });
        }
        Ok(Tenants(all))
    }

    /// The tenant of an organisation. Returns `None` when there is none of this name.
    pub(crate) fn id(&self, slug: &str) -> Option<TenantId> {
        self.0.get(slug).map(|tenant| tenant.id)
    }

    /// By what the resources of a tenant are indexed. Returns `None` for the default organisation.
    pub(crate) fn settings(&self, id: TenantId) -> Option<&IndexSettings> {
        if id == TenantId::DEFAULT {
            return None;
        }
        self.0.values().find(|tenant| tenant.id == id).map(|tenant| &tenant.settings)
    }
}
