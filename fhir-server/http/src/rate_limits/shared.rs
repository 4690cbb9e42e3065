//! Counters in Redis, which several processes share: the same law ([`super::window`]) as a script, so that asking and counting are one
//! step whoever else asks at the same time. The clock is Redis'.
//!
//! A key is `cari:rate:` and an HMAC of the address or account under the database's own secret: who reads Redis learns neither.
//! It expires a minute after the last admitted request. A request is one round trip (after a restart of Redis the first is two, as
//! it no longer has the script), of at most [`ANSWER_TIMEOUT`].

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use fhir_interactions::RateLimitedLog;
use fhir_model::{Error, Result};
use hmac::{Hmac, KeyInit, Mac};
use prometheus::IntCounter;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use sha2::Sha256;

use super::key::CounterKey;
use super::window::Count;

/// How long Redis may take. A request that waits for it is slower by so much at most.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);

/// How long nobody is asked after a failure; then one request tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Requests that wait to be written to the connection.
const PIPELINE_MAX: usize = 1024;

/// Fields are seconds, values the requests admitted in them. Answers whether it is admitted, how many count, and the milliseconds until the
/// oldest counts no longer.
const SCRIPT: &str = "
local time = redis.call('TIME')
local second = tonumber(time[1])
local counts = redis.call('HGETALL', KEYS[1])
local total, oldest = 0, second
for i = 1, #counts, 2 do
  local at = tonumber(counts[i])
  if at <= second - 61 then
    redis.call('HDEL', KEYS[1], counts[i])
  else
    total = total + tonumber(counts[i + 1])
    if at < oldest then oldest = at end
  end
end
local admitted = 0
if total < tonumber(ARGV[1]) then
  redis.call('HINCRBY', KEYS[1], second, 1)
  redis.call('EXPIRE', KEYS[1], 62)
  admitted, total = 1, total + 1
end
return { admitted, total, (oldest + 61 - second) * 1000 - math.floor(tonumber(time[2]) / 1000) }
";

/// Counters in Redis.
pub(super) struct SharedCounters {
    connection: ConnectionManager,
    script: Script,
    mac: Hmac<Sha256>,
    began: Instant,
    /// Milliseconds since `began` when Redis is asked again; 0 while it answers.
    retry_at: AtomicU64,
    log: RateLimitedLog,
    failures: IntCounter,
}

impl SharedCounters {
    /// Counters in the Redis at `url`; it need not be there yet.
    ///
    /// # Errors
    ///
    /// When the url cannot be read.
    pub(super) fn new(url: &str, secret: &[u8], failures: IntCounter) -> Result<SharedCounters> {
        // The error may repeat the url, and so a password.
        let unreadable = |_| Error::invalid("the URL of Redis cannot be read");
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER_TIMEOUT * 5))
            .set_response_timeout(Some(ANSWER_TIMEOUT))
            .set_number_of_retries(1)
            .set_min_delay(PAUSE / 10)
            .set_pipeline_buffer_size(PIPELINE_MAX);
        let client = Client::open(url).map_err(unreadable)?;
        Ok(SharedCounters {
            connection: ConnectionManager::new_lazy_with_config(client, config).map_err(unreadable)?,
            script: Script::new(SCRIPT),
            mac: Hmac::new_from_slice(secret).map_err(Error::internal)?,
            began: Instant::now(),
            retry_at: AtomicU64::new(0),
            log: RateLimitedLog::default(),
            failures,
        })
    }

    /// Asks for a request; `None` while Redis does not answer.
    pub(super) async fn admit(&self, key: CounterKey, per_minute: u32) -> Option<Count> {
        if !self.may_ask() {
            return None;
        }
        let mut connection = self.connection.clone();
        let mut call = self.script.key(self.name(key));
        let asked = call.arg(per_minute).invoke_async::<(u8, u32, u64)>(&mut connection);
        match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Ok((admitted, total, resets_in))) => {
                if self.retry_at.swap(0, Relaxed) != 0 {
                    tracing::info!("the Redis of the rate limits answers again");
                }
                let resets_in = Duration::from_millis(resets_in);
                Some(Count { is_admitted: admitted == 1, total, resets_in })
            }
            Ok(Err(error)) => self.failed(&error),
            Err(_) => self.failed(&"it took too long"),
        }
    }

    /// True when Redis gives a sign of life.
    pub(super) async fn answers(&self) -> bool {
        let mut connection = self.connection.clone();
        let ping = async move { redis::cmd("PING").query_async::<()>(&mut connection).await };
        matches!(tokio::time::timeout(ANSWER_TIMEOUT * 5, ping).await, Ok(Ok(())))
    }

    /// Whether Redis is asked: after a failure one request in [`PAUSE`] does.
    fn may_ask(&self) -> bool {
        let retry_at = self.retry_at.load(Relaxed);
        let now = self.millis();
        let is_first = || {
            self.retry_at.compare_exchange(retry_at, now + PAUSE.as_millis() as u64, Relaxed, Relaxed).is_ok()
        };
        retry_at == 0 || (now >= retry_at && is_first())
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> Option<Count> {
        self.failures.inc();
        self.retry_at.store(self.millis() + PAUSE.as_millis() as u64, Relaxed);
        if let Some(passed_over) = self.log.admit(Instant::now()) {
            tracing::warn!(passed_over, "the Redis of the rate limits does not answer: {why}");
        }
        None
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// The key in Redis.
    fn name(&self, key: CounterKey) -> String {
        let mut mac = self.mac.clone();
        mac.update(b"cari rate limits");
        mac.update(&key.bytes());
        let mut name = String::from("cari:rate:");
        for byte in mac.finalize().into_bytes().iter().take(16) {
            name.extend(
                [byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)),
            );
        }
        name
    }
}

impl std::fmt::Debug for SharedCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedCounters")
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::rate_limits::mount::LimitedMount;

    #[tokio::test]
    async fn keys_say_nothing_and_a_redis_that_is_not_there_is_asked_rarely() {
        let failures = IntCounter::new("x", "x").unwrap();
        let counters = SharedCounters::new("redis://127.0.0.1:1", &[7; 16], failures.clone()).unwrap();
        let key = CounterKey::address(LimitedMount::Auth, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
        let name = counters.name(key);
        assert!(name.len() == 42 && name.starts_with("cari:rate:") && !name.contains("c0000207"), "{name}");
        assert_ne!(name, counters.name(CounterKey::account("ada")));
        let other = SharedCounters::new("redis://127.0.0.1:1", &[8; 16], failures.clone()).unwrap();
        assert_ne!(name, other.name(key), "another database");
        for _ in 0..100 {
            assert_eq!(counters.admit(key, 10).await, None);
        }
        assert!((1..10).contains(&failures.get()), "{}", failures.get());
        let error = SharedCounters::new("redis://:secret@[", &[7; 16], failures).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
