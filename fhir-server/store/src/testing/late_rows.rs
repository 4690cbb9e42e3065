//! Rows that become visible after their commit, as on a database of several machines.

use std::time::Duration;

use super::Random;

/// Makes the rows of a commit visible later than its claims: each in a transaction of its own, the rows' prepared before the
/// claims' is committed, and committed a random time after it. A commit takes two connections, and PostgreSQL must allow for
/// prepared transactions ([`late_rows_database`](super::late_rows_database)).
#[derive(Debug, Clone, Copy)]
pub struct LateRows {
    /// The shortest delay.
    pub delay_min: Duration,
    /// The longest delay.
    pub delay_max: Duration,
    /// In percent: how many commits are answered before their rows are visible, not after.
    pub answered_before: usize,
}

impl LateRows {
    /// From 0 to 50 ms, half of the commits answered before their rows are visible.
    pub const RANDOM: LateRows =
        LateRows { delay_min: Duration::ZERO, delay_max: Duration::from_millis(50), answered_before: 50 };
}

/// The transactions that are prepared so.
pub(crate) const PREPARED: &str = "select 'here', coalesce(string_agg(p.gid, ' '), '') from pg_prepared_xacts p \
     where p.gid like 'cari\\_%' and p.database = current_database()";

/// How one commit becomes visible.
pub(crate) struct LateCommit {
    /// The literal of its name.
    pub(crate) name: String,
    pub(crate) delay: Duration,
    pub(crate) is_answered_before: bool,
}

impl LateRows {
    pub(crate) fn next(&self) -> LateCommit {
        let number = fhir_database::random_id();
        let mut random = Random::new(number.cast_unsigned());
        let span = self.delay_max.saturating_sub(self.delay_min);
        let delay = self.delay_min + span.mul_f64(random.below(1001) as f64 / 1000.0);
        let is_answered_before = random.chance(self.answered_before);
        LateCommit { name: format!("'cari_{number:x}'"), delay, is_answered_before }
    }
}
