//! `/v1`: organisations, their members, roles and domains, and who one is.
//!
//! What is decided stands in [`fhir_access::Accounts`]; here is what is asked and answered. An organisation is a FHIR Organization of
//! its own tenant, too, which follows it (`organization_resource.rs`).

mod answers;
mod domains;
mod idempotency;
mod list_query;
mod me;
mod members;
mod organization_resource;
mod organizations;
mod public;
mod roles;
mod settings;
mod txt_record;

use std::sync::Arc;

use fhir_app::{
    Access, App, JobType, MigrationFile, Module, ModuleSetting, Permission, Routes, Schedule, async_trait,
    routes, utoipa,
};
use fhir_work::Cron;
use serde_json::Value;

use self::idempotency::idempotent;

/// Organisations.
#[derive(Debug, Clone, Copy)]
pub struct Clinic;

#[async_trait]
impl Module for Clinic {
    fn name(&self) -> &'static str {
        "clinic"
    }

    fn settings(&self) -> &'static [ModuleSetting] {
        settings::SETTINGS
    }

    fn migrations(&self) -> &'static [MigrationFile] {
        &[(1, "idempotency", include_str!("../../migrations/clinic/0001_idempotency.sql"))]
    }

    /// What is about one organisation is for any caller here: who has nothing to do with it learns in its handler that it is not known,
    /// and a member without the permission that it lacks one.
    fn routes(&self, app: &Arc<App>) -> Routes {
        let all = Access::Holder(Permission::ManageOrganizations);
        Routes::new()
            .add(Access::Public, routes!(public::system_info))
            .add(Access::Public, routes!(public::resolve))
            .add(Access::Caller, routes!(me::me))
            .add(Access::Caller, routes!(me::switch_organization))
            .add(Access::Caller, routes!(organizations::list_organizations))
            .add(all, idempotent(app, routes!(organizations::add_organization)))
            .add(Access::Caller, routes!(organizations::organization, organizations::change_organization))
            .add(Access::Caller, routes!(members::list_members))
            .add(Access::Caller, idempotent(app, routes!(members::set_member)))
            .add(Access::Caller, routes!(members::remove_member))
            .add(Access::Caller, routes!(roles::list_roles))
            .add(Access::Caller, idempotent(app, routes!(roles::add_role)))
            .add(Access::Caller, routes!(domains::list_domains))
            .add(Access::Caller, idempotent(app, routes!(domains::add_domain)))
            .add(Access::Caller, routes!(domains::remove_domain))
            .add(Access::Caller, routes!(domains::verify_domain))
            .with_state(app.clone())
    }

    fn jobs(&self, app: &Arc<App>) -> Vec<Arc<dyn JobType>> {
        let mut all: Vec<Arc<dyn JobType>> = vec![Arc::new(idempotency::Sweep(app.clone()))];
        // A process without accounts leaves them to those that have some.
        if app.accounts().is_ok() {
            all.push(Arc::new(organization_resource::StoreOrganization(app.clone())));
        }
        all
    }

    fn schedules(&self, _: &Arc<App>) -> Vec<Schedule> {
        let hourly = Cron::parse("41 * * * *").ok();
        hourly
            .map(|hourly| Schedule::new(idempotency::SWEEP, hourly, idempotency::SWEEP, Value::Null))
            .into_iter()
            .collect()
    }
}
