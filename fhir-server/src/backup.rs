//! `backup` and `restore`: the commands over [`fhir_postgres::backup`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use fhir_config::Config;
use fhir_model::date::DateTime;
use fhir_postgres::backup::{self, Key, Restore, Site, Target};

use crate::cli::{BackupArgs, BackupCommand, BackupInitArgs, BackupVerifyArgs, RestoreArgs};
use crate::logging;
use crate::settings::settings;
use crate::stop_signal::stop_signal;
use crate::wiring::{self, Database};

/// `backup`
pub(crate) async fn backup(args: BackupArgs) -> Result<ExitCode> {
    match args.command {
        None => now(settings(&args.database)?).await,
        Some(BackupCommand::Init(args)) => init(&args),
        Some(BackupCommand::List(args)) => list(&settings(&args.database)?, args.from),
        Some(BackupCommand::Verify(args)) => verify(args).await,
    }
}

/// A base backup, of the server that runs or of the one that does not.
async fn now(config: Config) -> Result<ExitCode> {
    own(&config)?;
    logging::start(&config.log);
    let plan = wiring::backup_plan(&config)?
        .context("no target is set (`backup.target`); see `fhir-server backup init --help`")?;
    let made = match Site::from_running(&config.data_dir)? {
        Some(site) => until_stopped(site.back_up(&plan)).await,
        None => {
            if !config.data_dir.join("pg").exists() {
                bail!("there is no database in {}", config.data_dir.display());
            }
            let (database, site) = Database::start_own(&config).await?;
            let made = until_stopped(site.back_up(&plan)).await;
            database.stop().await;
            made
        }
    };
    let (archive, base) = made?;
    println!("{archive}/{} is complete: {} bytes", base.name, base.stored_bytes());
    Ok(ExitCode::SUCCESS)
}

async fn until_stopped<T, E: Into<anyhow::Error>>(
    work: impl Future<Output = std::result::Result<T, E>>,
) -> Result<T> {
    tokio::select! {
        done = work => done.map_err(Into::into),
        () = stop_signal() => bail!("stopped"),
    }
}

fn init(args: &BackupInitArgs) -> Result<ExitCode> {
    Target::prepare(&args.target)?;
    println!("{} is a backup target", args.target.display());
    let Some(path) = &args.key_file else { return Ok(ExitCode::SUCCESS) };
    let config = settings(&args.database)?;
    let public = Key::make(path, &[&args.target, &config.data_dir])?;
    println!(
        "\nSettings:\n\n  [backup]\n  target = '{}'\n  recipients = ['{public}']",
        args.target.display()
    );
    // For the person, also where the settings go into a file.
    eprintln!(
        "\nWARNING: the key that opens the backups is in {} and nowhere else. Without it no backup can be restored, and \
         whoever has it can read them. Keep two copies away from this machine and from the backups, and remove it here.",
        path.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn target(config: &Config, from: Option<PathBuf>) -> Result<PathBuf> {
    from.or_else(|| config.backup.target.clone())
        .context("say where the backups are: `--from DIR` or `backup.target`")
}

fn list(config: &Config, from: Option<PathBuf>) -> Result<ExitCode> {
    let target = Target::open(&target(config, from)?)?;
    for found in backup::list(&target)? {
        println!("{}", line(&found));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(found: &backup::BaseBackup) -> String {
    let base = &found.base;
    format!(
        "{}/{}  PostgreSQL {}  {} bytes, restored {}  from {} to {}",
        found.archive,
        base.name,
        base.major,
        base.stored_bytes(),
        base.bytes,
        instant(base.finished_at),
        instant(found.until)
    )
}

fn instant(seconds: i64) -> String {
    DateTime::from_millis(seconds * 1000).map(|at| at.to_string()).unwrap_or_default()
}

async fn verify(args: BackupVerifyArgs) -> Result<ExitCode> {
    let config = settings(&args.database)?;
    logging::start(&config.log);
    let dir = target(&config, args.from)?;
    let key = || args.key_file.as_deref().map(Key::read).transpose();
    let found = {
        let (dir, key) = (dir.clone(), key()?);
        let check = move || backup::verify(&Target::open(&dir)?, key.as_ref());
        tokio::task::spawn_blocking(check).await??
    };
    if found.is_empty() {
        bail!("{} holds no backup", dir.display());
    }
    for found in &found {
        println!("good: {}", line(found));
    }
    if let Some(scratch) = args.restore {
        let key = key()?.context("restoring needs `--key-file`")?;
        try_restoring(&config, dir, key, &scratch).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Restores the latest state into a directory that is removed afterwards, and reads every row of it.
async fn try_restoring(config: &Config, target: PathBuf, key: Key, scratch: &Path) -> Result<()> {
    std::fs::create_dir(scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let options = fhir_postgres::Options { data_dir: scratch.to_path_buf(), ..wiring::postgres(config) };
    let restore = Restore { target, archive: None, base: None, to: None, options };
    let mut rows = 0;
    let restored = restore.run(key, async |connection| {
        rows = backup::read_everything(connection).await.map_err(|error| error.to_string())?;
        Ok(())
    });
    let restored = until_stopped(restored).await;
    // Under root the cluster may be elsewhere, where the link says.
    if let Ok(cluster) = std::fs::canonicalize(scratch.join("pg")) {
        let _ = std::fs::remove_dir_all(cluster);
    }
    let _ = std::fs::remove_dir_all(scratch);
    let restored = restored?;
    println!(
        "restored: {}/{} to {}, {rows} rows read",
        restored.archive,
        restored.base.name,
        instant(restored.at)
    );
    Ok(())
}

/// `restore`
pub(crate) async fn restore(args: RestoreArgs) -> Result<ExitCode> {
    let config = settings(&args.database)?;
    own(&config)?;
    logging::start(&config.log);
    let to = args.to.as_deref().map(micros).transpose()?;
    let key = Key::read(&args.key_file)?;
    // What is derived from the database would be ahead of it.
    let restore = Restore {
        target: target(&config, args.from)?,
        archive: args.archive,
        base: args.base,
        to,
        options: wiring::postgres(&config),
    };
    let finish = async |connection: &fhir_postgres::Connection| {
        fhir_store::mark_restored(&connection.url()).await.map_err(|error| error.to_string())
    };
    let restored = until_stopped(restore.run(key, finish)).await?;
    println!(
        "restored {}/{} into {}, as it was at {}",
        restored.archive,
        restored.base.name,
        config.data_dir.display(),
        args.to.unwrap_or_else(|| instant(restored.at))
    );
    Ok(ExitCode::SUCCESS)
}

fn micros(text: &str) -> Result<i64> {
    let instant = DateTime::instant(text);
    let instant = instant.with_context(|| format!("`{text}` is no instant like `2026-11-30T12:00:00Z`"))?;
    Ok(instant.range_micros().0)
}

/// Only the server's own PostgreSQL is backed up here.
fn own(config: &Config) -> Result<()> {
    if config.database.url.is_some() {
        bail!(
            "the database of `database.url` is not this server's own: back it up and restore it with the tools of its \
             PostgreSQL, such as pg_basebackup with a WAL archive, or pgBackRest"
        );
    }
    Ok(())
}
