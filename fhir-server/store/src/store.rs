//! What the store of one database consists of.
//!
//! What it does stands in the modules that use this one: each has its functions in an `impl Store` of its own, or in one of
//! [`ScopedStore`](crate::ScopedStore) where it fetches rows for a caller.

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use fhir_database::{Clock, Connections, Position, Standby, Transaction, failure};
use fhir_model::date::Zone;
use fhir_model::{Error, Key, Kind, Result};
use fhir_search::condition::Condition;
use fhir_search::cursor::Secret;
use fhir_search::index_hash::{Form, IndexHasher, format_server_id};
use fhir_search::sql::Placement;
use fhir_search::tenant::TenantId;
use fhir_search::{Bases, IndexSettings, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::commit_clock::{CommitClock, CommitTimestamp};
use crate::distinct::DurableTexts;
use crate::distribution;
use crate::full_text::FullText;
use crate::handle_generator::HandleGenerator;
use crate::options::Options;
use crate::parameters::ParameterCatalog;
use crate::reindex::Settings;
use crate::search::UnselectiveConditions;
use crate::tenants::{self, Tenants};
use crate::terminology::Terminology;

/// A search that finds nothing: there is no type 0.
const PING: &str =
    "select r.handle from resource r where r.type_id = $1::int4 order by r.updated_at, r.handle limit 1";

/// The store of one database.
pub struct Store {
    pub(crate) connections: Arc<Connections>,
    /// Where reads may be answered, too.
    pub(crate) standby: Option<Arc<Standby>>,
    /// A version of the search parameters, and where the primary was when this process knew it.
    pub(crate) standby_floor: Mutex<Option<(i64, Position)>>,
    pub(crate) placement: Placement,
    pub(crate) registry: Arc<Registry>,
    pub(crate) catalog: ParameterCatalog,
    pub(crate) hasher: IndexHasher,
    pub(crate) settings: Settings,
    pub(crate) tenants: Tenants,
    pub(crate) secret: Secret,
    pub(crate) options: Options,
    pub(crate) full_text: OnceLock<Arc<dyn FullText>>,
    pub(crate) durable_texts: DurableTexts,
    pub(crate) unselective: UnselectiveConditions,
    pub(crate) terminology: OnceLock<Arc<dyn Terminology>>,
    pub(crate) commit_clock: CommitClock,
    /// The low-watermark that was published last.
    pub(crate) published: AtomicI64,
    /// Other processes write, too.
    pub(crate) has_others: AtomicBool,
    pub(crate) low_watermark: watch::Sender<i64>,
    /// Ends the tasks of the store, which are these.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) handles: HandleGenerator,
    pub(crate) version_min: u32,
    /// Commits become visible row by row.
    pub(crate) is_visible_late: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Checks that the database answers a search: on a distributed one every node does.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database does not answer.
    pub async fn ping(&self) -> Result<()> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(PING).await.map_err(failure::classify)?;
        client.query(&statement, &[&0]).await.map_err(failure::classify)?;
        Ok(())
    }

    /// The tables may have been distributed since this process looked: from now on they cannot be.
    pub(crate) async fn check_placement(&self) -> Result<()> {
        if self.options.placement.is_some() {
            return Ok(());
        }
        let client = self.connections.client().await?;
        match distribution::placement(&client).await? == self.placement {
            true => Ok(()),
            false => Err(Error::new(Kind::Unavailable, "the tables were distributed just now; start again")),
        }
    }

    /// True when the rows of resources are distributed over several nodes.
    pub fn is_distributed(&self) -> bool {
        self.placement == Placement::Distributed
    }

    /// The least version that a change of an existing resource may get: higher than any that was given before the
    /// database was last restored.
    pub fn version_min(&self) -> u32 {
        self.version_min
    }

    /// The search parameters it indexes by.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The urls the server is known by.
    pub fn bases(&self) -> &Bases {
        &self.settings.ours.bases
    }

    /// Whether it is known which resources refer to one ([`Store::referrers`]).
    pub fn indexes_references(&self) -> bool {
        self.settings.ours.references
    }

    /// The zone that dates and times are meant in which name none.
    pub fn zone(&self) -> &Zone {
        &self.settings.ours.zone
    }

    /// The key that page links are sealed with.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The time, as the store sees it.
    pub fn clock(&self) -> &Clock {
        &self.options.clock
    }

    /// The connections to its database, for what lives beside resources.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// (connections in use, connections there may be): for metrics.
    pub fn pool(&self) -> (usize, usize) {
        self.connections.usage()
    }

    /// A fresh id: 16 hexadecimal digits, ordered by time. The write fails as stale when it is taken.
    pub fn new_id(&self) -> String {
        // As commit timestamps, ids go on from what is stored when the clock is behind.
        format_server_id(self.handles.next(self.now().max(self.commit_clock.latest())))
    }

    /// The commit timestamp of a write.
    ///
    /// # Errors
    ///
    /// When this process has lost touch with the database, is being stopped, or its clock is more than 5 s from the
    /// database's.
    pub fn commit_timestamp(&self) -> Result<CommitTimestamp> {
        self.commit_clock.next_timestamp()
    }

    /// Microseconds since 1970, as the store sees it.
    pub fn now(&self) -> i64 {
        self.options.clock.now()
    }

    /// What is wrong with this server's clock, so that it writes nothing; `None` when it agrees with the database's.
    pub fn clock_failure(&self) -> Option<String> {
        self.commit_clock.failure()
    }
}

/// Tenants.
impl Store {
    /// The tenant of an organisation. Returns `None` when the server has none of this name.
    ///
    /// # Errors
    ///
    /// When this process does not know the name and the database does not answer.
    pub async fn tenant(&self, slug: &str) -> Result<Option<TenantId>> {
        match self.tenants.id(slug) {
            Some(id) => Ok(Some(id)),
            // Rare, and its future large: every request's would be as large.
            None => Box::pin(self.tenants.find(slug, &self.connections)).await,
        }
    }

    /// Adds a tenant in a transaction of the caller's, who tells the store of it when that was [committed](Store::learn_tenant). Returns
    /// `None` when there is one of this name.
    ///
    /// # Errors
    ///
    /// When the database does not answer, and when others add one at the same time: the transaction is to be done again.
    pub async fn add_tenant(&self, transaction: &Transaction<'_>, slug: &str) -> Result<Option<TenantId>> {
        tenants::add(transaction, slug, self.now()).await
    }

    /// Serves a tenant from now on that was added.
    pub fn learn_tenant(&self, tenant: TenantId, slug: &str) {
        self.tenants.learn(tenant, slug);
    }

    /// True for the `type_id` of a tenant that this process serves.
    pub(crate) fn knows_tenant_of(&self, type_id: i32) -> bool {
        TenantId::from_type_id(type_id).is_ok_and(|(tenant, _)| self.tenants.settings(tenant).is_some())
    }

    /// By what the resources of a tenant are indexed.
    pub(crate) fn settings_of(&self, tenant: TenantId) -> &IndexSettings {
        self.tenants.settings(tenant).unwrap_or(&self.settings.ours)
    }

    /// The urls that a tenant is known by here: the server's and its own. Those of other organisations are foreign.
    pub fn bases_of(&self, tenant: TenantId) -> &Bases {
        &self.settings_of(tenant).bases
    }
}

/// Compartments.
impl Store {
    /// What holds of the resources of a type, in a tenant, that are in the compartment around a resource. Returns `None` for a type
    /// that is not part of such compartments.
    pub fn compartment_condition(&self, tenant: TenantId, key: &Key, type_name: &str) -> Option<Condition> {
        let hasher = self.hasher.with_tenant(tenant);
        fhir_search::compartment_condition(key, type_name, &self.registry, &hasher)
    }
}

/// What others give it.
impl Store {
    /// Searches by words from now on. The first index stays.
    pub fn set_full_text(&self, index: Arc<dyn FullText>) {
        // A second one is none of a server's doing.
        let _ = self.full_text.set(index);
    }

    /// True when there is a full text index, be it complete or not.
    pub fn has_full_text(&self) -> bool {
        self.full_text.get().is_some()
    }

    /// Time since the full text index was last complete. Returns `None` when there is no index, or it is still being built.
    pub fn full_text_lag(&self) -> Option<Duration> {
        self.full_text.get()?.lag()
    }

    /// A number of this database, by which data derived from it, such as a full text index on disk, is recognised.
    pub fn database_number(&self) -> u64 {
        self.hasher.key(0, "database", Form::Present, &[]).cast_unsigned()
    }

    /// Asks somebody else about codes from now on. The first one stays.
    pub fn set_terminology(&self, terminology: Arc<dyn Terminology>) {
        // A second one is none of a server's doing.
        let _ = self.terminology.set(terminology);
    }
}
