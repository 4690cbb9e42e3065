//! What is removed from an archive, and when.

use std::fs;

use super::clock::now;
use super::plan::Plan;
use super::seal;
use super::target::{Archive, Base};
use crate::error::{Error, IoContext, Result};

/// Removes base backups that are too old, and the WAL that no kept one needs. Called after a backup; before anything is
/// removed that one is read back, so the last good one never goes for one that was not written well.
pub(super) fn apply(archive: &Archive, plan: &Plan) -> Result<()> {
    let bases = archive.bases()?;
    let old = outdated(&bases, now(), plan.keep.as_secs(), plan.keep_min);
    let Some(newest) = bases.last() else { return Ok(()) };
    if !old.is_empty() {
        for part in &newest.parts {
            seal::check(&archive.path_of(newest), part)?;
        }
    }
    for base in &old {
        archive.remove(base)?;
    }
    let needed_from = bases.iter().filter(|base| !old.contains(base)).map(|base| base.start).min();
    let needed_from = needed_from.ok_or_else(|| Error::backup("no backup would be kept"))?;
    for piece in archive.wal()?.iter().filter(|piece| piece.end <= needed_from) {
        let path = archive.path_of_piece(piece);
        fs::remove_file(&path).doing("remove", &path)?;
        // The day's directory goes with its last piece; as long as it is not empty, it stays.
        let _ = path.parent().map(fs::remove_dir);
    }
    Ok(())
}

/// The backups to remove of those given, oldest first: older than `keep_secs`, and not among the last `keep_min`.
fn outdated(bases: &[Base], now: i64, keep_secs: u64, keep_min: usize) -> Vec<&Base> {
    let limit = now.saturating_sub_unsigned(keep_secs);
    // To go back `keep_secs` one needs the last backup that was complete by then.
    let anchor = bases.iter().filter(|base| base.finished_at <= limit).count().saturating_sub(1);
    let removable = bases.len().saturating_sub(keep_min.max(1)).min(anchor);
    bases.iter().take(removable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_and_what_the_period_needs_are_kept() {
        let base = |day: i64| Base { finished_at: day * 86_400, ..Base::new(day * 86_400) };
        let bases: Vec<Base> = (0..10).map(base).collect();
        let removed = |bases: &[Base], days: u64, min| outdated(bases, 9 * 86_400, days * 86_400, min).len();
        // Day 5 is needed to restore to what was between day 5 and day 6.
        assert_eq!(removed(&bases, 4, 1), 5);
        assert_eq!(removed(&bases, 0, 1), 9);
        assert_eq!(removed(&bases, 0, 3), 7);
        assert_eq!(removed(&bases, 0, 0), 9, "one is always kept");
        assert_eq!(removed(&bases, 100, 1), 0);
        assert_eq!(removed(&bases[..1], 0, 1), 0);
        assert_eq!(removed(&[], 0, 1), 0);
    }
}
