//! Rate limits: how many requests a minute an address, an account or a client may make.
//!
//! Of an address before anything else is asked or read, by the mount of the path; of an account or client once it is authenticated. The
//! law stands in `window.rs`, what is counted in this process in `counters.rs`, what several processes share in `shared.rs`. What has
//! no limit is neither counted nor locked. Probes are never limited.

mod client;
mod counters;
mod figures;
mod key;
mod mount;
mod shared;
mod verdict;
mod window;

use std::sync::Arc;
use std::time::Instant;

use fhir_interactions::Principal;
use fhir_model::{Error, Kind, Result};

pub(crate) use self::client::Client;
pub use self::figures::{MountFigures, NetworkLimit, RateLimitOptions, RedisOptions};
pub use self::mount::LimitedMount;

use self::counters::Counters;
use self::figures::Figures;
use self::key::CounterKey;
use self::shared::SharedCounters;
use self::verdict::Verdict;
use crate::metrics::Metrics;

/// The counters of one server.
pub(crate) struct RateLimits {
    figures: Figures,
    counters: Arc<Counters>,
    shared: Option<SharedCounters>,
    is_shared_required: bool,
    began: Instant,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
    metrics: Arc<Metrics>,
}

impl RateLimits {
    /// Whether Redis gives a sign of life. Returns `None` where there is none.
    pub(crate) async fn redis_answers(&self) -> Option<bool> {
        match &self.shared {
            Some(shared) => Some(shared.answers().await),
            None => None,
        }
    }

    /// Nobody has asked yet. `secret`: the database's own, under which Redis' keys are made. `clock`: microseconds since 1970, to tell
    /// clients; what counts goes by a clock that nobody sets.
    ///
    /// # Errors
    ///
    /// When the url of Redis cannot be read, or something with these metrics was there before.
    pub(crate) fn new(
        options: RateLimitOptions,
        secret: &[u8],
        clock: impl Fn() -> i64 + Send + Sync + 'static,
        metrics: Arc<Metrics>,
    ) -> Result<RateLimits> {
        let redis = options.redis.as_ref();
        let failures = || metrics.rate_limit_redis_failures.clone();
        let shared = redis.map(|redis| SharedCounters::new(&redis.url, secret, failures())).transpose()?;
        let counters = Arc::new(Counters::new());
        let counted = counters.clone();
        let help = "Addresses and accounts whose requests of the last minute are counted in this process.";
        metrics.observe("cari_rate_limit_counters", help, move || Some(counted.len() as u64))?;
        Ok(RateLimits {
            counters,
            shared,
            is_shared_required: redis.is_some_and(|redis| redis.is_required),
            figures: Figures::new(options),
            began: Instant::now(),
            clock: Box::new(clock),
            metrics,
        })
    }

    /// Counts a request of an address, before it is authenticated.
    ///
    /// # Errors
    ///
    /// `Throttled` when there were too many; `Unavailable` when they are counted in Redis alone, and it does not answer.
    pub(crate) async fn admit_address(&self, client: &Client, path: &str) -> Result<()> {
        let Some(mount) = self.figures.limited(path) else { return Ok(()) };
        let Some(figure) = self.figures.of_address(mount, client.address) else { return Ok(()) };
        let key = CounterKey::address(mount, client.address);
        Box::pin(self.admit(client, key, figure, (mount.name(), "this address"))).await
    }

    /// Counts a request of an account or client, after it was authenticated, by its [`Principal::name`], and gives it back. Who has no name is
    /// counted by the address alone.
    ///
    /// # Errors
    ///
    /// As [`RateLimits::admit_address`].
    pub(crate) async fn admit_principal(&self, client: &Client, principal: Principal) -> Result<Principal> {
        self.admit_account(client, principal.name()).await?;
        Ok(principal)
    }

    async fn admit_account(&self, client: &Client, name: &str) -> Result<()> {
        if name.is_empty() {
            return Ok(());
        }
        let Some(figure) = self.figures.of_account(name) else { return Ok(()) };
        Box::pin(self.admit(client, CounterKey::account(name), figure, ("account", "this account"))).await
    }

    async fn admit(
        &self,
        client: &Client,
        key: CounterKey,
        figure: u32,
        (limit, whose): (&str, &str),
    ) -> Result<()> {
        let counted = match &self.shared {
            Some(shared) => shared.admit(key, figure).await,
            None => None,
        };
        if counted.is_none() && self.is_shared_required {
            let text = "requests cannot be counted at the moment, and are not answered uncounted; try again in a moment";
            return Err(Error::new(Kind::Unavailable, text));
        }
        let Some(count) = counted.or_else(|| self.counters.admit(key, figure, self.began.elapsed())) else {
            return Ok(());
        };
        let verdict = Verdict::new(count, figure, (self.clock)());
        client.note(verdict);
        if verdict.is_admitted {
            return Ok(());
        }
        self.metrics.count_rate_limited(limit);
        Err(verdict.error(whose))
    }
}

#[cfg(test)]
mod tests;
