//! The settings of a command: from the file, the environment and its flags.

use anyhow::Result;
use fhir_app::Modules;
use fhir_config::{Auth, Config, Sources};

use crate::cli::DatabaseArgs;
use crate::modules;

/// Settings for a command that serves nobody: whoever may start it has the database itself.
pub(crate) fn opened_to_us(args: &DatabaseArgs, modules: &Modules) -> Result<Config> {
    let mut config = Config::load(sources(args, modules))?;
    config.auth = Auth::None;
    Ok(config)
}

/// The settings of a command.
pub(crate) fn settings(args: &DatabaseArgs) -> Result<Config> {
    Ok(Config::load(sources(args, &modules::list()?))?)
}

/// Where the settings of a command come from.
pub(crate) fn sources(args: &DatabaseArgs, modules: &Modules) -> Sources {
    Sources::from_process(args.config.clone())
        .modules(modules.settings())
        .flag("--data-dir", "data_dir", args.data_dir.clone())
        .flag("--database-url", "database.url", args.database_url.clone())
}
