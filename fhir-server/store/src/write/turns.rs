//! What commits of several writes take first: claims, and turns on rows of their own.
//!
//! **On a database of several machines** all parts of a commit are prepared before the first becomes visible, but then they become
//! visible one after the other, and locks on them go one after the other. A claim or a turn may therefore be free while the
//! rows of who had it last are still to come:
//!
//! - Who takes a claim anew has waited for the row of the one before (`late_visibility.rs`), and has searched since.
//! - Who creates over a deletion inserts the row, for which it waits until the row that was deleted is gone, *and then* looks
//!   what came last in history. The history of a row is on its machine and becomes visible with it, so that no version is
//!   given twice. The turn alone would not do.
//! - Who deletes or updates locks the current row itself, on its machine.
//! - Who relies on the absence of a resource waits for all that is being committed (`preconditions.rs`).

use deadpool_postgres::Transaction;

use super::preconditions::Preconditions;
use super::prepared::PreparedWrite;
use super::row_statements::execute;
use super::write_failure::WriteFailure;
use crate::commit_clock::CommitTimestamp;
use crate::writers::MAY_WRITE;

/// Deletions, and creations over what was never there or was deleted, take turns on a row of their own: there is no
/// current row to lock that would tell the second of them what the first did.
const SEQUENCE: &str = "insert into claim (key, turn) select t.key, $2::int8 from unnest($1::int8[]) as t(key) \
     order by t.key on conflict (key) do update set turn = excluded.turn";

const CLAIM_NEW: &str = "insert into claim (key, turn, handle, version) select c.key, $4::int8, c.handle, c.version \
     from unnest($1::int8[], $2::int8[], $3::int4[]) as c(key, handle, version) \
     order by c.key on conflict (key) do nothing";

/// Later than the turn that was seen, whatever the clock of the process that took it: no turn comes twice.
const CLAIM_SEEN: &str = "update claim c set turn = greatest($5::int8, c.turn + 1), handle = s.handle, version = s.version \
     from unnest($1::int8[], $2::int8[], $3::int4[], $4::int8[]) as s(key, handle, version, seen) \
     where c.key = s.key and c.turn = s.seen";

/// Claims as columns.
#[derive(Default)]
struct ClaimColumns {
    keys: Vec<i64>,
    handles: Vec<Option<i64>>,
    versions: Vec<Option<i32>>,
    seen: Vec<i64>,
}

/// Takes all that the writes need. `Stale` when somebody else was faster.
pub(super) async fn take(
    transaction: &Transaction<'_>,
    ready: &[PreparedWrite<'_>],
    preconditions: &Preconditions,
    timestamp: &CommitTimestamp,
) -> Result<(), WriteFailure> {
    let at = timestamp.micros();
    let all =
        |done: u64, wanted: usize| if done == wanted as u64 { Ok(()) } else { Err(WriteFailure::Stale) };
    let statement = transaction.prepare_cached(MAY_WRITE).await?;
    if transaction.query_opt(&statement, &[&timestamp.writer()]).await?.is_none() {
        return Err(WriteFailure::Stale);
    }
    let (mut new, mut known) = (ClaimColumns::default(), ClaimColumns::default());
    for claim in &preconditions.claims {
        let columns = if claim.seen.is_none() { &mut new } else { &mut known };
        columns.keys.push(claim.key);
        columns.handles.push(claim.handle);
        columns.versions.push(claim.version);
        columns.seen.extend(claim.seen);
    }
    if !new.keys.is_empty() {
        let done = execute(transaction, CLAIM_NEW, &[&new.keys, &new.handles, &new.versions, &at]).await?;
        all(done, new.keys.len())?;
    }
    if !known.keys.is_empty() {
        let ClaimColumns { keys, handles, versions, seen } = &known;
        all(execute(transaction, CLAIM_SEEN, &[keys, handles, versions, seen, &at]).await?, keys.len())?;
    }
    let mut turns: Vec<i64> = ready.iter().filter(|one| one.needs_sequence()).map(|one| one.handle).collect();
    // What must not be there is kept from coming by the turn.
    turns.extend(&preconditions.absent.handles);
    turns.sort_unstable();
    turns.dedup();
    if !turns.is_empty() {
        execute(transaction, SEQUENCE, &[&turns, &at]).await?;
    }
    Ok(())
}
