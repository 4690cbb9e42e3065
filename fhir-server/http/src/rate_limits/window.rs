//! The law of a rate limit: requests of the last minute, by the second.
//!
//! Time is cut into seconds. A request in second `s` is admitted when fewer than the figure were admitted in the seconds
//! `s - 60` to `s`, which are 61 of them. What any 60 s contain lies within 61 such seconds, so that **no 60 s contain more
//! admitted requests than the figure**, wherever they begin: there is no burst at the edge of a minute. The price is that a
//! request counts for up to 61 s: **a request is refused only when the figure was admitted in the last 61 s**. Refused requests do
//! not count.

use std::time::Duration;

/// Seconds that count.
const SECONDS: u64 = 61;

/// Requests that were admitted, of one address or account.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// The last second that something was asked in.
    newest: u64,
    /// Of the seconds up to `newest`, each at its number modulo [`SECONDS`].
    counts: [u32; SECONDS as usize],
    total: u32,
}

/// What a counter says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) is_admitted: bool,
    /// Admitted requests that count, with this one.
    pub(super) total: u32,
    /// When the oldest of them counts no longer.
    pub(super) resets_in: Duration,
}

impl Window {
    pub(super) const EMPTY: Window = Window { newest: 0, counts: [0; SECONDS as usize], total: 0 };

    /// Asks for a request at `now`, since any beginning; an earlier time than before is taken for the same.
    pub(super) fn admit(&mut self, per_minute: u32, now: Duration) -> Count {
        self.advance(now.as_secs());
        let is_admitted = self.total < per_minute;
        if is_admitted && let Some(count) = self.counts.get_mut(place(self.newest)) {
            *count += 1;
            self.total += 1;
        }
        let ends = Duration::from_secs(self.oldest() + SECONDS);
        Count { is_admitted, total: self.total, resets_in: ends.saturating_sub(now) }
    }

    /// Whether nothing counts any more at `now`.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        now.as_secs() >= self.newest + SECONDS
    }

    fn advance(&mut self, second: u64) {
        if second >= self.newest + SECONDS {
            *self = Window { newest: second, ..Window::EMPTY };
        }
        while self.newest < second {
            self.newest += 1;
            if let Some(count) = self.counts.get_mut(place(self.newest)) {
                self.total -= *count;
                *count = 0;
            }
        }
    }

    /// The first second that something counts of.
    fn oldest(&self) -> u64 {
        let first = (self.newest + 1).saturating_sub(SECONDS);
        let counts = |second: &u64| self.counts.get(place(*second)).is_some_and(|count| *count > 0);
        (first..=self.newest).find(counts).unwrap_or(self.newest)
    }
}

fn place(second: u64) -> usize {
    (second % SECONDS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_place_is_free_again_when_its_second_is_over() {
        let mut window = Window::EMPTY;
        let begin = 1_000_500;
        for n in 1..=3 {
            let count = window.admit(3, millis(begin));
            assert_eq!(count, Count { is_admitted: true, total: n, resets_in: millis(60_500) });
        }
        let refused = window.admit(3, millis(begin + 20_000));
        assert_eq!(refused, Count { is_admitted: false, total: 3, resets_in: millis(40_500) });
        assert!(!window.admit(3, millis(begin + 60_499)).is_admitted);
        assert!(window.admit(3, millis(begin + 60_500)).is_admitted);
        // A clock that goes back frees nothing and breaks nothing.
        assert_eq!(window.admit(3, millis(0)).total, 2);
        assert!(!window.is_over(millis(begin + 120_000)) && window.is_over(millis(begin + 122_000)));
        assert!(!window.admit(0, millis(begin + 200_000)).is_admitted);
    }

    #[test]
    fn there_is_no_burst_at_the_edge_of_a_minute() {
        let mut window = Window::EMPTY;
        let admitted =
            |window: &mut Window, at| (0..1000).filter(|_| window.admit(600, millis(at)).is_admitted).count();
        assert_eq!(admitted(&mut window, 59_990), 600);
        for at in (60_000..119_990).step_by(10) {
            assert!(!window.admit(600, millis(at)).is_admitted, "{at}");
        }
        assert_eq!(admitted(&mut window, 120_000), 600);
    }

    /// Against a log of every admitted request, at times as they come.
    #[test]
    fn the_law_holds_at_all_times() {
        let seed: u64 = std::env::var("CARI_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for run in 0..200 {
            let per_minute = 1 + random(40) as u32;
            // Some runs are dense, some have pauses longer than a window.
            let pause = [20, 500, 3_000, 9_000, 90_000][random(5) as usize];
            let (mut window, mut log, mut now) = (Window::EMPTY, Vec::<u64>::new(), random(200_000));
            for _ in 0..600 {
                now += random(pause);
                let within = |log: &[u64], span: u64| log.iter().filter(|at| **at + span > now).count();
                let count = window.admit(per_minute, millis(now));
                if count.is_admitted {
                    log.push(now);
                    assert!(within(&log, 60_000) <= per_minute as usize, "seed {seed}, run {run}, at {now}");
                } else {
                    assert!(within(&log, 61_000) >= per_minute as usize, "seed {seed}, run {run}, at {now}");
                    assert!(count.resets_in > Duration::ZERO, "seed {seed}, run {run}, at {now}");
                }
                // What counts lies between the two, and ends when it is said to.
                assert!((within(&log, 60_000)..=within(&log, 61_000)).contains(&(count.total as usize)));
                let mut then = window.clone();
                let later = then.admit(u32::MAX, millis(now) + count.resets_in);
                assert!(later.total <= count.total, "seed {seed}, run {run}, at {now}");
            }
        }
    }
}
