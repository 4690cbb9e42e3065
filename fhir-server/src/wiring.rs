//! The parts of a server, put together from its settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use fhir_access::Accounts;
use fhir_app::{App, Modules};
use fhir_config::{Body, ConditionalDelete, Config, Integrity, ReadFrom};
use fhir_database::Migrations;
use fhir_fulltext::Index as Words;
use fhir_http::{self as http, CorsOrigins, Edge, EdgeOptions, Hosts, Metrics};
use fhir_interactions::{Cx, Operations, RequestLimits, Settings};
use fhir_model::interaction::MOUNTS;
use fhir_model::json;
use fhir_postgres::backup::{Plan, Recipients, Site, Status, Worker};
use fhir_postgres::{Download, Embedded, Search};
use fhir_profiles::Definitions;
use fhir_search::{IndexSettings, Registry};
use fhir_store::{Clock, Endpoint, Standby, Store};
use fhir_work::{CancellationToken, Consumer, Work, Working};

use crate::{access, rate_limits};

/// A database, and the process that serves it when it is our own.
#[derive(Debug)]
pub struct Database {
    /// Where it is.
    pub url: String,
    embedded: Option<Embedded>,
}

impl Database {
    /// The database of the settings: the one named, else our own, started here.
    ///
    /// # Errors
    ///
    /// When the URL of the database cannot be parsed, or the embedded PostgreSQL cannot be started.
    pub async fn start(config: &Config) -> Result<Database> {
        if let Some(url) = &config.database.url {
            let endpoint = Endpoint::parse(url.expose())?;
            tracing::info!("using the {endpoint}, which is named by {}", config.database.url_origin);
            return Ok(Database { url: url.expose().to_owned(), embedded: None });
        }
        let embedded =
            Embedded::start(postgres(config)).await.context("our own PostgreSQL could not be started")?;
        Ok(Database { url: embedded.url(), embedded: Some(embedded) })
    }

    /// Our own database, and what backups are made of.
    ///
    /// # Errors
    ///
    /// As [`Database::start`], and when the settings name a database of somebody else's.
    pub async fn start_own(config: &Config) -> Result<(Database, Site)> {
        let database = Database::start(config).await?;
        match database.embedded.as_ref().map(|embedded| embedded.site().clone()) {
            Some(site) => Ok((database, site)),
            None => bail!("the database of `database.url` is not this server's own"),
        }
    }

    /// Starts making backups, if they are to be made; otherwise nothing is kept for them any more.
    ///
    /// # Errors
    ///
    /// When the backup settings contradict each other, or the replication slot of an earlier setting cannot be
    /// dropped.
    pub async fn backups(&self, config: &Config) -> Result<Option<Worker>> {
        let Some(embedded) = &self.embedded else { return Ok(None) };
        let site = embedded.site().clone();
        match backup_plan(config)? {
            Some(plan) => Ok(Some(Worker::start(site, plan))),
            None => {
                site.keep_no_wal().await?;
                Ok(None)
            }
        }
    }

    /// Stops it when it is our own.
    pub async fn stop(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// How our own PostgreSQL is started.
pub(crate) fn postgres(config: &Config) -> fhir_postgres::Options {
    let mut search = Search::machine();
    if let Some(dir) = &config.postgres.bin_dir {
        search.named = Some(dir.clone());
    }
    let download =
        config.postgres.download.then(|| Download::for_this_machine(&config.postgres.download_url));
    fhir_postgres::Options {
        search,
        download: download.unwrap_or_default(),
        // Room for a second server on the same database, and for an operator's psql.
        connections_max: (config.database.connections_max * 2 + 20).min(2000) as u16,
        settings: vec![(
            "max_slot_wal_keep_size".to_owned(),
            format!("{}MB", config.backup.wal_waiting_bytes_max >> 20),
        )],
        ..fhir_postgres::Options::new(&config.data_dir)
    }
}

/// How backups are made; `None` when none are to be made.
///
/// # Errors
///
/// When a recipient is no public key.
pub(crate) fn backup_plan(config: &Config) -> Result<Option<Plan>> {
    let backup = &config.backup;
    let Some(target) = &backup.target else { return Ok(None) };
    Ok(Some(Plan {
        target: target.clone(),
        recipients: Recipients::parse(backup.recipients.iter().map(String::as_str))?,
        interval: backup.interval,
        keep: backup.keep,
        keep_min: backup.keep_min,
        wal_interval: backup.wal.then_some(backup.wal_interval),
    }))
}

/// FHIR's definitions and search parameters.
pub type FhirDefinitions = (Arc<Definitions>, Arc<Registry>);

/// Decodes the definitions on a thread of its own, so that PostgreSQL can start meanwhile.
///
/// # Errors
///
/// When the data compiled into the program cannot be decoded: a defect of the build.
pub async fn load_definitions() -> Result<FhirDefinitions> {
    let load = || -> fhir_model::Result<FhirDefinitions> {
        let definitions = Arc::new(Definitions::load()?);
        let registry = Arc::new(Registry::load(definitions.clone())?);
        Ok((definitions, registry))
    };
    tokio::task::spawn_blocking(load).await?.context("the definitions of FHIR could not be read")
}

/// Database and definitions, made ready side by side; the schema is brought up to date.
///
/// # Errors
///
/// As [`migrated`], [`load_definitions`] and [`cx`]. The database is stopped then.
pub async fn start(config: &Config, modules: &Modules, index: Index<'_>) -> Result<(Database, Core)> {
    let began = Instant::now();
    let (database, knowledge) = tokio::join!(migrated(config, modules), load_definitions());
    let database = database?;
    let cx = match knowledge {
        Ok(knowledge) => cx(config, modules, &database.url, index, knowledge).await,
        Err(error) => Err(error),
    };
    match cx {
        Ok(cx) => {
            tracing::info!("ready after {} ms", began.elapsed().as_millis());
            Ok((database, cx))
        }
        Err(error) => {
            database.stop().await;
            Err(error)
        }
    }
}

/// A started database with the schema of this version.
///
/// # Errors
///
/// As [`Database::start`] and [`fhir_database::migrate`]. The database is stopped then.
pub async fn migrated(config: &Config, modules: &Modules) -> Result<Database> {
    let database = Database::start(config).await?;
    match migrate(&database.url, modules).await {
        Ok(()) => Ok(database),
        Err(error) => {
            database.stop().await;
            Err(error).context("the database could not be brought to the schema of this version")
        }
    }
}

/// All migrations: the store's, those of accounts, and then those of the modules.
pub(crate) fn migrations(modules: &Modules) -> Vec<Migrations> {
    [fhir_store::MIGRATIONS, fhir_access::MIGRATIONS].into_iter().chain(modules.migrations()).collect()
}

/// Brings a database to the schema of this version.
///
/// # Errors
///
/// As [`fhir_database::migrate`].
pub(crate) async fn migrate(url: &str, modules: &Modules) -> fhir_model::Result<()> {
    fhir_database::migrate(url, &migrations(modules)).await
}

/// By which settings resources are indexed.
#[derive(Debug, Clone, Copy)]
pub enum Index<'n> {
    /// Those of the server that is started, with its names.
    Served(&'n Hosts),
    /// Those that the database has, as they are its server's; these where it has none yet.
    Kept(&'n Hosts),
}

/// The settings that an index depends on.
fn index_settings(config: &Config, names: &Hosts) -> IndexSettings {
    IndexSettings {
        bases: names.bases().clone(),
        zone: config.time_zone.clone(),
        fold_codes: config.fold_codes,
        references: config.referential_integrity == Integrity::Enforce,
    }
}

/// The server behind the interactions.
///
/// # Errors
///
/// When the database cannot be reached or is not migrated, when another process uses it with other index settings, when
/// two operations have one code at the same level, or when the keys of accounts cannot be used.
pub async fn cx(
    config: &Config,
    modules: &Modules,
    database_url: &str,
    index: Index<'_>,
    (definitions, registry): FhirDefinitions,
) -> Result<Core> {
    let (names, keep_settings) = match index {
        Index::Served(names) => (names, false),
        Index::Kept(names) => (names, true),
    };
    let options = fhir_store::Options {
        connections_max: config.database.connections_max,
        standby: config.database.read_url.as_ref().map(|url| fhir_store::StandbyOptions {
            url: url.expose().to_owned(),
            lag_max: config.database.read_lag_max,
        }),
        statement_timeout: config.limits.statement_timeout,
        packed: config.storage.body == Body::Packed,
        settings: index_settings(config, names),
        keep_settings,
        organizations: config.organizations.clone(),
        include_max: config.limits.include_max,
        page_bytes_max: config.limits.page_bytes_max,
        total_timeout: config.limits.total_timeout,
        long_searches: fhir_store::LongSearches {
            lifetime: config.limits.long_search_lifetime,
            rows_max: config.limits.long_searches_max,
            bytes_max: config.limits.long_searches_bytes_max,
        },
        effects: modules.effects(),
        ..fhir_store::Options::default()
    };
    let store =
        Store::open(database_url, options, registry).await.context("the database could not be used")?;
    let operations =
        Operations::new(modules.operations(), &*definitions).context("the operations do not fit together")?;
    let accounts = access::accounts(config, &store).await?;
    let guard = access::guard(config, &store, accounts.as_ref());
    let cx = Cx::new(store, guard);
    let cx = Arc::new(Cx {
        operations,
        rules: cx.rules.with(modules.rules()),
        observers: modules.observers(),
        limits: limits(config),
        settings: settings(config),
        ..cx
    });
    Ok(Core { cx, accounts })
}

/// The server behind the interactions, with those who have an account.
#[derive(Clone)]
pub struct Core {
    /// What answers.
    pub cx: Arc<Cx>,
    /// Of a server with accounts.
    pub accounts: Option<Arc<Accounts>>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Core")
    }
}

/// Starts what is done in the background, until it is stopped.
///
/// # Errors
///
/// When two consumers or two types of jobs have one name, or one has another module's.
pub fn work(config: &Config, app: &Arc<App>, modules: &Modules) -> Result<Working> {
    let options = fhir_work::Options { jobs_max: config.work.jobs_max, ..fhir_work::Options::default() };
    let work = Work::new(app.cx().store.clone()).options(options);
    let work = match full_text(config, app.cx()) {
        Some(consumer) => work.consumer(consumer),
        None => work,
    };
    let work = modules.work(app, work).context("the modules do not fit together")?;
    work.start(CancellationToken::new()).context("the background work does not fit together")
}

/// The full text index, which follows the store. A server without it answers all but `_text` and `_content`.
fn full_text(config: &Config, cx: &Arc<Cx>) -> Option<Arc<dyn Consumer>> {
    if !config.full_text {
        return None;
    }
    match Words::open(&config.data_dir.join("full-text"), cx.store.database_number()) {
        Ok(index) => {
            let index = Arc::new(index);
            cx.store.set_full_text(index.clone());
            Some(fhir_fulltext::consumer(index))
        }
        Err(error) => {
            tracing::error!("there is no full text search: {error}");
            None
        }
    }
}

/// Registers the metrics whose values are kept by the store, the system and the backups.
///
/// # Errors
///
/// When it is shown already: a defect of the program.
pub fn observe(cx: &Arc<Cx>, metrics: &Metrics, backups: Option<&Arc<Status>>) -> fhir_model::Result<()> {
    let store = Arc::downgrade(&cx.store);
    let lag = move || Some(store.upgrade()?.full_text_lag()?.as_secs());
    metrics.observe(
        "fhir_full_text_lag_seconds",
        "Seconds since the full text index had every change.",
        lag,
    )?;
    observe_standby(cx, metrics)?;
    let memory = "Resident memory of the server process.";
    metrics.observe("process_resident_memory_bytes", memory, resident_bytes)?;
    let Some(status) = backups else { return Ok(()) };
    let show = |name, help, read: fn(&Status) -> u64| {
        let status = status.clone();
        metrics.observe(name, help, move || Some(read(&status)))
    };
    let help = "Time since the last base backup was complete.";
    show("fhir_backup_age_seconds", help, |status| age(&status.base_at))?;
    let help = "Time since everything committed was in the archive of WAL.";
    show("fhir_backup_wal_age_seconds", help, |status| age(&status.wal_at))?;
    let help = "Base backups and archivings of WAL that failed, an absent target included.";
    show("fhir_backup_failures_total", help, |status| status.failures.load(Relaxed))?;
    let help = "WAL that waits for the target.";
    show("fhir_backup_wal_waiting_bytes", help, |status| status.wal_bytes.load(Relaxed))?;
    let help = "1 when the backup target was there at the last attempt.";
    show("fhir_backup_target_present", help, |status| u64::from(status.target.load(Relaxed)))
}

/// The metrics of the standby that is read from, where there is one.
fn observe_standby(cx: &Arc<Cx>, metrics: &Metrics) -> fhir_model::Result<()> {
    if !cx.store.has_standby() {
        return Ok(());
    }
    let show = |name, help, read: fn(&Standby) -> Option<u64>| {
        let store = Arc::downgrade(&cx.store);
        metrics.observe(name, help, move || read(store.upgrade()?.standby()?))
    };
    let help = "1 when the standby answers, and is one.";
    show("fhir_standby_present", help, |standby| Some(u64::from(standby.lag().is_some())))?;
    let help = "Bytes of log that the primary has and the standby has not replayed.";
    show("fhir_standby_lag_bytes", help, |standby| Some(standby.lag()?.bytes))?;
    let help = "Seconds since the primary was where the standby is.";
    show("fhir_standby_lag_seconds", help, |standby| Some(standby.lag()?.time.as_secs()))?;
    let help = "Requests that a standby answered.";
    show("fhir_standby_reads_total", help, |standby| Some(standby.reads.load(Relaxed)))?;
    let help = "Requests that were begun on a standby, and answered by the primary after all.";
    show("fhir_standby_retries_total", help, |standby| Some(standby.retries.load(Relaxed)))?;
    let help =
        "Requests that a standby might have answered that did not have enough of the log, or was away.";
    show("fhir_standby_passed_over_total", help, |standby| Some(standby.passed_over.load(Relaxed)))
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Seconds since an instant. What never was is as old as the epoch, so that an alert on the age sees it.
fn age(at: &AtomicI64) -> u64 {
    let now = u64::try_from(Clock::default().now() / 1_000_000).unwrap_or(0);
    now.saturating_sub(at.load(Relaxed).max(0).cast_unsigned())
}

/// The edge of a server.
///
/// # Errors
///
/// When routes of modules are in each other's way.
pub fn edge(
    config: &Config,
    app: &Arc<App>,
    modules: &Modules,
    metrics: Arc<Metrics>,
    hosts: Hosts,
) -> Result<Edge> {
    let modules = modules.routes(app).context("the modules do not fit together")?;
    let origins = CorsOrigins::new(&config.allow_origins)?;
    let (proxies, rate_limits) = (rate_limits::proxies(config), rate_limits::options(config));
    let limits = http_limits(config);
    let options = EdgeOptions { limits, metrics, hosts, origins, modules, proxies, rate_limits };
    Ok(Edge::new(app.cx().clone(), options)?)
}

/// Bytes and nesting of a resource.
pub fn json_limits(config: &Config) -> json::JsonLimits {
    json::JsonLimits {
        depth_max: config.limits.depth_max,
        bytes_max: config.limits.body_bytes_max,
        ..json::JsonLimits::default()
    }
}

fn limits(config: &Config) -> RequestLimits {
    RequestLimits {
        json: json_limits(config),
        entries_max: config.limits.entries_max,
        count_default: config.limits.count_default,
        count_max: config.limits.count_max,
        url_bytes_max: config.limits.url_bytes_max,
        ..RequestLimits::default()
    }
}

/// The choices that FHIR leaves open.
pub fn settings(config: &Config) -> Settings {
    Settings {
        conditional_delete: match config.conditional_delete {
            ConditionalDelete::Off => fhir_interactions::ConditionalDelete::Off,
            ConditionalDelete::Single => fhir_interactions::ConditionalDelete::Single,
            ConditionalDelete::Multiple => fhir_interactions::ConditionalDelete::Multiple,
        },
        read_from: match config.database.read_from {
            ReadFrom::Primary => fhir_interactions::ReadFrom::Primary,
            ReadFrom::Standby => fhir_interactions::ReadFrom::Standby,
        },
        started_at: Clock::default().now(),
        ..Settings::default()
    }
}

/// The bounds at the edge.
fn http_limits(config: &Config) -> http::HttpLimits {
    http::HttpLimits {
        body_bytes_max: config.limits.body_bytes_max,
        bodies_bytes_max: config.limits.bodies_bytes_max,
        url_bytes_max: config.limits.url_bytes_max,
        // A URL as long as it may be, and the headers beside it.
        head_bytes_max: config.limits.url_bytes_max + http::HttpLimits::default().head_bytes_max,
        requests_max: config.concurrency.requests_max,
        queue_max: config.concurrency.queue_max,
        queue_wait_max: config.concurrency.queue_wait,
        drain_max: config.concurrency.drain,
        head_timeout: config.limits.head_timeout,
        idle_timeout: config.limits.idle_timeout,
        bytes_per_second_min: config.limits.bytes_per_second_min,
        ..http::HttpLimits::default()
    }
}

/// What a server is called that listens at `address`.
pub fn hosts(config: &Config, address: SocketAddr) -> Hosts {
    Hosts::new(address, config.base_url.as_deref(), &config.hosts)
}

/// The base url, without a client to say what it calls.
pub fn base_url(config: &Config) -> String {
    let base = config.base_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    format!("{base}{}", MOUNTS[0])
}
