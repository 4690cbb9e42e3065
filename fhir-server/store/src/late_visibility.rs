//! What a database of several machines has committed and does not show everywhere yet.
//!
//! There a transaction is prepared on each machine, decided on one, and then committed on each, one after the other: no snapshot
//! is of all of them. A claim may be visible before the row that it was spent on is, and a version may become visible after
//! later ones. On one PostgreSQL neither can be, and nothing here is asked.
//!
//! **Invariant:** once a claim or a row of a commit is visible, or its client has the answer, all its rows that are not visible
//! yet are those of prepared transactions. When those that there are at an instant are gone, what was committed before it is visible.

mod watermark;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use deadpool_postgres::GenericClient;
use fhir_database::failure;
use fhir_model::{Error, Kind, Result};

use crate::Store;

pub(crate) use watermark::follow;

/// A version of a row, or a later one. The parts of a row are on one machine, and become visible together.
const ROW: &str = "select 1 from resource r where r.handle = $1::int8 and r.version >= $2::int4 \
     union all select 1 from resource_history h where h.handle = $1::int8 and h.version >= $2::int4 limit 1";

/// The transactions of Citus that are prepared, of each node; null of a node that does not answer.
const PREPARED: &str = "select n.nodeid::text, case when n.success then n.result end from run_command_on_all_nodes( \
     'select coalesce(string_agg(p.gid, '' ''), '''') from pg_prepared_xacts p \
     where p.gid like ''citus\\_%'' and p.database = current_database()') n";

/// Pauses between two looks: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Waits longer each time, up to a bound.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn new(longest: Duration) -> Patience {
        Patience { until: Instant::now() + longest, pause: PAUSES.0 }
    }

    /// # Errors
    ///
    /// `Unavailable` when it has waited for as long as it may.
    async fn pause(&mut self) -> Result<()> {
        if Instant::now() >= self.until {
            let text = "a change that was made just now is not visible on every machine of the database yet; nothing was \
                 written; try again";
            return Err(Error::new(Kind::Unavailable, text));
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }
}

impl Store {
    /// Waits until a row is visible that a claim was spent on, in its version or a later one, be it in history. Where the claim
    /// does not say which row, all that is being committed is waited for.
    ///
    /// # Errors
    ///
    /// `Unavailable` when that takes too long, or the database is away.
    pub(crate) async fn wait_for_claimed(&self, handle: Option<i64>, version: Option<i32>) -> Result<()> {
        let (Some(handle), Some(version)) = (handle, version) else {
            return self.wait_until_visible(&self.connections.client().await?).await;
        };
        let mut patience = Patience::new(self.options.visible_within);
        loop {
            let client = self.connections.client().await?;
            let statement = client.prepare_cached(ROW).await.map_err(failure::classify)?;
            let found = client.query_opt(&statement, &[&handle, &version]).await;
            if found.map_err(failure::classify)?.is_some() {
                return Ok(());
            }
            drop(client);
            patience.pause().await?;
        }
    }

    /// Waits until all is visible that is committed by now. On one PostgreSQL it is. The connection may be in a transaction, which
    /// is not waited for.
    ///
    /// # Errors
    ///
    /// `Unavailable` when that takes too long, or a machine of the database is away.
    pub(crate) async fn wait_until_visible(&self, client: &impl GenericClient) -> Result<()> {
        if !self.is_visible_late {
            return Ok(());
        }
        let mut patience = Patience::new(self.options.visible_within);
        let mut open = self.prepared_transactions(client).await?;
        while !open.is_empty() {
            patience.pause().await?;
            let now = self.prepared_transactions(client).await?;
            open.retain(|transaction| now.contains(transaction));
        }
        Ok(())
    }

    /// The transactions that are prepared on any machine of the database, by machine and name.
    ///
    /// # Errors
    ///
    /// `Unavailable` when one of the machines does not answer: what is prepared there is not known.
    async fn prepared_transactions(&self, client: &impl GenericClient) -> Result<BTreeSet<String>> {
        let statement = client.prepare_cached(self.prepared_sql()).await.map_err(failure::classify)?;
        let rows = client.query(&statement, &[]).await.map_err(failure::classify)?;
        let mut all = BTreeSet::new();
        for row in &rows {
            let node: &str = row.try_get(0).map_err(Error::internal)?;
            let names: Option<&str> = row.try_get(1).map_err(Error::internal)?;
            let Some(names) = names else {
                let text = "a machine of the database is not available at the moment; try again";
                return Err(Error::new(Kind::Unavailable, text));
            };
            all.extend(names.split_whitespace().map(|name| [node, " ", name].concat()));
        }
        Ok(all)
    }

    fn prepared_sql(&self) -> &'static str {
        #[cfg(feature = "testing")]
        if self.options.late_rows.is_some() {
            return crate::testing::PREPARED;
        }
        PREPARED
    }
}
