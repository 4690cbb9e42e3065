//! When the criteria of a transaction can be asked: those that name an entry wait until it has its id.

use fhir_model::{Error, Kind, Result};

use super::checked_entry::CheckedEntry;
use super::entry_error::in_entry;

/// Most rounds in which the criteria of a transaction are asked: each is a round of searches.
const QUERY_ROUNDS_MAX: usize = 8;

/// For each entry, how many others must have their ids before its criteria can be asked: 0 for nearly all.
///
/// # Errors
/// When criteria name each other, or too many wait for each other.
pub(super) fn rounds(entries: &[CheckedEntry<'_>]) -> Result<Vec<usize>> {
    let mut rounds: Vec<Option<usize>> =
        entries.iter().map(|checked| checked.names.is_empty().then_some(0)).collect();
    while rounds.iter().any(Option::is_none) {
        let mut moved = false;
        for (at, checked) in entries.iter().enumerate() {
            let before = checked.names.iter().map(|name| rounds.get(*name).copied().flatten());
            let last =
                before.collect::<Option<Vec<usize>>>().map(|all| all.into_iter().max().unwrap_or_default());
            if let (Some(turn @ None), Some(last)) = (rounds.get_mut(at), last) {
                if last == QUERY_ROUNDS_MAX {
                    let text = format!(
                        "its criteria wait for those of more than {QUERY_ROUNDS_MAX} entries, one after the other"
                    );
                    return Err(in_entry(Error::new(Kind::TooCostly, text), at));
                }
                *turn = Some(last + 1);
                moved = true;
            }
        }
        if let (false, Some(at)) = (moved, rounds.iter().position(Option::is_none)) {
            let text =
                "the criteria name an entry whose own criteria name this one, so none can be asked first";
            return Err(in_entry(Error::invalid(text), at));
        }
    }
    Ok(rounds.into_iter().flatten().collect())
}
