//! The database of a command that works beside a running server, or without one.

use anyhow::Result;
use fhir_app::Modules;
use fhir_config::Config;
use fhir_postgres::backup::Site;

use crate::wiring::{self, Core, Database, Index};

/// A database that is served meanwhile, or one that was started for the command.
pub(crate) struct Beside {
    /// The server behind the interactions, which answers nobody.
    pub(crate) core: Core,
    started: Option<Database>,
}

impl Beside {
    /// Connects to the database of a running server, or starts it.
    ///
    /// # Errors
    ///
    /// As [`wiring::start`].
    pub(crate) async fn open(config: &Config, modules: &Modules) -> Result<Beside> {
        let names = wiring::hosts(config, config.listen);
        let running = match config.database.url {
            None => Site::from_running(&config.data_dir)?,
            Some(_) => None,
        };
        match running {
            Some(site) => {
                let knowledge = wiring::load_definitions().await?;
                let core = wiring::cx(config, modules, &site.url(), Index::Kept(&names), knowledge).await?;
                Ok(Beside { core, started: None })
            }
            None => {
                let (database, core) = wiring::start(config, modules, Index::Kept(&names)).await?;
                Ok(Beside { core, started: Some(database) })
            }
        }
    }

    /// Leaves it as it was.
    pub(crate) async fn close(self) {
        self.core.cx.store.leave().await;
        drop(self.core);
        if let Some(database) = self.started {
            database.stop().await;
        }
    }
}
