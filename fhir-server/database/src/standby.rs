//! A standby to read from: connections to it, each checked for how much of the log its server has replayed.
//!
//! What stands behind the url may be several servers, such as a balancer in front of all standbys: a position is asked of each
//! connection anew, and holds for the statements on it alone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use tokio::time::{Instant, timeout};
use tokio_postgres::{CancelToken, Client, Row};

use crate::connections::{CATCH_UP, ConnectionOptions, Connections, SYSTEM, ensure_system};
use crate::endpoint::Endpoint;
use crate::failure;
use crate::position::Position;
use crate::read_connection::ReadConnection;

/// How often a standby that is not far enough is asked again.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// How long it may take until a server says how far it is, connecting to it included.
const ASK_TIMEOUT: Duration = Duration::from_millis(2500);
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
    system: i64,
    lag_max: Duration,
    samples: Mutex<LagSamples>,
    /// Reads that a standby answered.
    pub reads: AtomicU64,
    /// Reads that were begun on a standby, and answered by the primary after all.
    pub retries: AtomicU64,
    /// Reads for which there was no standby with enough of the log, or that none can answer.
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
    /// The latest position of the primary that is older than the lag may be; until there is one, the first that was seen.
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
        let connections = Connections::open(url, ConnectionOptions { standby_of: Some(system), ..options })?;
        Ok(Standby {
            primary,
            connections,
            system,
            lag_max,
            samples: Mutex::default(),
            reads: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
        })
    }

    /// Where the primary is now: what it has acknowledged so far is there for whoever has come to this position.
    ///
    /// # Errors
    ///
    /// When it is away, or does not say within a moment.
    pub async fn primary_position(&self) -> Result<Position> {
        with_timeout(async {
            let client = self.primary.client().await?;
            let statement = client.prepare_cached(PRIMARY).await.map_err(failure::classify)?;
            position(&client.query_one(&statement, &[]).await.map_err(failure::classify)?)
        })
        .await
    }

    /// A connection to a standby that has come to all of these positions, and is not further behind than it may be. Returns `None`
    /// when there is none within a moment.
    pub async fn client_at(&self, positions: &[Position]) -> Option<ReadConnection> {
        let client = match self.wanted(positions) {
            Some((wanted, patience)) => {
                with_timeout(self.client_within(&wanted, patience)).await.ok().flatten()
            }
            None => None,
        };
        if client.is_none() {
            self.passed_over.fetch_add(1, Ordering::Relaxed);
        }
        client
    }

    /// What a standby has to have, and how long that is waited for. Returns `None` when none can have it.
    fn wanted(&self, positions: &[Position]) -> Option<(Wanted, Duration)> {
        let samples = self.samples();
        // What is away is not asked, and what is far behind is not waited for: that is looked after once a second.
        let lag = samples.measured?;
        let (_, newest) = samples.primary.back()?;
        let timeline = newest.timeline;
        let floor = samples.floor.map(|(_, position)| position);
        let positions: Vec<Position> = positions.iter().copied().chain(floor).collect();
        let is_late = lag.time >= SAMPLE_INTERVAL;
        let is_reachable = positions.iter().all(|position| position.timeline <= timeline);
        is_reachable
            .then_some((Wanted { positions, timeline }, if is_late { Duration::ZERO } else { CATCH_UP }))
    }

    async fn client_within(&self, wanted: &Wanted, patience: Duration) -> Result<Option<ReadConnection>> {
        let until = Instant::now() + patience;
        loop {
            let client = self.connections.read_client().await?;
            match replayed(&client).await? {
                Some(position) if wanted.is_met_by(position) => return Ok(Some(client)),
                Some(_) => drop(client),
                // No standby, or none any more.
                None => {
                    client.discard();
                    return Ok(None);
                }
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
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

    /// Whether it answers, and is a standby. A read that asks in vain is counted.
    pub fn is_present(&self) -> bool {
        let is_present = self.lag().is_some();
        if !is_present {
            self.passed_over.fetch_add(1, Ordering::Relaxed);
        }
        is_present
    }

    /// Measures the lag once a second, for as long as it is polled.
    pub async fn follow(&self) {
        let (mut primary, mut standby, mut is_away) = (None, None, false);
        loop {
            let measured = self.measure(&mut primary, &mut standby).await;
            match &measured {
                Err(e) if !is_away => {
                    tracing::warn!("reads go to the primary, as there is no standby: {}", innermost(e))
                }
                Ok(_) if is_away => tracing::info!("reads go to the standby again"),
                _ => {}
            }
            is_away = measured.is_err();
            self.samples().measured = measured.ok();
            tokio::time::sleep(SAMPLE_INTERVAL).await;
        }
    }

    /// Measures the lag of what is at a url, once.
    ///
    /// # Errors
    ///
    /// When it is no standby of the primary, or one of them is away.
    pub async fn inspect(url: &str, primary: &str) -> Result<Lag> {
        let options = ConnectionOptions {
            connections_max: 1,
            statement_timeout: ASK_TIMEOUT,
            application_name: "cari check".to_owned(),
            pipelined: &[],
            plan_for_values: false,
            standby_of: None,
        };
        // Says what is wrong in words for an operator.
        Endpoint::parse(url)?.connect().await?;
        let primary = Arc::new(Connections::open(primary, options.clone())?);
        Standby::open(url, options, primary, Duration::MAX).await?.measure(&mut None, &mut None).await
    }

    /// By connections of its own, that no request waits for.
    async fn measure(&self, primary: &mut Option<Client>, standby: &mut Option<Client>) -> Result<Lag> {
        // Without a primary the last position that it had stays the measure.
        let known = with_timeout(self.sample(primary)).await;
        let replayed = with_timeout(self.measured_position(standby)).await?;
        let samples = self.samples();
        let (now, newest) = *samples.primary.back().ok_or_else(|| match known {
            Err(e) => e,
            Ok(()) => Error::internal("a sample that is not there"),
        })?;
        let mut oldest_first = samples.floor.iter().chain(&samples.primary);
        let oldest_missing = oldest_first.find(|(_, position)| !position.is_reached_by(replayed));
        Ok(Lag {
            bytes: newest.lsn.saturating_sub(replayed.lsn),
            time: oldest_missing.map_or(Duration::ZERO, |(at, _)| now.duration_since(*at)),
        })
    }

    /// Notes where the primary is.
    async fn sample(&self, kept: &mut Option<Client>) -> Result<()> {
        let client = match kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.primary.dedicated().await?,
        };
        let now = Instant::now();
        let position = position(&client.query_one(PRIMARY, &[]).await.map_err(failure::classify)?)?;
        *kept = Some(client);
        let mut samples = self.samples();
        samples.floor.get_or_insert((now, position));
        samples.primary.push_back((now, position));
        while let Some(oldest) = samples.primary.front().copied()
            && now.duration_since(oldest.0) > self.lag_max
        {
            samples.floor = Some(oldest);
            samples.primary.pop_front();
        }
        Ok(())
    }

    /// How far the standby is that `follow` asks.
    async fn measured_position(&self, kept: &mut Option<Client>) -> Result<Position> {
        let client = match kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => {
                let client = self.connections.dedicated().await?;
                ensure_system(&client, self.system).await?;
                client
            }
        };
        let row = client.query_one(STANDBY, &[]).await.map_err(failure::classify)?;
        let position = Position::from_columns(&row, 0).map_err(failure::classify)?;
        let position =
            position.ok_or_else(|| Error::new(Kind::Unavailable, "`database.read_url` is no standby"))?;
        *kept = Some(client);
        Ok(position)
    }

    fn samples(&self) -> MutexGuard<'_, LagSamples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a standby has to have.
struct Wanted {
    positions: Vec<Position>,
    /// The primary's. A standby on a later one follows another server, that was promoted beside it.
    timeline: u32,
}

impl Wanted {
    fn is_met_by(&self, replayed: Position) -> bool {
        replayed.timeline <= self.timeline
            && self.positions.iter().all(|position| position.is_reached_by(replayed))
    }
}

/// How far the server of a connection has replayed the log; `None`: it is no standby.
///
/// # Errors
///
/// When it is away.
pub async fn replayed(client: &ReadConnection) -> Result<Option<Position>> {
    client
        .run(async {
            let statement = client.prepare_cached(STANDBY).await.map_err(failure::classify)?;
            let row = client.query_one(&statement, &[]).await.map_err(failure::classify)?;
            Position::from_columns(&row, 0).map_err(failure::classify)
        })
        .await
}

/// The position in the first two columns of the primary's answer.
fn position(row: &Row) -> Result<Position> {
    let position = Position::from_columns(row, 0).map_err(failure::classify)?;
    position.ok_or_else(|| Error::internal("a primary without a position"))
}

/// Gives up what takes longer than [`ASK_TIMEOUT`].
async fn with_timeout<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = |_| Error::new(Kind::Unavailable, "it does not answer");
    timeout(ASK_TIMEOUT, asked).await.map_err(silent)?
}

/// The cause, which is what an operator can do something about.
fn innermost(error: &Error) -> &dyn std::error::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A standby that follows a server that was promoted beside the primary has another log, however long.
    #[test]
    fn a_standby_on_a_later_timeline_than_the_primary_is_not_read_from() {
        let at = |timeline, lsn| Position { timeline, lsn };
        let wanted = Wanted { positions: vec![at(1, 5), at(2, 7)], timeline: 2 };
        for (replayed, is_met) in
            [(at(2, 7), true), (at(2, 8), true), (at(2, 6), false), (at(1, 70), false), (at(3, 70), false)]
        {
            assert_eq!(wanted.is_met_by(replayed), is_met, "{replayed}");
        }
    }
}
