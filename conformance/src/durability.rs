//! What no page can show: that acknowledged writes survive the death of a process, and that of many writers one wins.
//!
//! Each is a command of its own, because each kills or needs processes: `crash`, `pg-crash`, `races`.

pub(crate) mod crash;
pub(crate) mod pg_crash;
pub(crate) mod races;
mod writer;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::client::{Request, Subject};

/// Checks made, and what they found wrong.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    passed: usize,
    failed: usize,
}

impl Checks {
    /// Prints the check with what is wrong, the first few in full, and counts it.
    fn note(&mut self, name: &str, wrong: &[String]) {
        const WRONG_SHOWN_MAX: usize = 5;
        if wrong.is_empty() {
            self.passed += 1;
            println!("ok     {name}");
            return;
        }
        self.failed += 1;
        println!("FAILED {name}: {} wrong", wrong.len());
        for line in wrong.iter().take(WRONG_SHOWN_MAX) {
            println!("         {line}");
        }
    }

    /// Prints the closing line. True when nothing failed.
    fn close(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}

/// Waits until the server answers `/metadata` with 200.
fn wait_until_up(base: &str, at_most: Duration) -> Result<Duration> {
    let start = Instant::now();
    loop {
        // A new client each time: an old connection may be to a process that is gone.
        let answer = Subject::new(base).send(&Request::new("GET", "/metadata?_elements=fhirVersion"));
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > at_most {
            bail!("{base} does not answer after {at_most:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A name for the data of this run.
fn run_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("d{}", now.as_millis())
}

/// Numbers without a pattern (splitmix64): good enough to choose moments and kinds of writes.
#[derive(Debug, Clone)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ now.subsec_nanos() as u64)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}
