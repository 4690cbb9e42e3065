//! The modules of a server, checked and put together.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fhir_config::{ModuleSetting, SETTINGS};
use fhir_database::Migrations;
use fhir_http::{ModuleRoutes, RouteTable};
use fhir_interactions::{Observer, Operation, WriteRule};
use fhir_model::{Error, Result};
use fhir_store::Effects;
use fhir_work::{CancellationToken, Work};
use tokio::task::JoinSet;

use crate::{App, Module};

/// All modules of a server.
#[derive(Clone)]
pub struct Modules(Arc<[Box<dyn Module>]>);

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|module| module.name())).finish()
    }
}

/// What the names of the server's own tables begin with, where that is not a section of its settings, too; and its own name.
const RESERVED: [&str; 20] = [
    "access",
    "cari",
    "claim",
    "consumer",
    "dead",
    "distinct",
    "fhir",
    "full-text",
    "job",
    "lease",
    "long",
    "ordered",
    "resource",
    "schedule",
    "search",
    "setting",
    "string",
    "tenant",
    "work",
    "writer",
];

/// True for a name that is the server's own: of its settings, or of its tables.
fn is_reserved(name: &str) -> bool {
    let is_setting = |key: &str| key.split('.').next().is_some_and(|first| first.replace('_', "-") == name);
    RESERVED.contains(&name) || SETTINGS.iter().any(|setting| is_setting(setting.key))
}

/// How long a module may take to end when the server stops.
const STOP_MAX: Duration = Duration::from_secs(10);

impl Modules {
    /// A list of modules, which are asked in its order.
    ///
    /// # Errors
    ///
    /// When two have one name, or one has a name that is no identifier or somebody else's; when a setting, a table or an effect
    /// is not below the module's name.
    pub fn new(modules: Vec<Box<dyn Module>>) -> Result<Modules> {
        let mut names = HashSet::new();
        for module in &modules {
            let name = module.name();
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let is_name = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_part);
            if !is_name || is_reserved(name) {
                return Err(Error::internal(format!("`{name}` cannot be the name of a module")));
            }
            if !names.insert(name) {
                return Err(Error::internal(format!("`{name}` is the name of two modules")));
            }
            let begins = |other: &&str| name.strip_prefix(*other).is_some_and(|rest| rest.starts_with('-'));
            if let Some(other) = modules.iter().map(|other| other.name()).find(|other| begins(other)) {
                return Err(Error::internal(format!(
                    "tables of `{name}` would have the prefix of `{other}`"
                )));
            }
            check_settings(&**module)?;
            let prefix = format!("{}_", name.replace('-', "_"));
            for effect in module.effects() {
                check_table(name, &prefix, effect.table())?;
            }
        }
        let all = Modules(modules.into());
        all.migrations().iter().try_for_each(Migrations::check)?;
        Ok(all)
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &dyn Module> {
        self.0.iter().map(|module| &**module)
    }

    /// What can be set.
    pub fn settings(&self) -> Vec<ModuleSetting> {
        self.iter().flat_map(|module| module.settings()).copied().collect()
    }

    /// The tables of all modules, after the store's.
    pub fn migrations(&self) -> Vec<Migrations> {
        self.iter().map(|module| Migrations::new(module.name(), module.migrations())).collect()
    }

    /// What is called with a `$`.
    pub fn operations(&self) -> Vec<Box<dyn Operation>> {
        self.iter().flat_map(|module| module.operations()).collect()
    }

    /// What is demanded of writes, beside what the server itself demands.
    pub fn rules(&self) -> Vec<Box<dyn WriteRule>> {
        self.iter().flat_map(|module| module.rules()).collect()
    }

    /// What sees every access.
    pub fn observers(&self) -> Vec<Arc<dyn Observer>> {
        self.iter().flat_map(|module| module.observers()).collect()
    }

    /// What is recorded of writes.
    pub fn effects(&self) -> Effects {
        Effects::new(self.iter().flat_map(|module| module.effects()).collect())
    }

    /// The routes of all modules.
    ///
    /// # Errors
    ///
    /// When two have one path, or a path is the server's own.
    pub fn routes(&self, app: &Arc<App>) -> Result<RouteTable> {
        let routes = |module: &dyn Module| ModuleRoutes {
            module: module.name(),
            root: module.routes(app),
            below_fhir: module.below_fhir(app),
        };
        RouteTable::new(self.iter().map(routes).collect())
    }

    /// Adds the jobs, consumers and schedules of modules to those of the server.
    ///
    /// # Errors
    ///
    /// When the name of a job, a consumer or a schedule does not begin with its module's.
    pub fn work(&self, app: &Arc<App>, work: Work) -> Result<Work> {
        let mut work = work;
        for module in self.iter() {
            for job in module.jobs(app) {
                check_name(module, job.name())?;
                work = work.job(job);
            }
            for consumer in module.consumers(app) {
                check_name(module, consumer.name())?;
                work = work.consumer(consumer);
            }
            for schedule in module.schedules(app) {
                check_name(module, schedule.name())?;
                work = work.schedule(schedule);
            }
        }
        Ok(work)
    }

    /// Starts the tasks of modules.
    pub fn run(&self, app: &Arc<App>) -> Running {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for at in 0..self.0.len() {
            let (all, app, stop) = (self.clone(), app.clone(), stop.clone());
            tasks.spawn(async move {
                let Some(module) = all.0.get(at) else { return };
                if let Err(error) = module.run(app, stop).await {
                    tracing::error!("the module {} ended: {error}", module.name());
                }
            });
        }
        Running { stop, tasks }
    }
}

/// The tasks of modules, while they run.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    /// Ends it; returns when nothing of it runs any more. What takes too long is broken off.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let deadline = tokio::time::Instant::now() + STOP_MAX;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
            if let Err(error) = ended {
                tracing::error!("a module ended by itself: {error}");
            }
        }
        if !self.tasks.is_empty() {
            tracing::warn!("a module did not end within {} s", STOP_MAX.as_secs());
            self.tasks.shutdown().await;
        }
    }
}

fn check_settings(module: &dyn Module) -> Result<()> {
    let mut keys = HashSet::new();
    for ModuleSetting { setting, .. } in module.settings() {
        let name = module.name();
        let is_below = setting.key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        if !is_below || !keys.insert(setting.key) {
            let text =
                format!("the module {name} brings the setting `{}`, which is not its own", setting.key);
            return Err(Error::internal(text));
        }
    }
    Ok(())
}

fn check_table(module: &str, prefix: &str, table: &fhir_store::EffectTable) -> Result<()> {
    let is_identifier = |text: &str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_part)
    };
    let is_ours = table.name.starts_with(prefix) && is_identifier(table.name);
    if is_ours && !table.columns.is_empty() && table.columns.iter().all(|(name, _)| is_identifier(name)) {
        return Ok(());
    }
    Err(Error::internal(format!("the module {module} has effects on `{}`, which is not its own", table.name)))
}

fn check_name(module: &dyn Module, name: &str) -> Result<()> {
    let is_below = name.strip_prefix(module.name()).is_some_and(|rest| rest.starts_with('.'));
    match is_below {
        true => Ok(()),
        false => Err(Error::internal(format!(
            "the module {} works as `{name}`, which is not its own",
            module.name()
        ))),
    }
}
