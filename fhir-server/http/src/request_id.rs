//! Request ids: one name for a request in the answer, the logs of the server and those of its clients.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// `X-Request-Id`
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from a client.
const LENGTH_MAX: usize = 64;

/// Makes ids that differ between requests and between processes.
#[derive(Debug)]
pub struct RequestIds {
    seed: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Starts a new row of ids.
    pub fn new() -> RequestIds {
        RequestIds { seed: RandomState::new().hash_one(std::process::id()), next: AtomicU64::new(0) }
    }

    /// The client's id when it is a sane one (it goes to the log), else a new one.
    pub fn from_headers(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(sent) = headers.get(HEADER)
            && is_sane(sent.as_bytes())
        {
            return sent.clone();
        }
        self.new_id()
    }

    fn new_id(&self) -> HeaderValue {
        // An odd factor makes all 2^64 values differ and neighbours look unlike.
        let number =
            self.next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.seed;
        let mut text = [0; 16];
        for (place, digit) in text.iter_mut().enumerate() {
            let nibble = (number >> (60 - 4 * place)) as u32 & 15;
            *digit = char::from_digit(nibble, 16).unwrap_or('0') as u8;
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
    }
}

impl Default for RequestIds {
    fn default() -> RequestIds {
        RequestIds::new()
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LENGTH_MAX).contains(&id.len())
        && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_others_replaced() {
        let ids = RequestIds::new();
        let long = "a".repeat(65);
        for (sent, kept) in [
            ("4f1c-a_b.c:1", true),
            (&long[..64], true),
            (&long, false),
            ("a b", false),
            ("a\"b", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_str(sent).unwrap());
            let id = ids.from_headers(&headers);
            assert_eq!(id == sent, kept, "{sent}");
            assert!(is_sane(id.as_bytes()));
        }
    }

    #[test]
    fn new_ids_differ() {
        let ids = RequestIds::new();
        let made: std::collections::HashSet<_> =
            (0..1000).map(|_| ids.from_headers(&HeaderMap::new())).collect();
        assert_eq!(made.len(), 1000);
    }
}
