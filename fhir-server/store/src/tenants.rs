//! The organisations that share the database, each a tenant with a base url of its own.
//!
//! Tenants are added while the server serves, by any process, and never taken away. What is kept of one stays where it is, so that a
//! request may hold it; a name that this process does not know is looked for in the database.

use std::collections::BTreeMap;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use fhir_database::{Connections, Transaction, failure};
use fhir_model::{Error, Kind, Result};
use fhir_search::IndexSettings;
use fhir_search::tenant::TenantId;
use tokio::sync::Mutex;

const TENANTS: &str = "select t.number, t.slug from tenant t order by t.number";

/// The next free number. Two processes may take the same one; the loser's primary key says so.
const ADD: &str = "insert into tenant (number, slug, created_at) \
     select greatest($1::int4, coalesce((select max(t.number) + 1 from tenant t), 0)), $2::text, $3::int8 \
     where not exists (select from tenant t where t.slug = $2::text)";

const NUMBER: &str = "select t.number from tenant t where t.slug = $1::text";

/// Tries to add a tenant, while others add some.
const TRIES: usize = 20;

/// How often the database is asked for names that are not known, at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Settings are kept in rows of so many, which are made when the first of them is needed.
const ROW: usize = 256;
const ROWS: usize = (i16::MAX as usize + 1) / ROW;

type SettingsRow = Box<[OnceLock<IndexSettings>]>;

/// All of them.
#[derive(Debug)]
pub(crate) struct Tenants {
    /// The server's own, without an organisation's base urls.
    ours: IndexSettings,
    slugs: RwLock<BTreeMap<Box<str>, TenantId>>,
    settings: Box<[OnceLock<SettingsRow>]>,
    looked_at: Mutex<Option<Instant>>,
}

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
            while let Err(e) = client.execute(ADD, &[&first(), slug, &now]).await {
                tries += 1;
                if !failure::is_duplicate(&e) || tries == TRIES {
                    return Err(failure::classify(e));
                }
            }
        }
        let all = Tenants {
            ours: settings.clone(),
            slugs: RwLock::default(),
            settings: (0..ROWS).map(|_| OnceLock::new()).collect(),
            looked_at: Mutex::default(),
        };
        drop(client);
        all.look(connections).await?;
        Ok(all)
    }

    /// Learns of the tenants that other processes have added.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub(crate) async fn look(&self, connections: &Connections) -> Result<()> {
        let client = connections.client().await?;
        for row in client.query(TENANTS, &[]).await.map_err(failure::classify)? {
            let (number, slug): (i32, String) =
                (row.try_get(0).map_err(Error::internal)?, row.try_get(1).map_err(Error::internal)?);
            self.learn(tenant(number)?, &slug);
        }
        Ok(())
    }

    /// The tenant of an organisation. Returns `None` when there is none of this name.
    ///
    /// # Errors
    ///
    /// When the name is not known here and the database does not answer.
    pub(crate) async fn find(&self, slug: &str, connections: &Connections) -> Result<Option<TenantId>> {
        // Names that nobody has must not cost the database more than a statement a second.
        let mut looked_at = self.looked_at.lock().await;
        if looked_at.is_none_or(|at| at.elapsed() >= LOOK_INTERVAL) {
            self.look(connections).await?;
            *looked_at = Some(Instant::now());
        }
        Ok(self.id(slug))
    }

    /// The same, of those that this process knows.
    pub(crate) fn id(&self, slug: &str) -> Option<TenantId> {
        self.slugs.read().unwrap_or_else(PoisonError::into_inner).get(slug).copied()
    }

    /// By what the resources of a tenant are indexed. Returns `None` for one that this process does not know.
    pub(crate) fn settings(&self, id: TenantId) -> Option<&IndexSettings> {
        match id < TenantId::FIRST_ADDED {
            true => Some(&self.ours),
            false => self.place(id)?.get(),
        }
    }

    /// Knows a tenant from now on.
    pub(crate) fn learn(&self, id: TenantId, slug: &str) {
        let Some(place) = self.place(id).filter(|_| self.id(slug) != Some(id)) else { return };
        place.get_or_init(|| {
            let bases = self.ours.bases.with_organization(slug);
            IndexSettings { bases, ..self.ours.clone() }
        });
        self.slugs.write().unwrap_or_else(PoisonError::into_inner).insert(slug.into(), id);
    }

    fn place(&self, id: TenantId) -> Option<&OnceLock<IndexSettings>> {
        let number = usize::from(id.number());
        let row =
            self.settings.get(number / ROW)?.get_or_init(|| (0..ROW).map(|_| OnceLock::new()).collect());
        row.get(number % ROW)
    }
}

/// Adds a tenant in a transaction. Returns `None` when there is one of this name.
///
/// # Errors
///
/// When the database does not answer, and when others add one at the same time: the transaction is to be done again.
pub(crate) async fn add(transaction: &Transaction<'_>, slug: &str, now: i64) -> Result<Option<TenantId>> {
    let added =
        transaction.execute(ADD, &[&first(), &slug, &now]).await.map_err(
            |error| match failure::is_duplicate(&error) {
                true => {
                    Error::new(Kind::Unavailable, "another organisation is added at the same time; try again")
                        .because(error)
                }
                false => failure::classify(error),
            },
        )?;
    if added == 0 {
        return Ok(None);
    }
    let row = transaction.query_one(NUMBER, &[&slug]).await.map_err(failure::classify)?;
    tenant(row.try_get(0).map_err(Error::internal)?).map(Some)
}

fn first() -> i32 {
    i32::from(TenantId::FIRST_ADDED.number())
}

fn tenant(number: i32) -> Result<TenantId> {
    TenantId::new(u16::try_from(number).map_err(Error::internal)?)
}
