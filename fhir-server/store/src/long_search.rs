//! Criteria of searches that no link can hold, kept for a while so that a short link leads to further pages.
//!
//! They are rows, so that every process answers and a restart changes nothing. Their number and bytes are bounded: when
//! there are more, those that expire first are deleted, and their links are answered with 410.

use std::sync::{Arc, Weak};
use std::time::Duration;

use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use fhir_search::long_search::LongSearch;

use crate::Store;

/// How often what has expired is deleted, at least.
const CLEAN_EVERY: Duration = Duration::from_secs(600);

const LIVES_UNTIL: &str = "select s.expires_at from long_search s where s.key = $1::bytea";

const KEEP: &str = "insert into long_search (key, criteria, bytes, expires_at) \
     values ($1::bytea, $2::text, $3::int4, $4::int8) on conflict (key) do update \
     set expires_at = greatest(long_search.expires_at, excluded.expires_at)";

const KEPT: &str = "select s.criteria from long_search s where s.key = $1::bytea and s.expires_at > $2::int8";

const CLEAN: &str = "delete from long_search s where s.expires_at <= $1::int8";

/// Deletes what is beyond the bounds; those that expire last are kept. Rows that another process is deleting are skipped.
const MAKE_ROOM: &str = "with ranked as (select s.key, \
     row_number() over (order by s.expires_at desc, s.key) as n, \
     sum(s.bytes) over (order by s.expires_at desc, s.key) as bytes from long_search s), \
     beyond as (select l.key from long_search l where l.key in \
     (select r.key from ranked r where r.n > $1::int8 or r.bytes > $2::int8) and l.key <> $3::bytea \
     for update of l skip locked) \
     delete from long_search d using beyond b where d.key = b.key";

impl Store {
    /// Keeps the criteria of a search, or those that are kept for longer. Nothing is written while they have half of
    /// their life before them.
    ///
    /// # Errors
    /// When the criteria are longer than what is kept of one search, the database is away, or this server's clock is wrong.
    pub async fn keep_search(&self, search: &LongSearch, criteria: &str) -> Result<()> {
        let bounds = &self.options.long_searches;
        if criteria.len() > bounds.search_bytes_max() {
            let text = format!(
                "the criteria have {} bytes, and links to further pages are made for {} at most: ask for fewer values at \
                 once, or for more on a page (`_count`)",
                criteria.len(),
                bounds.search_bytes_max()
            );
            return Err(Error::new(Kind::TooCostly, text));
        }
        let lifetime = i64::try_from(bounds.lifetime.as_micros()).unwrap_or(i64::MAX / 4);
        self.commit_clock.check_skew()?;
        let (now, key) = (self.now(), search.key.as_slice());
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(LIVES_UNTIL).await.map_err(failure::classify)?;
        let row = client.query_opt(&statement, &[&key]).await.map_err(failure::classify)?;
        let until: Option<i64> = row.map(|row| row.try_get(0)).transpose().map_err(Error::internal)?;
        if until.is_some_and(|until| until > now.saturating_add(lifetime / 2)) {
            return Ok(());
        }
        let bytes = i32::try_from(criteria.len()).unwrap_or(i32::MAX);
        let statement = client.prepare_cached(KEEP).await.map_err(failure::classify)?;
        let until = now.saturating_add(lifetime);
        client.execute(&statement, &[&key, &criteria, &bytes, &until]).await.map_err(failure::classify)?;
        let rows_max = i64::try_from(bounds.rows_max).unwrap_or(i64::MAX);
        let bytes_max = i64::try_from(bounds.bytes_max).unwrap_or(i64::MAX);
        let statement = client.prepare_cached(MAKE_ROOM).await.map_err(failure::classify)?;
        client.execute(&statement, &[&rows_max, &bytes_max, &key]).await.map_err(failure::classify)?;
        Ok(())
    }

    /// The criteria of a search. Returns `None` when they have expired.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn kept_search(&self, search: &LongSearch) -> Result<Option<String>> {
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(KEPT).await.map_err(failure::classify)?;
        let row = client.query_opt(&statement, &[&search.key.as_slice(), &self.now()]).await;
        row.map_err(failure::classify)?.map(|row| row.try_get(0).map_err(Error::internal)).transpose()
    }

    /// How long a link to a long search works.
    pub fn long_search_lifetime(&self) -> Duration {
        self.options.long_searches.lifetime
    }

    async fn clean_long_searches(&self) -> Result<()> {
        self.commit_clock.check_skew()?;
        let client = self.connections.client().await?;
        let statement = client.prepare_cached(CLEAN).await.map_err(failure::classify)?;
        client.execute(&statement, &[&self.now()]).await.map_err(failure::classify)?;
        Ok(())
    }
}

/// Deletes what has expired, as long as the store is there.
pub(crate) fn clean(store: &Arc<Store>) {
    let every = store.options.long_searches.lifetime.min(CLEAN_EVERY);
    let (stop, tasks) = (store.stop.clone(), store.tasks.clone());
    let store: Weak<Store> = Arc::downgrade(store);
    tasks.spawn(async move {
        while let Some(this) = store.upgrade() {
            if let Err(e) = this.clean_long_searches().await {
                tracing::warn!("criteria of long searches that have expired could not be deleted: {e}");
            }
            drop(this);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    });
}
