//! Attempts that fail are counted, and soon have to wait: per account and address, per account, and per address.
//!
//! An attempt is counted before it is looked at, so that many at once are no way around; a right one takes the count back. Names
//! that nobody has are counted as all others.

use fhir_database::failure::classify;
use fhir_model::{Error, Kind, Result};

use super::Accounts;
use fhir_credentials::digest;

/// Counts an attempt, unless the subject has to wait: then no row is given.
const COUNT: &str = "insert into access_failure as f (subject, failures, last_at) values ($1::bytea, 1, $2::int8) \
     on conflict (subject) do update set \
       failures = case when f.last_at < $2::int8 - $5::int8 then 1 else f.failures + 1 end, last_at = $2::int8 \
     where f.failures < $3::int4 or f.last_at < $2::int8 - $4::int8 * (1::int8 << least(f.failures - $3::int4, 5)) \
     returning f.failures";

const FORGET: &str = "delete from access_failure where subject = any($1::bytea[])";

/// Removes counts that say nothing any more.
const SWEEP: &str = "delete from access_failure where last_at < $1::int8";

const SECOND: i64 = 1_000_000;

/// The first wait; each failure after it doubles it, up to 16 minutes.
const WAIT: i64 = 30 * SECOND;

/// After so long without an attempt the count begins anew.
const FORGOTTEN_AFTER: i64 = 86_400 * SECOND;

/// Something of which attempts are counted, and how many may fail before the next has to wait.
struct Subject {
    digest: [u8; 32],
    failures_max: i32,
}

/// Attempts of one kind, from one address, on one account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// What is tried: `sign-in`, `code`.
    pub(super) kind: &'static str,
    /// Whose account.
    pub(super) name: &'a str,
    /// From where; `None` where it is not known.
    pub(super) address: Option<&'a str>,
}

impl Attempt<'_> {
    fn subjects(&self) -> Vec<Subject> {
        let subject = |failures_max, parts: [&str; 2]| {
            let text = [self.kind, parts[0], parts[1]].join("\n");
            Subject { digest: digest(&text), failures_max }
        };
        let mut all = vec![subject(50, ["name", self.name])];
        if let Some(address) = self.address {
            all.push(subject(10, [address, self.name]));
            // A hospital behind one address.
            all.push(subject(200, ["address", address]));
        }
        all
    }
}

impl Accounts {
    /// Counts an attempt as failed, until [`forgive`](Accounts::forgive) says otherwise.
    ///
    /// # Errors
    ///
    /// `Throttled` when it has to wait: it is not looked at then.
    pub(super) async fn count_attempt(&self, attempt: Attempt<'_>) -> Result<()> {
        let (client, now) = (self.client().await?, self.now());
        for subject in attempt.subjects() {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&subject.digest.as_slice(), &now, &subject.failures_max, &WAIT, &FORGOTTEN_AFTER];
            if client.query_opt(COUNT, &values).await.map_err(classify)?.is_none() {
                let text = "too many attempts failed; wait a while, up to 16 minutes, and try again";
                return Err(Error::new(Kind::Throttled, text));
            }
        }
        Ok(())
    }

    /// Takes back what was counted, as the attempt was right. What was counted of the address stays: others try from there, too.
    pub(super) async fn forgive(&self, attempt: Attempt<'_>) -> Result<()> {
        let subjects = attempt.subjects();
        let own: Vec<&[u8]> = subjects.iter().take(2).map(|subject| subject.digest.as_slice()).collect();
        self.client().await?.execute(FORGET, &[&own]).await.map(drop).map_err(classify)
    }

    /// Removes counts that say nothing any more.
    pub(super) async fn sweep_failures(&self) -> Result<()> {
        let before = self.now() - FORGOTTEN_AFTER;
        self.client().await?.execute(SWEEP, &[&before]).await.map(drop).map_err(classify)
    }
}
