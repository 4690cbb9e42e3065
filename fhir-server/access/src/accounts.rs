//! Accounts: who has one, how they sign in, which organisations they are of.
//!
//! The functions stand in the modules below, each of one subject with its SQL. All of them are of one [`Accounts`], which every
//! process of a server has; what one changes, the others know within a second (`rights_cache.rs`).

pub mod challenges;
pub mod codes;
pub mod domains;
mod failures;
pub mod invitations;
pub mod login_name;
pub mod members;
pub mod organization_list;
mod organization_update;
pub mod organizations;
mod rights_cache;
pub mod second_factor;
pub mod sessions;
pub mod sign_in;
mod token_cache;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

use fhir_credentials::{KeyDirectory, PasswordOptions, Passwords};
use fhir_database::PooledClient;
use fhir_model::Result;
use fhir_store::Store;

use self::rights_cache::RightsCache;
use self::token_cache::TokenCache;

/// How accounts behave.
#[derive(Debug, Clone)]
pub struct AccountOptions {
    /// Who gives tokens, and for whom: `iss` and `aud`.
    pub issuer: String,
    /// How long an access token is good for.
    pub token_lifetime: Duration,
    /// How long a sign-in can be refreshed.
    pub session_lifetime: Duration,
    /// After which time without refreshing a sign-in on a shared computer ends.
    pub shared_idle_max: Duration,
    /// Whether an e-mail address counts only when its owner has proved to receive what is sent there.
    pub verify_email: bool,
    /// How passwords are hashed.
    pub passwords: PasswordOptions,
}

/// All accounts of a server.
pub struct Accounts {
    store: Arc<Store>,
    keys: KeyDirectory,
    passwords: Passwords,
    options: AccountOptions,
    rights: RightsCache,
    tokens: TokenCache,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accounts")
    }
}

impl Accounts {
    /// The accounts of a store, whose tokens are signed with these keys.
    ///
    /// # Errors
    ///
    /// When the list of breached passwords cannot be read.
    pub fn new(store: Arc<Store>, keys: KeyDirectory, options: AccountOptions) -> Result<Accounts> {
        let passwords = Passwords::new(options.passwords.clone())?;
        let (rights, tokens) = (RightsCache::default(), TokenCache::default());
        Ok(Accounts { store, keys, passwords, options, rights, tokens })
    }

    /// How they behave.
    pub fn options(&self) -> &AccountOptions {
        &self.options
    }

    /// The keys of the server.
    pub fn keys(&self) -> &KeyDirectory {
        &self.keys
    }

    /// The time, in microseconds since 1970.
    fn now(&self) -> i64 {
        self.store.now()
    }

    async fn client(&self) -> Result<PooledClient> {
        self.store.connections().client().await
    }
}

/// Microseconds.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
