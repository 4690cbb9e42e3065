//! `postgres upgrade`: a backup, the copy into a newer PostgreSQL, and a first start of it.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::cli::UpgradeArgs;
use crate::settings::settings;
use crate::wiring::{self, Core, Database};
use crate::{logging, modules};

pub(crate) async fn upgrade(args: UpgradeArgs) -> Result<ExitCode> {
    let config = settings(&args.database)?;
    let modules = modules::list()?;
    logging::start(&config.log);
    if config.database.url.is_some() {
        bail!(
            "the database of `database.url` is not this server's own: upgrade it with the tools of its PostgreSQL"
        );
    }
    if !config.data_dir.join("pg").exists() {
        bail!("there is no database in {}", config.data_dir.display());
    }
    if !args.without_backup {
        let plan = wiring::backup_plan(&config)?
            .context("no backups are set up (see `backup init`): do that first, or say `--without-backup`")?;
        let (database, site) = Database::start_own(&config).await?;
        let made = site.back_up(&plan).await;
        database.stop().await;
        let (archive, base) = made.context("the backup before the upgrade")?;
        println!("backup {archive}/{} is complete", base.name);
    }
    let schema = async |connection: &fhir_postgres::Connection| {
        wiring::migrate(&connection.url(), &modules).await.map_err(|error| error.to_string())
    };
    let upgraded = fhir_postgres::upgrade(&wiring::postgres(&config), schema).await?;
    let Some(upgraded) = upgraded else {
        println!("the database has the newest version of PostgreSQL that was found");
        return Ok(ExitCode::SUCCESS);
    };
    let names = wiring::hosts(&config, config.listen);
    let (database, Core { cx, .. }) = wiring::start(&config, &modules, wiring::Index::Kept(&names))
        .await
        .context("the upgraded database does not start")?;
    let answers = cx.store.ping().await;
    cx.store.leave().await;
    drop(cx);
    database.stop().await;
    answers.context("the upgraded database does not answer")?;
    println!(
        "upgraded from PostgreSQL {} to {}: {} rows were copied and compared. The old cluster is kept in {}: remove it \
         when you are content. Backups begin anew at the next start.",
        upgraded.from,
        upgraded.to,
        upgraded.rows,
        upgraded.old.display()
    );
    Ok(ExitCode::SUCCESS)
}
