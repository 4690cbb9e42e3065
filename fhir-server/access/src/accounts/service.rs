//! What accounts consist of. What is done with them stands in the modules beside, each in an `impl Accounts` of its own.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fhir_credentials::{KeyDirectory, PasswordOptions, Passwords};
use fhir_database::PooledClient;
use fhir_model::Result;
use fhir_store::Store;

use super::known_rights::RightsCache;
use super::token_cache::TokenCache;

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
    pub(super) store: Arc<Store>,
    pub(super) keys: KeyDirectory,
    pub(super) passwords: Passwords,
    pub(super) options: AccountOptions,
    pub(super) rights: RightsCache,
    pub(super) tokens: TokenCache,
    /// When the directory of keys was read last.
    pub(super) keys_looked_at: Mutex<Option<Instant>>,
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
        Ok(Accounts { store, keys, passwords, options, rights, tokens, keys_looked_at: Mutex::default() })
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
    pub(super) fn now(&self) -> i64 {
        self.store.now()
    }

    pub(super) async fn client(&self) -> Result<PooledClient> {
        self.store.connections().client().await
    }
}

/// Microseconds.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
