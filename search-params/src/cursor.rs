//! Page links: keyset cursors, opaque and tamper-proof.
//!
//! A cursor is the sort values and the handle of the last resource of a page (keyset paging), with an HMAC over it
//! and over what the link belongs to (type and conditions), so that it can neither be forged nor be moved to
//! another search. Nothing of it is kept on the server: a link works on every process and after every restart.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use fhir_model::{Error, Kind, Result};

/// One sort value of a keyset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortValue {
    /// Dates, numbers, instants, handles.
    Number(i64),
    /// Texts.
    Text(String),
}

/// A keyset cursor: the page begins after this row, in the order of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The sort values of the row, one per sort key.
    pub sort_values: Vec<SortValue>,
    /// Its handle, which breaks ties.
    pub handle: i64,
    /// True for a `previous` link: the page ends before the row.
    pub backwards: bool,
    /// Within what the row, a match, includes, when that is more than a page holds: after the resource of this handle.
    pub within: Option<i64>,
}

/// The key of the HMAC: a secret of the database, and of how its index is made.
#[derive(Clone, Copy)]
pub struct Secret(pub [u8; 16]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The key for an index that is made in this way: a link names values to sort by as they were made, so that it ends with them.
    pub fn for_index(self, made_by: &str) -> Secret {
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(mac(&self, made_by, &[])) {
            *to = from;
        }
        Secret(key)
    }
}

/// Bytes of the HMAC that are kept.
pub(crate) const MAC_BYTES: usize = 16;

// What the first byte says.
const BACKWARDS: u8 = 1;
const WITHIN: u8 = 2;

impl Cursor {
    /// Where the last page ends: after all rows, read backwards. It has no sort values.
    pub fn end() -> Cursor {
        Cursor { sort_values: Vec::new(), handle: i64::MAX, backwards: true, within: None }
    }

    /// True for [`Cursor::end`].
    pub fn is_end(&self) -> bool {
        self.sort_values.is_empty()
    }

    /// The text that goes into the link.
    pub fn seal(&self, secret: &Secret, bound_to: &str) -> String {
        let within = if self.within.is_some() { WITHIN } else { 0 };
        let mut bytes = vec![if self.backwards { BACKWARDS } else { 0 } | within];
        bytes.extend(self.handle.to_be_bytes());
        bytes.extend(self.within.map(i64::to_be_bytes).into_iter().flatten());
        for place in &self.sort_values {
            match place {
                SortValue::Number(n) => {
                    bytes.push(0);
                    bytes.extend(n.to_be_bytes());
                }
                SortValue::Text(text) => {
                    bytes.push(1);
                    bytes.extend((text.len() as u32).to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        let mac = mac(secret, bound_to, &bytes);
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor of a link, if it is one of ours and belongs to this search.
    ///
    /// # Errors
    ///
    /// `Invalid` when the text was not sealed with this secret for this search, or was altered.
    pub fn open(text: &str, secret: &Secret, bound_to: &str) -> Result<Cursor> {
        let refused =
            || Error::new(Kind::Invalid, "the page link is not one of this server, or not of this search");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (body, sent) =
            bytes.split_at_checked(bytes.len().saturating_sub(MAC_BYTES)).ok_or_else(refused)?;
        let wanted = mac(secret, bound_to, body);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(wanted.as_slice(), sent)) {
            return Err(refused());
        }
        decode(body).ok_or_else(refused)
    }
}

pub(crate) fn mac(secret: &Secret, bound_to: &str, bytes: &[u8]) -> Vec<u8> {
    // An HMAC takes keys of every length, so the error cannot happen; were it to, no link would open.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret.0) else { return Vec::new() };
    mac.update(&(bound_to.len() as u64).to_be_bytes());
    mac.update(bound_to.as_bytes());
    mac.update(bytes);
    mac.finalize().into_bytes().iter().copied().take(MAC_BYTES).collect()
}

fn decode(body: &[u8]) -> Option<Cursor> {
    let (head, rest) = body.split_first()?;
    let (handle, mut rest) = rest.split_first_chunk::<8>()?;
    let mut within = None;
    if head & WITHIN != 0 {
        let (after, further) = rest.split_first_chunk::<8>()?;
        within = Some(i64::from_be_bytes(*after));
        rest = further;
    }
    let mut places = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        if *kind == 0 {
            let (number, after) = after.split_first_chunk::<8>()?;
            places.push(SortValue::Number(i64::from_be_bytes(*number)));
            rest = after;
        } else {
            let (length, after) = after.split_first_chunk::<4>()?;
            let (text, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            places.push(SortValue::Text(String::from_utf8(text.to_vec()).ok()?));
            rest = after;
        }
    }
    let handle = i64::from_be_bytes(*handle);
    Some(Cursor { sort_values: places, handle, backwards: head & BACKWARDS != 0, within })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_cursors_open_only_where_they_belong() {
        let secret = Secret([3; 16]);
        let cursor = Cursor {
            sort_values: vec![SortValue::Number(-5), SortValue::Text("müller".into())],
            handle: i64::MIN + 1,
            backwards: true,
            within: None,
        };
        for other in [Cursor { within: Some(-7), ..cursor.clone() }, Cursor::end()] {
            assert_eq!(Cursor::open(&other.seal(&secret, ""), &secret, "").unwrap(), other);
        }
        let text = cursor.seal(&secret, "Patient?name=a");
        assert_eq!(Cursor::open(&text, &secret, "Patient?name=a").unwrap(), cursor);
        assert!(Cursor::open(&text, &secret, "Patient?name=b").is_err());
        assert!(Cursor::open(&text, &Secret([4; 16]), "Patient?name=a").is_err());
        for i in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[i] = if forged[i] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(forged == text || Cursor::open(&forged, &secret, "Patient?name=a").is_err(), "{i}");
        }
        assert!(Cursor::open("", &secret, "").is_err());
    }
}
