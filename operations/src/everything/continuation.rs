//! Where a page of `$everything` ended: what its page links carry.

use fhir_model::{Error, Key, Result};
use fhir_search::cursor::{self, Cursor};

/// The end of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContinuationToken {
    /// After this member of a compartment: type, date, handle.
    Member((i32, i64, i64)),
    /// After this resource that the record refers to; `None` means before the first.
    Reference(Option<Key>),
    /// With several patients: after a member of this one's compartment, or after the patient alone.
    Patient {
        /// The patient's id; the position in the order of patients is last update and handle.
        id: String,
        /// Last update, in microseconds.
        updated_at: i64,
        /// Handle.
        handle: i64,
        /// The member.
        member: Option<(i32, i64, i64)>,
    },
}

impl ContinuationToken {
    /// As a cursor that can be sealed.
    pub(crate) fn cursor(&self) -> Cursor {
        use cursor::SortValue::{Number, Text};
        let (places, handle) = match self {
            ContinuationToken::Member((type_id, date, handle)) => {
                (vec![Number((*type_id).into()), Number(*date)], *handle)
            }
            ContinuationToken::Reference(key) => {
                (vec![Text(key.as_ref().map(Key::to_string).unwrap_or_default())], 0)
            }
            ContinuationToken::Patient { id, updated_at, handle, member } => {
                let mut places = vec![Text(id.clone()), Number(*updated_at)];
                if let Some((type_id, date, handle)) = member {
                    places.extend([Number((*type_id).into()), Number(*date), Number(*handle)]);
                }
                (places, *handle)
            }
        };
        Cursor { sort_values: places, handle, backwards: false, within: None }
    }

    /// From a cursor that was sealed here.
    pub(crate) fn from_cursor(cursor: Cursor) -> Result<ContinuationToken> {
        use cursor::SortValue::{Number, Text};
        let handle = cursor.handle;
        let type_id = |n: i64| i32::try_from(n).map_err(Error::internal);
        Ok(match cursor.sort_values.as_slice() {
            [Number(number), Number(date)] => ContinuationToken::Member((type_id(*number)?, *date, handle)),
            [Text(text)] => ContinuationToken::Reference(text.split_once('/').map(|(t, id)| Key::new(t, id))),
            [Text(id), Number(at)] => {
                ContinuationToken::Patient { id: id.clone(), updated_at: *at, handle, member: None }
            }
            [Text(id), Number(at), Number(number), Number(date), Number(of)] => {
                let member = Some((type_id(*number)?, *date, *of));
                ContinuationToken::Patient { id: id.clone(), updated_at: *at, handle, member }
            }
            _ => return Err(Error::invalid("the page link is not one of this operation")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_their_links() {
        let patient =
            |member| ContinuationToken::Patient { id: "a".into(), updated_at: 7, handle: -3, member };
        for place in [
            ContinuationToken::Member((5, i64::MIN, -9)),
            ContinuationToken::Reference(None),
            ContinuationToken::Reference(Some(Key::new("Organization", "o"))),
            patient(None),
            patient(Some((1, 2, 3))),
        ] {
            assert_eq!(ContinuationToken::from_cursor(place.cursor()).unwrap(), place);
        }
    }
}
