//! A server that answers: started, and ended in order.

use std::sync::Arc;

use anyhow::{Context, Result};
use fhir_app::{App, Modules, OutboundClient, OutboundLimits, Running};
use fhir_config::{Auth, Config, Exposure};
use fhir_http::{Metrics, Server, Stop};
use fhir_interactions::Cx;
use fhir_model::interaction::MOUNTS;
use fhir_postgres::backup::Worker;
use fhir_work::Working;
use tokio::net::TcpListener;

use crate::logging;
use crate::stop_signal::StopSignal;
use crate::wiring::{self, Core, Database, Index};

/// A server that answers.
pub(crate) struct Serving {
    pub(crate) app: Arc<App>,
    pub(crate) cx: Arc<Cx>,
    /// `http://127.0.0.1:8080/fhir/R4`
    pub(crate) base: String,
    database: Database,
    stop: Stop,
    answering: tokio::task::JoinHandle<()>,
    modules: Running,
    work: Working,
    backups: Option<Worker>,
    stop_signal: StopSignal,
}

impl Serving {
    /// Starts everything that the settings ask for.
    pub(crate) async fn start(config: &Config, modules: &Modules) -> Result<Serving> {
        logging::start(&config.log);
        let metrics = Arc::new(Metrics::new()?);
        logging::count_panics(metrics.clone());
        // First of all: what it is called depends on the port, and a port that is taken ends the start at once.
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
        let names = wiring::hosts(config, listener.local_addr()?);
        let outbound = OutboundClient::new(config.outbound.networks.clone(), OutboundLimits::default())?;
        let (database, Core { cx, accounts }) = wiring::start(config, modules, Index::Served(&names)).await?;
        let app = App::new(cx.clone(), config.modules.clone(), outbound);
        let app = Arc::new(app.with_accounts(accounts.clone()));
        let prepared = async {
            let backups = database.backups(config).await?;
            wiring::observe(&cx, &metrics, backups.as_ref().map(Worker::status))?;
            let edge = wiring::edge(config, &app, modules, metrics, names)?;
            let (server, stop) = Server::new(listener, edge);
            let base = format!("http://{}{}", server.address()?, MOUNTS[0]);
            let work = wiring::work(config, &app, modules)?;
            anyhow::Ok((backups, server, stop, base, work))
        };
        let (backups, server, stop, base, work) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => {
                database.stop().await;
                return Err(error);
            }
        };
        warn_of_exposure(config);
        tracing::info!("FHIR R4 at {base}");
        // Whoever is answered may ask it to end.
        let stop_signal = StopSignal::listen()?;
        let answering = tokio::spawn(server.run());
        let modules = modules.run(&app);
        Ok(Serving { app, cx, base, database, stop, answering, modules, work, backups, stop_signal })
    }

    /// Answers until SIGTERM or Ctrl-C, then ends in order.
    pub(crate) async fn until_stopped(mut self) {
        self.stop_signal.received().await;
        tracing::info!("stopping: finishing what was begun");
        self.stop.now();
        // A second Ctrl-C means it.
        tokio::select! {
            _ = self.answering => {}
            _ = self.stop_signal.received() => tracing::warn!("stopping at once"),
        }
        self.modules.stop().await;
        self.work.stop().await;
        self.cx.store.leave().await;
        drop((self.cx, self.app));
        if let Some(backups) = self.backups {
            backups.stop().await;
        }
        self.database.stop().await;
        tracing::info!("stopped");
    }
}

fn warn_of_exposure(config: &Config) {
    if !config.listen.ip().is_loopback() && config.base_url.is_none() && config.hosts.is_empty() {
        tracing::info!(
            "set `base_url` or `hosts`: references with a name of this server are local only when it knows the name"
        );
    }
    match config.exposure() {
        Exposure::Network => tracing::warn!(
            "NO ACCESS CONTROL: whoever reaches {} can read, change and delete every record (--auth none)",
            config.listen
        ),
        Exposure::Machine => tracing::warn!(
            "no access control: everybody on this machine can read, change and delete every record (--auth none)"
        ),
        Exposure::Guarded if config.auth == Auth::Deny => tracing::info!(
            "only /metadata, the pages for operators and what is public are answered (--auth deny)"
        ),
        Exposure::Guarded => {}
    }
}
