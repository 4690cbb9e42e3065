//! Other processes of the database, and the settings of the index that they go by.

use std::collections::HashMap;
use std::time::Duration;

use fhir_database::failure;
use fhir_model::{Error, Kind, Result};
use tokio::time::Instant;

use crate::Store;

/// How often it is looked whether others are gone.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long it is waited for a process that says nothing and is not removed.
const PATIENCE: Duration = Duration::from_secs(120);

const OTHERS: &str = "select w.id, w.heartbeat_at, w.index_settings from writer w \
     where w.id <> $1::int8 and w.index_settings <> $2::text";

impl Store {
    /// Returns when no other process uses other settings, or another format: one that was killed is waited for, as it may
    /// still write; what lives is not.
    pub(super) async fn wait_for_other_settings(&self) -> Result<()> {
        let (mut seen, began): (HashMap<i64, i64>, _) = (HashMap::new(), Instant::now());
        let mut told = false;
        loop {
            let client = self.connections.client().await?;
            let ours = self.indexed_by();
            let rows = client.query(OTHERS, &[&self.commit_clock.process(), &ours]).await;
            drop(client);
            let rows = rows.map_err(failure::classify)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                let (id, at): (i64, i64) =
                    (row.try_get(0).map_err(Error::internal)?, row.try_get(1).map_err(Error::internal)?);
                let lives = *seen.entry(id).or_insert(at) != at;
                if lives || began.elapsed() > PATIENCE {
                    let theirs: String = row.try_get(2).map_err(Error::internal)?;
                    return Err(others(&theirs, &ours));
                }
            }
            if !told {
                told = true;
                tracing::info!(
                    "waiting for a process that went by other settings of the index and did not take its leave"
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn others(theirs: &str, ours: &str) -> Error {
    let theirs = if theirs.is_empty() { "those of an earlier build" } else { theirs };
    let text = format!(
        "another process uses this database with other settings of the index, {theirs}, than this one, {ours}: stop it \
         first, or give both the same (`time_zone`, `fold_codes`, `referential_integrity`, `base_url`, `hosts`; without `base_url` also `listen`)"
    );
    Error::new(Kind::Unavailable, text)
}
