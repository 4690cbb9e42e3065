//! Short links to searches whose criteria no URL can hold.
//!
//! The criteria are kept under a key, which follows from them and the database's secret: the same search has one key,
//! and nobody can guess another's. What a link carries is the key, sealed like a cursor.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir_model::{Error, Kind, Result};

use crate::cursor::{MAC_BYTES, Secret, mac};

/// What the criteria of a search are kept under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongSearch {
    /// The key.
    pub key: [u8; MAC_BYTES],
}

// What is sealed for one purpose is of no use for another. The texts that cursors are bound to begin with a digit.
const CRITERIA: &str = "criteria ";
const LINK: &str = "link to criteria ";

impl LongSearch {
    /// The key of criteria; `bound_to`: who asks, and where.
    pub fn new(criteria: &str, secret: &Secret, bound_to: &str) -> LongSearch {
        let key = mac(secret, &format!("{CRITERIA}{bound_to}"), criteria.as_bytes());
        LongSearch { key: key.first_chunk().copied().unwrap_or_default() }
    }

    /// The text that goes into a link.
    pub fn seal(&self, secret: &Secret, bound_to: &str) -> String {
        let seal = mac(secret, &format!("{LINK}{bound_to}"), &self.key);
        URL_SAFE_NO_PAD.encode([self.key.as_slice(), &seal].concat())
    }

    /// The key in a link.
    ///
    /// # Errors
    /// When the link was not sealed here, or for another caller or place.
    pub fn open(text: &str, secret: &Secret, bound_to: &str) -> Result<LongSearch> {
        let refused = || {
            Error::new(Kind::Invalid, "the page link is not one of this server, or not of this search")
                .at("_criteria")
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (key, seal) = bytes.split_first_chunk::<MAC_BYTES>().ok_or_else(refused)?;
        let wanted = mac(secret, &format!("{LINK}{bound_to}"), key);
        match bool::from(subtle::ConstantTimeEq::ct_eq(wanted.as_slice(), seal)) {
            true => Ok(LongSearch { key: *key }),
            false => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_open_only_where_they_belong() {
        let secret = Secret([3; 16]);
        let search = LongSearch::new("_id=a", &secret, "1:x Patient");
        assert_eq!(search, LongSearch::new("_id=a", &secret, "1:x Patient"));
        for other in [
            LongSearch::new("_id=b", &secret, "1:x Patient"),
            LongSearch::new("_id=a", &secret, "1:y Patient"),
            LongSearch::new("_id=a", &Secret([4; 16]), "1:x Patient"),
        ] {
            assert_ne!(search, other);
        }
        let link = search.seal(&secret, "1:x Patient");
        assert_eq!(LongSearch::open(&link, &secret, "1:x Patient").unwrap(), search);
        assert!(LongSearch::open(&link, &secret, "1:x Observation").is_err());
        assert!(LongSearch::open(&link, &Secret([4; 16]), "1:x Patient").is_err());
        for i in 0..link.len() {
            let mut forged = link.clone().into_bytes();
            forged[i] = if forged[i] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(forged == link || LongSearch::open(&forged, &secret, "1:x Patient").is_err(), "{i}");
        }
        for bad in ["", "AAAA", "!"] {
            assert!(LongSearch::open(bad, &secret, "1:x Patient").is_err(), "{bad}");
        }
    }
}
