//! A standby to read from: connections to it, each checked for how much of the log its server has replayed.
//!
//! What stands behind the url may be several servers, such as a balancer in front of all standbys: a position is asked of each
//! connection anew, and holds for the statements on it alone.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Client, Object};
use fhir_model::{Error, Kind, Result};
use tokio::time::{Instant, timeout};
use tokio_postgres::CancelToken;

use crate::connections::{ConnectionOptions, Connections, SYSTEM};
use crate::endpoint::Endpoint;
use crate::failure;
use crate::position::Position;

/// How long a read waits for the standby to come so far.
const CATCH_UP: Duration = Duration::from_millis(50);
/// How long it may take until a standby says how far it is, that included.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How often it is asked meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// How often the lag is measured.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Where the primary is: up to where what it acknowledged stands in its log. Commits that are acknowledged before they are flushed
/// are further.
const PRIMARY: &str = "select ('x' || substr(pg_walfile_name(p.lsn), 1, 8))::bit(32)::int8, (p.lsn - '0/0'::pg_lsn)::int8 \
     from (select case current_setting('synchronous_commit') when 'off' then pg_current_wal_insert_lsn() \
     else pg_current_wal_flush_lsn() end as lsn) p";

/// Where a standby is. The timeline that it receives is shown to roles that may see it (`pg_read_all_stats`); for others it is that
/// of its last restart point, so that after a promotion it is passed over until the next one.
const STANDBY: &str = "select case when pg_is_in_recovery() then coalesce( \
     (select w.received_tli from pg_stat_wal_receiver w), (select c.timeline_id from pg_control_checkpoint() c))::int8 end, \
     (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::int8";

/// A standby to read from, or several behind one url.
pub struct Standby {
    primary: Arc<Connections>,
    connections: Connections,
    lag_max: Duration,
    lag: Mutex<LagSamples>,
    /// Reads that a standby answered.
    pub reads: AtomicU64,
    /// Reads that were begun on a standby, and answered by the primary after all.
    pub retries: AtomicU64,
    /// Reads for which there was no standby with enough of the log.
    pub passed_over: AtomicU64,
}

impl std::fmt::Debug for Standby {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Standby")
    }
}

/// Where the primary was when, and how far behind the standby is.
#[derive(Debug, Default)]
struct LagSamples {
    /// The latest position of the primary that is older than the lag may be.
    floor: Option<(Instant, Position)>,
    primary: VecDeque<(Instant, Position)>,
    measured: Option<Lag>,
}

/// How far a standby is behind its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Of log.
    pub bytes: u64,
    /// Since the primary was where the standby is, to a second.
    pub time: Duration,
}

/// A connection to a standby, and how far its server had replayed the log when it was taken.
pub struct StandbyClient {
    /// `None` once it is dropped.
    client: Option<Object>,
    /// Its server had replayed the log up to here.
    pub position: Position,
    is_discarded: AtomicBool,
}

impl StandbyClient {
    fn new(client: Object, position: Position) -> StandbyClient {
        StandbyClient { client: Some(client), position, is_discarded: AtomicBool::new(false) }
    }

    /// Ends the connection when it is done with, instead of giving it back to the pool.
    pub fn discard(&self) {
        self.is_discarded.store(true, Ordering::Relaxed);
    }
}

impl Deref for StandbyClient {
    type Target = Client;

    #[expect(clippy::expect_used, reason = "it is taken when this is dropped, and never before")]
    fn deref(&self) -> &Client {
        self.client.as_ref().expect("it is there until this is dropped")
    }
}

impl Drop for StandbyClient {
    fn drop(&mut self) {
        if let Some(client) = self.client.take_if(|_| self.is_discarded.load(Ordering::Relaxed)) {
            drop(Object::take(client));
        }
    }
}

impl std::fmt::Debug for StandbyClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a standby at {}", self.position)
    }
}

impl Standby {
    /// Prepares to connect; only the primary is asked which cluster it is.
    ///
    /// # Errors
    ///
    /// When the url or a certificate that it names cannot be read, or the primary is away.
    pub async fn open(
        url: &str,
        options: ConnectionOptions,
        primary: Arc<Connections>,
        lag_max: Duration,
    ) -> Result<Standby> {
        let client = primary.client().await?;
        let row = client.query_one(SYSTEM, &[]).await.map_err(failure::classify)?;
        drop(client);
        let system: i64 = row.try_get(0).map_err(failure::classify)?;
        let connections = Connections::open(url, ConnectionOptions { system: Some(system), ..options })?;
        Ok(Standby {
            primary,
            connections,
            lag_max,
            lag: Mutex::default(),
            reads: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
        })
    }

    /// Where the primary is now: what it has acknowledged so far is there for whoever has come to this position.
    ///
    /// # Errors
    ///
    /// When it is away.
    pub async fn primary_position(&self) -> Result<Position> {
        let client = self.primary.client().await?;
        let statement = client.prepare_cached(PRIMARY).await.map_err(failure::classify)?;
        let row = client.query_one(&statement, &[]).await.map_err(failure::classify)?;
        Position::from_columns(&row, 0)
            .map_err(failure::classify)?
            .ok_or_else(|| Error::internal("a primary without a position"))
    }

    /// A connection to a standby that has come to all of these positions, and is not further behind than it may be. Returns `None`
    /// when there is none within a moment.
    pub async fn client_at(&self, positions: &[Position]) -> Option<StandbyClient> {
        let (floor, measured) = {
            let samples = self.samples();
            (samples.floor, samples.measured)
        };
        let wanted: Vec<Position> =
            positions.iter().copied().chain(floor.map(|(_, position)| position)).collect();
        // What is away is not asked, and what is far behind is not waited for: that is looked after once a second.
        let patience = match measured {
            None => return self.passed_over(),
            Some(lag) if lag.time >= SAMPLE_INTERVAL => Duration::ZERO,
            Some(_) => CATCH_UP,
        };
        match timeout(CONNECT_WITHIN, self.client_within(&wanted, patience)).await {
            Ok(Ok(Some(client))) => Some(client),
            _ => self.passed_over(),
        }
    }

    async fn client_within(&self, wanted: &[Position], patience: Duration) -> Result<Option<StandbyClient>> {
        let client = self.connections.client().await?;
        let until = Instant::now() + patience;
        loop {
            match replayed(&client).await? {
                Some(position) if wanted.iter().all(|wanted| wanted.is_reached_by(position)) => {
                    return Ok(Some(StandbyClient::new(client, position)));
                }
                // No standby, or none any more.
                None => return Ok(None),
                Some(_) if Instant::now() >= until => return Ok(None),
                Some(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    fn passed_over(&self) -> Option<StandbyClient> {
        self.passed_over.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Asks a standby to stop what a connection to it does.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub async fn cancel(&self, token: &CancelToken) -> Result<()> {
        self.connections.cancel(token).await
    }

    /// How far it is behind; `None` when it is away, or no standby.
    pub fn lag(&self) -> Option<Lag> {
        self.samples().measured
    }

    /// Measures the lag once a second, for as long as it is polled.
    pub async fn follow(&self) {
        let mut is_away = false;
        loop {
            let measured = self.measure().await;
            match &measured {
                Err(e) if !is_away => {
                    let mut cause: &dyn std::error::Error = e;
                    while let Some(inner) = cause.source() {
                        cause = inner;
                    }
                    tracing::warn!("reads go to the primary, as there is no standby: {cause}");
                }
                Ok(None) if !is_away => {
                    tracing::warn!("reads go to the primary: `database.read_url` is no standby");
                }
                Ok(Some(_)) if is_away => tracing::info!("reads go to the standby again"),
                _ => {}
            }
            is_away = !matches!(measured, Ok(Some(_)));
            self.samples().measured = measured.unwrap_or_default();
            tokio::time::sleep(SAMPLE_INTERVAL).await;
        }
    }

    /// Measures the lag of what is at a url, once; `None`: it is no standby.
    ///
    /// # Errors
    ///
    /// When it, or the primary, is away, or it is of another cluster.
    pub async fn inspect(url: &str, primary: &str) -> Result<Option<Lag>> {
        let options = ConnectionOptions {
            connections_max: 1,
            statement_timeout: CONNECT_WITHIN,
            application_name: "cari check".to_owned(),
            pipelined: &[],
            plan_for_values: false,
            system: None,
        };
        // Says what is wrong in words for an operator.
        Endpoint::parse(url)?.connect().await?;
        let primary = Arc::new(Connections::open(primary, options.clone())?);
        Standby::open(url, options, primary, Duration::MAX).await?.measure().await
    }

    async fn measure(&self) -> Result<Option<Lag>> {
        // Without a primary the last position that it had stays the measure.
        if let Ok(Ok(position)) = timeout(CONNECT_WITHIN, self.primary_position()).await {
            let now = Instant::now();
            let mut samples = self.samples();
            samples.primary.push_back((now, position));
            while let Some((at, position)) = samples.primary.front().copied()
                && now.duration_since(at) > self.lag_max
            {
                samples.floor = Some((at, position));
                samples.primary.pop_front();
            }
        }
        let asked = async { replayed(&self.connections.client().await?).await };
        let silent = |_| Error::new(Kind::Unavailable, "it does not answer");
        let Some(replayed) = timeout(CONNECT_WITHIN, asked).await.map_err(silent)?? else { return Ok(None) };
        let samples = self.samples();
        let Some((now, newest)) = samples.primary.back() else { return Ok(None) };
        let mut oldest_first = samples.floor.iter().chain(&samples.primary);
        let oldest_missing = oldest_first.find(|(_, position)| !position.is_reached_by(replayed));
        Ok(Some(Lag {
            bytes: newest.lsn.saturating_sub(replayed.lsn),
            time: oldest_missing.map_or(Duration::ZERO, |(at, _)| now.duration_since(*at)),
        }))
    }

    /// Notes how a read that was begun on a standby ended.
    pub fn count(&self, answered: bool) {
        let counter = if answered { &self.reads } else { &self.retries };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn samples(&self) -> MutexGuard<'_, LagSamples> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the server of a connection has replayed the log; `None`: it is no standby.
async fn replayed(client: &Object) -> Result<Option<Position>> {
    let statement = client.prepare_cached(STANDBY).await.map_err(failure::classify)?;
    let row = client.query_one(&statement, &[]).await.map_err(failure::classify)?;
    Position::from_columns(&row, 0).map_err(failure::classify)
}
