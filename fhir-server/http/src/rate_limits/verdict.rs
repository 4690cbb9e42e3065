//! What a rate limit says of a request, and how its client is told.

use fhir_model::date::format_instant;
use fhir_model::{Error, Kind};
use hyper::header::{HeaderMap, HeaderName, RETRY_AFTER};

use super::window::Count;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What a rate limit says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(super) is_admitted: bool,
    /// Requests a minute.
    pub(super) limit: u32,
    /// How many more may come now.
    pub(super) remaining: u32,
    /// Seconds until the oldest request counts no longer.
    pub(super) resets_in: u64,
    /// When that is, in seconds since 1970.
    pub(super) resets_at: i64,
}

impl Verdict {
    /// At `now`, in microseconds since 1970.
    pub(super) fn new(count: Count, limit: u32, now: i64) -> Verdict {
        let micros = i64::try_from(count.resets_in.as_micros()).unwrap_or(i64::MAX);
        Verdict {
            is_admitted: count.is_admitted,
            limit,
            remaining: limit.saturating_sub(count.total),
            // Rounded up: who waits so long is admitted.
            resets_in: count.resets_in.as_micros().div_ceil(1_000_000).max(1) as u64,
            resets_at: now.saturating_add(micros).saturating_add(999_999).div_euclid(1_000_000),
        }
    }

    /// The error of a request that is refused. `whose`: `this address`.
    pub(super) fn error(&self, whose: &str) -> Error {
        let Verdict { limit, resets_in, resets_at, .. } = self;
        let at = format_instant(resets_at.saturating_mul(1_000_000));
        let text = format!(
            "too many requests of {whose}: at most {limit} a minute are answered here; the limit resets in {resets_in} s, at {at}"
        );
        Error::new(Kind::Throttled, text)
    }

    /// Tells the client.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, self.remaining.into());
        headers.insert(RESET, self.resets_at.into());
        if !self.is_admitted {
            headers.insert(RETRY_AFTER, self.resets_in.into());
        }
    }

    /// Of two limits that one request is subject to, the one that its client meets first.
    pub(crate) fn or_stricter(self, other: Verdict) -> Verdict {
        if (other.is_admitted, other.remaining) < (self.is_admitted, self.remaining) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_is_refused_is_told_until_when() {
        let count = Count { is_admitted: false, total: 300, resets_in: Duration::from_millis(16_200) };
        let verdict = Verdict::new(count, 300, 1_700_000_000_900_000);
        let text = "too many requests of this address: at most 300 a minute are answered here; the limit resets in 17 s, at \
                    2023-11-14T22:13:38.000Z";
        let error = verdict.error("this address");
        assert_eq!((error.kind, &*error.text), (Kind::Throttled, text));
        let mut headers = HeaderMap::new();
        verdict.write(&mut headers);
        let said = |name| headers.get(name).unwrap().to_str().unwrap();
        assert_eq!((said(LIMIT), said(REMAINING), said(RESET)), ("300", "0", "1700000018"));
        assert_eq!(said(RETRY_AFTER), "17");
        let admitted = Verdict { is_admitted: true, remaining: 5, ..verdict };
        assert_eq!(admitted.or_stricter(verdict), verdict);
        assert_eq!(verdict.or_stricter(admitted), verdict);
        assert_eq!(admitted.or_stricter(Verdict { remaining: 4, ..admitted }).remaining, 4);
        let mut headers = HeaderMap::new();
        admitted.write(&mut headers);
        assert!(!headers.contains_key(RETRY_AFTER));
    }
}
