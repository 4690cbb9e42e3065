//! The trait of a feature.

use std::sync::Arc;

use async_trait::async_trait;
use fhir_config::ModuleSetting;
use fhir_database::MigrationFile;
use fhir_http::Routes;
use fhir_interactions::{Observer, Operation, WriteRule};
use fhir_model::Result;
use fhir_store::Effect;
use fhir_work::{CancellationToken, Consumer, JobType, Schedule};

use crate::App;

/// Everything a feature brings. All but the name has a default.
#[async_trait]
pub trait Module: Send + Sync {
    /// Its name, in lower case with hyphens: the section of its settings, the prefix of its tables (`name_`) and of its jobs and
    /// consumers (`name.`), the label of its metrics, its folder below `migrations/`.
    fn name(&self) -> &'static str;

    /// What can be set; keys begin with the name and a dot.
    fn settings(&self) -> &'static [ModuleSetting] {
        &[]
    }

    /// Its tables, in the order of the files.
    fn migrations(&self) -> &'static [MigrationFile] {
        &[]
    }

    /// What it answers below the root of the server.
    fn routes(&self, app: &Arc<App>) -> Routes {
        let _ = app;
        Routes::new()
    }

    /// What it answers below each FHIR base, such as `/.well-known/smart-configuration`. Errors are OperationOutcomes there.
    fn below_fhir(&self, app: &Arc<App>) -> Routes {
        let _ = app;
        Routes::new()
    }

    /// What is called with a `$`.
    fn operations(&self) -> Vec<Box<dyn Operation>> {
        Vec::new()
    }

    /// What it demands of writes.
    fn rules(&self) -> Vec<Box<dyn WriteRule>> {
        Vec::new()
    }

    /// What it records of writes, in their own transaction.
    fn effects(&self) -> Vec<Arc<dyn Effect>> {
        Vec::new()
    }

    /// What sees every access, before the answer is given away.
    fn observers(&self) -> Vec<Arc<dyn Observer>> {
        Vec::new()
    }

    /// What follows the change feed.
    fn consumers(&self, app: &Arc<App>) -> Vec<Arc<dyn Consumer>> {
        let _ = app;
        Vec::new()
    }

    /// What is done in the background, and tried again.
    fn jobs(&self, app: &Arc<App>) -> Vec<Arc<dyn JobType>> {
        let _ = app;
        Vec::new()
    }

    /// When jobs are enqueued.
    fn schedules(&self, app: &Arc<App>) -> Vec<Schedule> {
        let _ = app;
        Vec::new()
    }

    /// What it does besides, such as listening on a port of its own, until `stop`.
    ///
    /// # Errors
    ///
    /// When it cannot go on: it is logged, and the server serves without.
    async fn run(&self, app: Arc<App>, stop: CancellationToken) -> Result<()> {
        let _ = (app, stop);
        Ok(())
    }
}
