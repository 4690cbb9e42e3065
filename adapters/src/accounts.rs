//! `/api/auth`: accounts, and how to sign in. <https://pages.nist.gov/800-63-4/sp800-63b.html>
//!
//! What is decided stands in [`fhir_access::Accounts`]; here is what is asked and answered. Answers are in Cari's envelope.

mod answers;
mod cookies;
pub(crate) mod mail;
mod managed;
mod page;
mod passwords;
mod patients;
mod register;
mod resources;
mod second_factor;
pub mod settings;
mod setup;
mod sign_in;
mod sign_in_page;
mod verification;

use std::sync::Arc;

use fhir_access::Accounts as AccountService;
use fhir_app::{
    Access, App, CancellationToken, JobType, Module, ModuleSetting, Permission, Result, Routes, Schedule,
    async_trait, routes, utoipa,
};
use fhir_work::Cron;
use serde_json::Value;

/// Accounts.
#[derive(Debug, Clone, Copy)]
pub struct Accounts;

#[async_trait]
impl Module for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    fn settings(&self) -> &'static [ModuleSetting] {
        settings::SETTINGS
    }

    fn routes(&self, app: &Arc<App>) -> Routes {
        Routes::new()
            .add(Access::Public, routes!(register::register))
            .add(Access::Public, routes!(sign_in::login))
            .add(Access::Public, routes!(sign_in::refresh))
            .add(Access::Public, routes!(sign_in::logout))
            .add(Access::Caller, routes!(sign_in::me))
            .add(Access::Public, routes!(verification::verify_email))
            .add(Access::Public, routes!(verification::resend))
            .add(Access::Caller, routes!(passwords::change))
            .add(Access::Public, routes!(passwords::forgot))
            .add(Access::Public, routes!(passwords::reset))
            .add(Access::Caller, routes!(second_factor::enroll))
            .add(Access::Caller, routes!(second_factor::verify))
            .add(Access::Caller, routes!(second_factor::remove))
            .add(Access::Public, routes!(second_factor::challenge))
            .add(Access::Holder(Permission::ManageMembers), routes!(managed::add_user))
            .add(Access::Holder(Permission::ManageMembers), routes!(managed::print_code))
            .add(Access::Caller, routes!(patients::patients))
            .add(Access::Public, routes!(setup::page, setup::make))
            .add(Access::Public, routes!(sign_in_page::page, sign_in_page::submit))
            .with_state(app.clone())
    }

    fn jobs(&self, app: &Arc<App>) -> Vec<Arc<dyn JobType>> {
        match app.accounts() {
            Ok(accounts) => {
                vec![Arc::new(mail::SendMail::new(app, accounts.clone())), Arc::new(Sweep(accounts.clone()))]
            }
            Err(_) => Vec::new(),
        }
    }

    fn schedules(&self, app: &Arc<App>) -> Vec<Schedule> {
        let daily = Cron::parse("17 3 * * *").ok().filter(|_| app.accounts().is_ok());
        daily
            .map(|daily| Schedule::new("accounts.sweep", daily, "accounts.sweep", Value::Null))
            .into_iter()
            .collect()
    }

    async fn run(&self, app: Arc<App>, stop: CancellationToken) -> Result<()> {
        if let Ok(accounts) = app.accounts() {
            accounts.watch(stop).await;
        }
        Ok(())
    }
}

/// Removes what has ended long ago.
struct Sweep(Arc<AccountService>);

#[async_trait]
impl JobType for Sweep {
    fn name(&self) -> &str {
        "accounts.sweep"
    }

    async fn perform(&self, _: &fhir_app::JobRun) -> Result<Value> {
        self.0.sweep().await?;
        Ok(Value::Null)
    }
}
