//! A database that was restored to an earlier state: what was acknowledged after that state is lost, but clients still
//! hold its ETags.
//!
//! Ids never come again, as they are made of the time, nor do commit timestamps, for the same reason. Versions are counted,
//! so the count jumps ahead: the version that follows is higher than any that can have been given.

use fhir_database::{Clock, Connections, Endpoint, failure};
use fhir_model::{Error, Kind, Result};

use crate::distribution;

/// More versions than one resource gets between a backup and the loss of its database.
const STEP: i32 = 1_000_000;

const VERSION_MIN: &str = "version.min";

/// Makes a restored database ready to go on. Called once after restoring, before any server opens it.
///
/// # Errors
///
/// When the database cannot be reached, is none of ours, is served at the moment, or was written in the future by the clock of
/// this machine.
pub async fn mark_restored(url: &str) -> Result<()> {
    let client = Endpoint::parse(url)?.connect().await?;
    // A backup made before the first start of a server holds no schema, and nothing to protect.
    let found = client
        .query_one("select to_regclass('resource') is not null", &[])
        .await
        .map_err(failure::classify)?;
    if !found.get::<_, bool>(0) {
        return Ok(());
    }
    distribution::refuse_running(&client).await?;
    let latest = "select coalesce(max(v.version), 0), coalesce(max(v.updated_at), 0) from (\
         select r.version, r.updated_at from resource r union all \
         select h.version, h.updated_at from resource_history h) v";
    let row = client.query_one(latest, &[]).await.map_err(failure::classify)?;
    let (version, updated_at): (i32, i64) = (row.get(0), row.get(1));
    if updated_at > Clock::default().now() {
        let text = "resources were changed in the future, by the clock of this machine: set it first";
        return Err(Error::new(Kind::Conflict, text));
    }
    let min = (version / STEP + 1).checked_mul(STEP);
    let min = min.ok_or_else(|| Error::new(Kind::Conflict, "there are no more versions to come"))?;
    let store = "insert into setting (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value";
    client.execute(store, &[&VERSION_MIN, &min.to_be_bytes().as_slice()]).await.map_err(failure::classify)?;
    // Those that wrote when the backup was made are gone: nobody waits for them.
    client.execute("delete from writer", &[]).await.map_err(failure::classify)?;
    Ok(())
}

/// The least version of a change: 1 where nothing was ever restored.
pub(crate) async fn version_min(connections: &Connections) -> Result<u32> {
    let client = connections.client().await?;
    let found = client
        .query_opt("select s.value from setting s where s.name = $1", &[&VERSION_MIN])
        .await
        .map_err(failure::classify)?;
    let Some(row) = found else { return Ok(1) };
    let value: Vec<u8> = row.get(0);
    let value = value.try_into().map_err(|_| Error::internal(format!("{VERSION_MIN} is damaged")))?;
    Ok(u32::from_be_bytes(value))
}
