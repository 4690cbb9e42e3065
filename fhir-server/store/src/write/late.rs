//! A commit whose rows become visible after its claims: see [`LateRows`].

use crate::Store;
use crate::commit_clock::CommitTimestamp;
use crate::effect::Addition;
use crate::testing::LateRows;

use super::preconditions::Preconditions;
use super::prepared::PreparedWrite;
use super::write_failure::WriteFailure;
use super::{many, turns};

pub(super) async fn run(
    store: &Store,
    late_rows: &LateRows,
    ready: &[PreparedWrite<'_>],
    preconditions: &Preconditions,
    effects: &[Addition],
    timestamp: &CommitTimestamp,
) -> Result<(), WriteFailure> {
    let late = late_rows.next();
    let mut first = store.connections.client().await.map_err(WriteFailure::Other)?;
    let mut second = store.connections.client().await.map_err(WriteFailure::Other)?;
    let claims = first.transaction().await?;
    turns::take(&claims, ready, preconditions, timestamp).await?;
    let rows = second.transaction().await?;
    many::write(store, &rows, ready, preconditions, effects, timestamp).await?;
    rows.batch_execute(&["prepare transaction ", &late.name].concat()).await?;
    // There is none any more: so the driver knows.
    rows.commit().await?;
    claims.commit().await?;
    let show = async move {
        tokio::time::sleep(late.delay).await;
        second.batch_execute(&["commit prepared ", &late.name].concat()).await
    };
    match late.is_answered_before {
        true => drop(tokio::spawn(show)),
        false => show.await?,
    }
    Ok(())
}
