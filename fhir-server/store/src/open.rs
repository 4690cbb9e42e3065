//! Opening the store of a database, with the tasks that live as long as it does.

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, OnceLock};

use fhir_database::{ConnectionOptions, Connections, Standby};
use fhir_model::{Error, Kind, Result};
use fhir_search::Registry;
use fhir_search::cursor::Secret;
use fhir_search::index_hash::IndexHasher;
use fhir_search::sql::Placement;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::options::{Options, StandbyOptions};
use crate::parameters::ParameterCatalog;
use crate::reindex::Settings;
use crate::store::Store;
use crate::{
    commit_clock, distinct, distribution, handle_generator, late_visibility, long_search, pipelined, read,
    reindex, restored, search, secrets, tenants, write, writers,
};

/// The statements that are pipelined, by their position.
const PIPELINED: [&str; pipelined::COUNT] = {
    let mut all = [""; pipelined::COUNT];
    all[pipelined::READ] = read::SQL;
    all[pipelined::CLAIM] = write::CLAIM;
    [all[pipelined::ANNOUNCE], all[pipelined::PUBLISH], all[pipelined::LOOK]] = writers::STATEMENTS;
    all
};

/// Why a distributed database is not opened with a standby.
pub const NO_STANDBY: &str =
    "a distributed database has no standby to read from: take `database.read_url` away";

impl Store {
    /// Connects to a migrated database. Fails when it cannot be reached or is not migrated.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached or is not migrated, when another process uses it with other index settings
    /// or another index format, or when it holds settings that this build does not know.
    pub async fn open(url: &str, options: Options, registry: Arc<Registry>) -> Result<Arc<Store>> {
        let connection_options = |placement: Placement| ConnectionOptions {
            connections_max: options.connections_max,
            statement_timeout: options.statement_timeout,
            // Others tell by it whether this process is connected.
            application_name: format!("cari {:016x}", fhir_database::random_id()),
            pipelined: &PIPELINED,
            plan_for_values: placement == Placement::Distributed,
            standby_of: None,
        };
        let connect = |placement| Connections::open(url, connection_options(placement)).map(Arc::new);
        let mut connections = connect(Placement::Single)?;
        let placement = match options.placement {
            Some(placement) => placement,
            None => {
                let client = connections.client().await?;
                distribution::placement(&client).await?
            }
        };
        if placement == Placement::Distributed {
            connections = connect(placement)?;
        }
        let standby = match &options.standby {
            None => None,
            Some(_) if placement == Placement::Distributed => {
                return Err(Error::new(Kind::Rule, NO_STANDBY));
            }
            Some(StandbyOptions { url, lag_max }) => {
                let standby =
                    Standby::open(url, connection_options(placement), connections.clone(), *lag_max);
                Some(Arc::new(standby.await?))
            }
        };
        // One PostgreSQL that is asked as a distributed one is has a snapshot of all its rows all the same.
        let is_visible_late =
            options.shows_rows_late() || (options.placement.is_none() && placement == Placement::Distributed);
        let secrets = secrets::load(&connections).await?;
        let version_min = restored::version_min(&connections).await?;
        let settings = Settings::load(&connections, &options).await?;
        let tenants =
            tenants::Tenants::load(&connections, &options.organizations, &settings.ours, options.clock.now())
                .await?;
        let secret = Secret(secrets.cursors).for_index(&reindex::indexed_by(&options, &settings));
        let commit_clock = commit_clock::CommitClock::new(options.clock.clone());
        let store = Arc::new(Store {
            connections,
            standby,
            standby_floor: Mutex::new(None),
            placement,
            // What is added to R4 at runtime is this database's own.
            registry: Arc::new(registry.fork()),
            catalog: ParameterCatalog::default(),
            hasher: IndexHasher::new(secrets.keys).with_fold_codes(settings.ours.fold_codes),
            settings,
            tenants,
            secret,
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
            handles: handle_generator::HandleGenerator::default(),
            version_min,
            is_visible_late,
        });
        store.join().await?;
        store.check_placement().await?;
        store.announce().await?;
        writers::keep_announced(&store);
        if store.is_visible_late {
            late_visibility::follow(&store);
        }
        let reconciled = store.reconcile_index().await;
        if reconciled.is_err() {
            store.leave().await;
        }
        reconciled?;
        reindex::spawn_worker(&store);
        if let Some(standby) = store.standby.clone() {
            let stop = store.stop.clone();
            store.tasks.spawn(async move { stop.run_until_cancelled(standby.follow()).await });
        }
        long_search::clean(&store);
        Ok(store)
    }
}
