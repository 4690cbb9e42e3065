//! The commands of the command line, and those that need no file of their own.

use std::process::ExitCode;

use anyhow::{Result, bail};
use fhir_config::Config;
use fhir_interactions::{Method, Request, handle};

use crate::beside::Beside;
use crate::cli::{Cli, Command, DatabaseArgs, ExportArgs, MigrateArgs, PostgresCommand, ServeArgs};
use crate::serving::Serving;
use crate::settings::{opened_to_us, sources};
use crate::stop_signal::stop_signal;
use crate::wiring::{self, Core, Index};
use crate::{access, accounts, backup, check, demo, load, logging, modules, upgrade};

/// Does what the command line asks for.
///
/// # Errors
///
/// With the reason that the operator is shown: settings that are wrong, a database that cannot be used, or the
/// failure of the command itself.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve(args).await,
            Command::Demo(args) => demo::demo(args).await,
            Command::Load(args) => load(args).await,
            Command::Backup(args) => backup::backup(args).await,
            Command::Restore(args) => backup::restore(args).await,
            Command::Export(args) => export(args).await,
            Command::Postgres(PostgresCommand::Upgrade(args)) => upgrade::upgrade(args).await,
            Command::Migrate(args) => migrate(args).await,
            Command::Check(args) => check(args).await,
            Command::Capabilities(args) => capabilities(args).await,
            Command::User(args) => accounts::user(args).await,
            Command::Key(args) => accounts::key(args),
        }
    })
}

async fn serve(args: ServeArgs) -> Result<ExitCode> {
    let origins = (!args.allow_origin.is_empty()).then(|| args.allow_origin.join(","));
    let modules = modules::list()?;
    let sources = sources(&args.database, &modules)
        .flag("--listen", "listen", args.listen)
        .flag("--auth", "auth", args.auth)
        .flag("--allow-origin", "allow_origins", origins);
    let config = Config::load(sources)?;
    let serving = Serving::start(&config, &modules).await?;
    if let Ok(accounts) = serving.app.accounts() {
        access::print_first_link(&config, accounts, &serving.base).await?;
    }
    serving.until_stopped().await;
    Ok(ExitCode::SUCCESS)
}

async fn load(args: crate::cli::LoadArgs) -> Result<ExitCode> {
    let modules = modules::list()?;
    let config = opened_to_us(&args.database, &modules)?;
    logging::start(&config.log);
    let parallel = usize::from(args.parallel);
    let summary = if let Some(url) = &args.to {
        let token = std::env::var(load::TOKEN).ok().filter(|token| !token.is_empty());
        let remote = load::Remote::open(url, &args.header, token.as_deref()).await?;
        let (definitions, _) = wiring::load_definitions().await?;
        let target = load::Target::server(remote, wiring::json_limits(&config), definitions);
        until_stopped(load::load(&target, &args.paths, parallel)).await?
    } else {
        let started =
            wiring::start(&config, &modules, Index::Kept(&wiring::hosts(&config, config.listen))).await;
        let (database, Core { cx, .. }) = started.map_err(into_running)?;
        let done = until_stopped(load::load(&load::Target::store(&cx), &args.paths, parallel)).await;
        cx.store.leave().await;
        drop(cx);
        database.stop().await;
        done?
    };
    println!("{summary}");
    Ok(if summary.errors_total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What `loading` comes to, unless the process is asked to end before.
async fn until_stopped(loading: impl Future<Output = Result<load::Summary>>) -> Result<load::Summary> {
    tokio::select! {
        done = loading => done,
        _ = stop_signal() => Err(anyhow::anyhow!("stopped; start again to load the rest")),
    }
}

/// Says how to load into a server that runs on its own PostgreSQL.
fn into_running(error: anyhow::Error) -> anyhow::Error {
    let is_held = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(fhir_postgres::Error::InUse { .. }))
    };
    match error.chain().any(is_held) {
        true => error.context("load into the running server with `--to http://127.0.0.1:8080/fhir/R4`"),
        false => error,
    }
}

/// Of a database that is served meanwhile, or of one that is not.
async fn export(args: ExportArgs) -> Result<ExitCode> {
    let modules = modules::list()?;
    let config = opened_to_us(&args.database, &modules)?;
    logging::start(&config.log);
    let beside = Beside::open(&config, &modules).await?;
    let done = tokio::select! {
        done = crate::export::export(&beside.core.cx, &args.target, args.gzip) => done,
        _ = stop_signal() => Err(anyhow::anyhow!("stopped")),
    };
    beside.close().await;
    println!("{} resources exported to {}", done?, args.target.display());
    Ok(ExitCode::SUCCESS)
}

async fn migrate(args: MigrateArgs) -> Result<ExitCode> {
    let modules = modules::list()?;
    let config = Config::load(sources(&args.database, &modules))?;
    logging::start(&config.log);
    if args.distribute && config.database.url.is_none() {
        bail!(
            "the server's own PostgreSQL is one machine: --distribute needs `database.url`, a Citus coordinator"
        );
    }
    let database = wiring::migrated(&config, &modules).await?;
    println!("the database has the schema of this version");
    let done = mark_and_distribute(&args, &database.url).await;
    database.stop().await;
    done?;
    Ok(ExitCode::SUCCESS)
}

/// What else is asked of a database that has the schema of this version.
async fn mark_and_distribute(args: &MigrateArgs, url: &str) -> Result<()> {
    if args.restored {
        fhir_store::mark_restored(url).await?;
        println!("the versions of changed resources go on above all that were given");
    }
    if args.distribute {
        let done = fhir_store::distribute(url).await?;
        println!("the rows of resources are distributed: {done}");
        println!(
            "what changes: a search beside a commit may see a part of it, or for a moment after it nothing of it, as nodes have no \
             common snapshot; ARCHITECTURE.md says what holds"
        );
    }
    Ok(())
}

async fn check(args: DatabaseArgs) -> Result<ExitCode> {
    let modules = modules::list()?;
    let config = Config::load(sources(&args, &modules))?;
    logging::start(&config.log);
    check::check(&config, &modules).await?;
    Ok(ExitCode::SUCCESS)
}

async fn capabilities(args: DatabaseArgs) -> Result<ExitCode> {
    let modules = modules::list()?;
    let config = opened_to_us(&args, &modules)?;
    logging::start(&config.log);
    let (database, Core { cx, .. }) =
        wiring::start(&config, &modules, Index::Kept(&wiring::hosts(&config, config.listen))).await?;
    let request = Request::new(Method::Get, "metadata", &*cx.definitions)?;
    let request = Request { base: wiring::base_url(&config), ..request };
    let reply = handle(&cx, request).await;
    drop(cx);
    database.stop().await;
    println!("{}", String::from_utf8_lossy(&reply?.body.unwrap_or_default()));
    Ok(ExitCode::SUCCESS)
}
