//! Attempts that fail are counted, and soon have to wait: per account and address, per account, and per address.
//!
//! An attempt is counted before it is looked at, so that many at once are no way around; a right one takes the count back. Names
//! that nobody has are counted as all others.

use fhir_database::failure::classify;
use fhir_model::{Error, Kind, Result};

use super::service::Accounts;
use fhir_credentials::digest;

/// Counts an attempt, unless the subject has to wait: then no row is given.
const COUNT: &str = "insert into access_failure as f (subject, failures, last_at) values ($1::bytea, 1, $2::int8) \
     on conflict (subject) do update set \
       failures = case when f.last_at < $2::int8 - $5::int8 then 1 else f.failures + 1 end, last_at = $2::int8 \
     where f.failures < $3::int4 or f.last_at < $2::int8 - $4::int8 * (1::int8 << least(f.failures - $3::int4, 5)) \
     returning f.failures";

const FORGET: &str = "delete from access_failure where subject = any($1::bytea[])";

/// One right attempt among others of an address.
const TAKE_BACK: &str =
    "update access_failure set failures = greatest(failures - 1, 0) where subject = $1::bytea";

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
    /// Others are counted here, too.
    is_shared: bool,
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
    /// The narrowest first: what one address tries in vain does not count against the account for all others.
    fn subjects(&self) -> Vec<Subject> {
        let subject = |is_shared: bool, failures_max: i32, parts: [&str; 2]| {
            let text = [self.kind, parts[0], parts[1]].join("\n");
            Subject { digest: digest(&text), failures_max, is_shared }
        };
        let mut all = Vec::new();
        if let Some(address) = self.address {
            all.push(subject(false, 10, [address, self.name]));
            // A hospital behind one address.
            all.push(subject(true, 200, ["address", address]));
        }
        if !self.name.is_empty() {
            all.push(subject(false, 50, ["name", self.name]));
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

    /// Takes back what was counted, as the attempt was right: of the address this one alone, as others try from there, too.
    pub(super) async fn forgive(&self, attempt: Attempt<'_>) -> Result<()> {
        let (shared, own): (Vec<Subject>, Vec<Subject>) =
            attempt.subjects().into_iter().partition(|subject| subject.is_shared);
        let own: Vec<&[u8]> = own.iter().map(|subject| subject.digest.as_slice()).collect();
        let client = self.client().await?;
        client.execute(FORGET, &[&own]).await.map_err(classify)?;
        for subject in shared {
            client.execute(TAKE_BACK, &[&subject.digest.as_slice()]).await.map_err(classify)?;
        }
        Ok(())
    }

    /// Counts something that may be asked for so often, and no more for a while. Returns `false` for once too many.
    pub(super) async fn may_ask(&self, kind: &str, name: &str, times_max: i32) -> Result<bool> {
        let (client, now) = (self.client().await?, self.now());
        let digest = digest(&[kind, name].join("\n"));
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&digest.as_slice(), &now, &times_max, &WAIT, &FORGOTTEN_AFTER];
        Ok(client.query_opt(COUNT, &values).await.map_err(classify)?.is_some())
    }

    /// Removes counts that say nothing any more.
    pub(super) async fn sweep_failures(&self) -> Result<()> {
        let before = self.now() - FORGOTTEN_AFTER;
        self.client().await?.execute(SWEEP, &[&before]).await.map(drop).map_err(classify)
    }
}
