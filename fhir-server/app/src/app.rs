//! What a module is given.

use std::sync::Arc;

use fhir_access::Accounts;
use fhir_config::ModuleSettings;
use fhir_database::{Connections, PooledClient};
use fhir_interactions::{Cx, Reply, Request};
use fhir_model::{Error, Kind, Result};

use crate::outbound::OutboundClient;

/// The server as a module has it: made once, shared by all.
#[derive(Clone)]
pub struct App {
    cx: Arc<Cx>,
    settings: Arc<ModuleSettings>,
    outbound: OutboundClient,
    accounts: Option<Arc<Accounts>>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl App {
    /// The server behind `cx`, with the settings of all modules, and the way out of it.
    pub fn new(cx: Arc<Cx>, settings: ModuleSettings, outbound: OutboundClient) -> App {
        App { cx, settings: Arc::new(settings), outbound, accounts: None }
    }

    /// The same, of a server with accounts.
    #[must_use]
    pub fn with_accounts(self, accounts: Option<Arc<Accounts>>) -> App {
        App { accounts, ..self }
    }

    /// Who has an account.
    ///
    /// # Errors
    ///
    /// `NotFound` on a server without accounts.
    pub fn accounts(&self) -> Result<&Arc<Accounts>> {
        let text = "this server has no accounts: it was started with `--auth none` or `--auth deny`";
        self.accounts.as_ref().ok_or_else(|| Error::new(Kind::NotFound, text))
    }

    /// The server behind the interactions.
    pub fn cx(&self) -> &Arc<Cx> {
        &self.cx
    }

    /// The values of modules' settings.
    pub fn settings(&self) -> &ModuleSettings {
        &self.settings
    }

    /// The database, for tables of the module's own.
    pub fn connections(&self) -> &Arc<Connections> {
        self.cx.store.connections()
    }

    /// A connection to it.
    ///
    /// # Errors
    ///
    /// When the database is not available.
    pub async fn client(&self) -> Result<PooledClient> {
        self.connections().client().await
    }

    /// Calls other systems over HTTP. There is no other way: this one cannot be led to what only this machine can see.
    pub fn outbound(&self) -> &OutboundClient {
        &self.outbound
    }

    /// The time, in microseconds since 1970.
    pub fn now(&self) -> i64 {
        self.cx.store.now()
    }

    /// Asks what any client can ask, in the name of the request's principal: the way to resources.
    ///
    /// # Errors
    ///
    /// As [`fhir_interactions::handle`].
    pub async fn handle(&self, request: Request) -> Result<Reply> {
        fhir_interactions::handle(&self.cx, request).await
    }
}
