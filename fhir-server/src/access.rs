//! Who decides on access, by the setting `auth`; and what a server with accounts says at its start.

use std::sync::Arc;

use anyhow::{Context, Result};
use fhir_access::{AccountGuard, Accounts, DenyAll, Guard, KeyDirectory, Open};
use fhir_adapters::accounts::settings;
use fhir_config::{Auth, Config};
use fhir_model::interaction::MOUNTS;
use fhir_store::Store;

/// The accounts of a server that has some.
///
/// # Errors
///
/// When the directory of keys cannot be used, others can read it, or the database does not answer.
pub(crate) async fn accounts(config: &Config, store: &Arc<Store>) -> Result<Option<Arc<Accounts>>> {
    if config.auth != Auth::Accounts {
        return Ok(None);
    }
    let directory = settings::key_directory(&config.modules, &config.data_dir);
    let keys = KeyDirectory::open(&directory);
    let keys = keys.with_context(|| format!("the keys in {} cannot be used", directory.display()))?;
    let options = settings::options(&config.modules, config.base_url.as_deref());
    settings::mailer(&config.modules).context("`accounts.mail_url` and `accounts.mail_from`")?;
    let accounts = Accounts::new(store.clone(), keys, options).context("`accounts.*`")?;
    accounts.ensure_organizations().await?;
    Ok(Some(Arc::new(accounts)))
}

/// Who decides.
pub(crate) fn guard(config: &Config, store: &Arc<Store>, accounts: Option<&Arc<Accounts>>) -> Arc<dyn Guard> {
    match (config.auth, accounts) {
        (Auth::Accounts, Some(accounts)) => Arc::new(AccountGuard::new(store.clone(), accounts.clone())),
        (Auth::None, _) => Arc::new(Open),
        (Auth::Accounts | Auth::Deny, _) => Arc::new(DenyAll),
    }
}

/// Prints the link that makes the first administrator, as long as there is none.
///
/// # Errors
///
/// When the database does not answer.
pub(crate) async fn print_first_link(config: &Config, accounts: &Accounts, base: &str) -> Result<()> {
    if let Some(secret) = accounts.ask_for_first_administrator().await? {
        let served = base.strip_suffix(MOUNTS[0]).unwrap_or(base);
        let root = config.base_url.as_deref().unwrap_or(served);
        // To the terminal alone: it is no line of the log.
        println!(
            "nobody administers this server yet; this link makes the first administrator, once, within a day:\n\n  {root}/setup?code={secret}\n"
        );
    }
    Ok(())
}
