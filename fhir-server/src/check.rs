//! `check`: whether a server would start with these settings, found out without leaving anything behind.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fhir_config::Config;
use fhir_interactions::Operations;
use fhir_store::{SchemaState, Standby};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::volume;
use crate::wiring::{self, Database, Index};
use fhir_app::Modules;
use fhir_http::CorsOrigins;

/// Does what a start does, as far as that changes nothing, and prints each step that is good.
///
/// # Errors
///
/// When a start would fail, with its reason.
pub(crate) async fn check(config: &Config, modules: &Modules) -> Result<()> {
    CorsOrigins::new(&config.allow_origins)?;
    println!("settings: good");
    let (definitions, _) = wiring::load_definitions().await?;
    Operations::new(modules.operations(), &*definitions).context("the operations do not fit together")?;
    println!("definitions: good");
    let listener = TcpListener::bind(config.listen).await;
    drop(listener.with_context(|| format!("cannot listen on {}", config.listen))?);
    println!("address: good");
    let is_new = config.database.url.is_none() && !config.data_dir.join("pg").exists();
    let state = if is_new { rehearse(config, modules).await } else { inspect(config, modules).await };
    println!("database: good{}", state.context("database")?);
    if let Some(warning) = at_rest(config) {
        println!("{warning}");
    }
    Ok(())
}

/// What is to be said of records that are not encrypted where they lie. Those of a database of somebody else's are theirs to encrypt.
fn at_rest(config: &Config) -> Option<String> {
    let directory = config.data_dir.display();
    match (config.database.url.is_some(), volume::is_encrypted(&config.data_dir)) {
        (true, _) | (false, Some(true)) => None,
        (false, Some(false)) => Some(format!(
            "warning: the volume of {directory} is not encrypted: whoever takes the disk has the records (SECURITY.md says how)"
        )),
        (false, None) => Some(format!(
            "warning: whether the volume of {directory} is encrypted cannot be told here (SECURITY.md says how it is)"
        )),
    }
}

/// Looks at a database that is there.
async fn inspect(config: &Config, modules: &Modules) -> Result<String> {
    let database = Database::start(config).await?;
    let state = fhir_database::schema(&database.url, &wiring::migrations(modules)).await;
    let distribution = match state {
        Ok(SchemaState::Empty) | Err(_) => Ok(None),
        Ok(_) => fhir_store::distribution(&database.url).await,
    };
    let standby = standby(config, &database.url).await;
    database.stop().await;
    let state = state?;
    if let Some(distribution) = distribution? {
        println!("distribution: {distribution}");
        if config.database.read_url.is_some() {
            bail!(fhir_store::NO_STANDBY);
        }
    }
    if let Some(standby) = standby {
        println!("standby: {standby}");
    }
    Ok(match state {
        SchemaState::Current => String::new(),
        SchemaState::Empty => " (empty: a start makes its tables)".to_owned(),
        SchemaState::Earlier(version) => {
            format!(" (of an earlier version, migration {version}: a start brings it to this one)")
        }
    })
}

/// What is to be said of the standby of the settings, if they name one: a start goes on without it.
async fn standby(config: &Config, primary: &str) -> Option<String> {
    let url = config.database.read_url.as_ref()?.expose();
    Some(match Standby::inspect(url, primary).await {
        Ok(lag) => format!("good ({} bytes of log behind)", lag.bytes),
        Err(e) => format!("reads go to the primary: {e}"),
    })
}

/// Starts a PostgreSQL of our own where there is none yet, in a directory that is removed afterwards.
async fn rehearse(config: &Config, modules: &Modules) -> Result<String> {
    let stage = Stage::new(&config.data_dir)?;
    let rehearsal = Config { data_dir: stage.dir.path().to_path_buf(), ..config.clone() };
    let (database, core) =
        wiring::start(&rehearsal, modules, Index::Kept(&wiring::hosts(config, config.listen))).await?;
    let answers = core.cx.store.ping().await;
    core.cx.store.leave().await;
    drop(core);
    database.stop().await;
    answers?;
    Ok(" (none yet: a start makes one)".to_owned())
}

/// A directory for the rehearsal, where the data directory is or would be.
struct Stage {
    dir: TempDir,
    /// Directories that were made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl Stage {
    fn new(data_dir: &Path) -> Result<Stage> {
        let missing = data_dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let made: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        let cannot = || format!("cannot make the data directory {}", data_dir.display());
        fs::create_dir_all(data_dir).with_context(cannot)?;
        let dir = tempfile::Builder::new().prefix("check-").tempdir_in(data_dir).with_context(cannot)?;
        Ok(Stage { dir, made })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Where PostgreSQL's user cannot enter the directory, the cluster is elsewhere, and this is a link to it.
        if let Ok(cluster) = fs::read_link(self.dir.path().join("pg"))
            && let Some(home) = cluster.parent()
        {
            let _ = fs::remove_dir_all(home);
        }
        let _ = fs::remove_dir_all(self.dir.path());
        for dir in &self.made {
            // Only what is empty: somebody else may have begun to use it.
            let _ = fs::remove_dir(dir);
        }
    }
}
