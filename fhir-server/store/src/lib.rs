//! The resource store: the only crate that talks to PostgreSQL for resources.
//!
//! One narrow row per current version, history beside it, index entries from `fhir-search` in the same transaction.
//!
//! **Invariants:** nothing is readable or writable without a [`Scope`]; what is acknowledged is durable and indexed;
//! no advisory locks, LISTEN, triggers or sequences; no state that matters lives in this process.

mod body;
mod codec;
mod distinct;
mod effect;
mod everything;
mod export;
mod feed;
mod full_text;
mod history;
mod long_search;
mod migrations;
mod parameters;
mod read;
mod reindex;
mod restored;
mod scope;
mod scoped;
mod search;
mod secrets;
mod stamp;
mod tenants;
pub mod terminology;
#[cfg(feature = "testing")]
pub mod testing;
mod version;
mod visibility;
mod write;
mod writers;

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fhir_database::{ConnectionOptions, Connections, failure};
use fhir_model::Result;
use fhir_model::date::Zone;
use fhir_search::cursor::Secret;
use fhir_search::index_hash::IndexHasher;
use fhir_search::{Bases, IndexSettings, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use effect::{ColumnType, Effect, EffectTable, EffectValue, Effects, WriteChange};
pub use everything::{EverythingFilter, Member};
pub use feed::{Change, FeedPosition};
pub use fhir_database::{Clock, Endpoint, SchemaState};
pub use full_text::{FullText, TextHits};
pub use history::{History, HistoryPage, HistoryTarget};
pub use long_search::LongSearches;
pub use migrations::{MIGRATIONS, migrate, schema};
pub use reindex::{ReindexJob, ReindexOptions, ReindexState};
pub use restored::mark_restored;
pub use scope::{Rule, Rules, Scope, ScopedStore};
pub use search::{Count, Explained, Page};
pub use stamp::CommitTimestamp;
pub use version::{Method, ResourceState, Version};
pub use write::{Claim, Commit, Precondition, Write};

/// The statements that are pipelined, by their position.
const PIPELINED: [&str; 5] = {
    let [announce, publish, look] = writers::STATEMENTS;
    [read::SQL, write::CLAIM, announce, publish, look]
};
const READ: usize = 0;
const CLAIM: usize = 1;
const ANNOUNCE: usize = 2;
const PUBLISH: usize = 3;
const LOOK: usize = 4;

/// How the store behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections for searches and writes.
    pub connections_max: usize,
    /// A statement that takes longer is stopped.
    pub statement_timeout: Duration,
    /// Current versions are kept compressed instead of as JSONB.
    pub packed: bool,
    /// What is indexed depends on these, so they are settings, and not taken from requests.
    pub settings: IndexSettings,
    /// The settings that the database has count instead, where it has any: for programs beside the server.
    pub keep_settings: bool,
    /// Slugs of the organisations that the database is to have, beside those it has.
    pub organizations: Vec<String>,
    /// Most resources that includes add to a page.
    pub include_max: usize,
    /// Bytes of matches, and of what they include, after which a page is full.
    pub page_bytes_max: usize,
    /// How long an exact total is counted before an estimate has to do.
    pub total_timeout: Duration,
    /// Rows with entries that meet a condition up to which these rows are looked up.
    pub entries_few: usize,
    /// Other ends of a chain up to which it is rare: an ordinary condition from the start.
    pub chain_rare: usize,
    /// Most other ends of a chain; where there are more, and no other way to answer, the search is refused.
    pub chain_max: usize,
    /// Most values that one search looks up before there is a statement for it: the ends of all its chains, the codes of
    /// value sets, what has certain words.
    pub looked_up_max: usize,
    /// How old resources are indexed anew.
    pub reindex: ReindexOptions,
    /// Bounds on the criteria that are kept for links to further pages.
    pub long_searches: LongSearches,
    /// Most matches that are sorted by what only their bodies say.
    pub sorted_max: usize,
    /// What modules record of writes.
    pub effects: Effects,
    /// The time.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections_max: 16,
            statement_timeout: Duration::from_secs(30),
            packed: false,
            settings: IndexSettings::default(),
            keep_settings: false,
            organizations: Vec::new(),
            include_max: 1000,
            page_bytes_max: 32 << 20,
            total_timeout: Duration::from_secs(2),
            entries_few: 250,
            chain_rare: 50,
            chain_max: 200_000,
            looked_up_max: 1_000_000,
            reindex: ReindexOptions::default(),
            long_searches: LongSearches::default(),
            sorted_max: 20_000,
            effects: Effects::default(),
            clock: Clock::default(),
        }
    }
}

/// The store of one database.
pub struct Store {
    connections: Arc<Connections>,
    registry: Arc<Registry>,
    catalog: parameters::ParameterCatalog,
    hasher: IndexHasher,
    settings: reindex::Settings,
    tenants: tenants::Tenants,
    secret: Secret,
    options: Options,
    full_text: OnceLock<Arc<dyn FullText>>,
    durable_texts: distinct::DurableTexts,
    unselective: search::UnselectiveConditions,
    terminology: OnceLock<Arc<dyn terminology::Terminology>>,
    commit_clock: stamp::CommitClock,
    /// The low-watermark that was published last.
    published: AtomicI64,
    /// Other processes write, too.
    has_others: AtomicBool,
    low_watermark: watch::Sender<i64>,
    /// Ends the tasks of the store, which are these.
    stop: CancellationToken,
    tasks: TaskTracker,
    handles: stamp::HandleGenerator,
    version_min: u32,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Connects to a migrated database. Fails when it cannot be reached or is not migrated.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached or is not migrated, when another process uses it with other index settings
    /// or another index format, or when it holds settings that this build does not know.
    pub async fn open(url: &str, options: Options, registry: Arc<Registry>) -> Result<Arc<Store>> {
        let connections = Arc::new(Connections::open(
            url,
            ConnectionOptions {
                connections_max: options.connections_max,
                statement_timeout: options.statement_timeout,
                // Others tell by it whether this process is connected.
                application_name: format!("cari {:016x}", fhir_database::random_id()),
                pipelined: &PIPELINED,
            },
        )?);
        let secrets = secrets::load(&connections).await?;
        let version_min = restored::version_min(&connections).await?;
        let settings = reindex::Settings::load(&connections, &options).await?;
        let tenants =
            tenants::Tenants::load(&connections, &options.organizations, &settings.ours, options.clock.now())
                .await?;
        let commit_clock = stamp::CommitClock::new(options.clock.clone());
        let store = Arc::new(Store {
            connections,
            // What is added to R4 at runtime is this database's own.
            registry: Arc::new(registry.fork()),
            catalog: parameters::ParameterCatalog::default(),
            hasher: IndexHasher::new(secrets.keys).with_fold_codes(settings.ours.fold_codes),
            settings,
            tenants,
            secret: Secret(secrets.cursors),
            options,
            full_text: OnceLock::new(),
            durable_texts: distinct::DurableTexts::default(),
            unselective: search::UnselectiveConditions::default(),
            terminology: OnceLock::new(),
            commit_clock,
            published: AtomicI64::new(0),
            // Not known before it has looked.
            has_others: AtomicBool::new(true),
            low_watermark: watch::Sender::new(i64::MIN),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            handles: stamp::HandleGenerator::default(),
            version_min,
        });
        store.join().await?;
        store.announce().await?;
        writers::keep_announced(&store);
        let reconciled = store.reconcile_index().await;
        if reconciled.is_err() {
            store.leave().await;
        }
        reconciled?;
        reindex::spawn_worker(&store);
        long_search::clean(&store);
        Ok(store)
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database does not answer.
    pub async fn ping(&self) -> Result<()> {
        let client = self.connections.client().await?;
        client.query_one("select 1", &[]).await.map_err(failure::classify)?;
        Ok(())
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
}
