//! The format of index entries. A build whose resources leave other entries than before gives all of them theirs before it
//! serves: what it does not find could be there.

use std::time::Duration;

use fhir_model::{Error, Kind, Result};
use tokio::time::Instant;

use super::{Next, TRY_EVERY, Walk, want};
use crate::parameters::{self, NEXT_VERSION};
use crate::{Store, failure};

/// Grows with every change of what R4's parameters leave in the index. Entries that are not made any more have to be
/// deleted by a migration: nobody knows them.
const FORMAT: i32 = 2;

/// Failures in a row after which it is served all the same.
const TRIES: usize = 5;
/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

const HELD: &str =
    "select v.format, v.format_wanted, v.format_since from search_version v where v.id = 1 for update";

const TYPES: &str = "select t.id from unnest($1::int4[]) as t(id) \
     where exists (select from resource r where r.type_id = t.id) order by t.id";

const WANTED: &str =
    "update search_version v set format_wanted = $1::int4, format_since = $2::int8 where v.id = 1";

const DONE: &str = "update search_version v set format = $1::int4 where v.id = 1 and v.format < $1::int4";

impl Store {
    /// Returns when all resources have the entries of this build. What cannot be done after some tries is told and left to the
    /// walks, as one resource must not keep all others away.
    pub(crate) async fn settle_format(&self) -> Result<()> {
        let Some(since) = self.want_format().await? else { return Ok(()) };
        let (mut told, mut failed) = (Instant::now(), 0);
        loop {
            self.learn_if_behind().await?;
            let walks = self.walks().await?;
            let due: Vec<&Walk> = walks.iter().filter(|w| w.wanted >= since && w.done < since).collect();
            if due.is_empty() {
                break;
            }
            if failed >= TRIES {
                let names: Vec<&str> = due.iter().map(|walk| &*walk.type_name).collect();
                tracing::error!(
                    "searches may miss some of {}: their index is not up to date",
                    names.join(", ")
                );
                return Ok(());
            }
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                let (done, all) = walks.iter().fold((0, 0), |(done, all), walk| {
                    (done + walk.done_since(since), all + walk.rows_total.unwrap_or(0))
                });
                tracing::info!("the index is made anew for this build: {done} of {all} resources are done");
            }
            match self.step().await {
                Ok(Next::GoOn) => failed = 0,
                Ok(_) => tokio::time::sleep(TRY_EVERY).await,
                // It stands with the walk, if it is about one; the others go first.
                Err(e) => {
                    failed += 1;
                    tracing::warn!("the index does not get on: {e}");
                    tokio::time::sleep(TRY_EVERY).await;
                }
            }
        }
        let client = self.connections.client().await?;
        client.execute(DONE, &[&FORMAT]).await.map_err(failure::classify)?;
        Ok(())
    }

    /// Asks for the walks that this build needs: since which version; none when there is nothing to do.
    async fn want_format(&self) -> Result<Option<i64>> {
        let mut client = self.connections.client().await?;
        let transaction = client.transaction().await.map_err(failure::classify)?;
        let row = transaction.query_one(HELD, &[]).await.map_err(failure::classify)?;
        let [format, wanted] = [row.get::<_, i32>(0), row.get(1)];
        if format.max(wanted) > FORMAT {
            let text = "the index of this database was made by a later build of the server";
            return Err(Error::new(Kind::Unavailable, text));
        }
        if format == FORMAT {
            return Ok(None);
        }
        if wanted == FORMAT {
            return Ok(Some(row.get(2)));
        }
        let mut types = Vec::new();
        for row in transaction.query(TYPES, &[&parameters::numbers(self)]).await.map_err(failure::classify)? {
            types.push(row.try_get(0).map_err(Error::internal)?);
        }
        if types.is_empty() {
            transaction.execute(DONE, &[&FORMAT]).await.map_err(failure::classify)?;
            transaction.commit().await.map_err(failure::classify)?;
            return Ok(None);
        }
        let row = transaction.query_one(NEXT_VERSION, &[]).await.map_err(failure::classify)?;
        let since: i64 = row.try_get(0).map_err(Error::internal)?;
        want(&transaction, &types, since).await.map_err(failure::classify)?;
        transaction.execute(WANTED, &[&FORMAT, &since]).await.map_err(failure::classify)?;
        transaction.commit().await.map_err(failure::classify)?;
        Ok(Some(since))
    }
}
