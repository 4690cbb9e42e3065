//! The second factor: one-time codes by time (TOTP), and recovery codes for when the device is lost.

use std::time::Duration;

use fhir_credentials::{TotpSecret, normalize_code, recovery_codes};
use fhir_database::failure::classify;
use fhir_model::{Error, Kind, Result};
use uuid::Uuid;

use super::codes::{CodeKind, CodeOwner};
use super::failures::Attempt;
use super::service::Accounts;
use super::sign_in::wrong_code;

/// A secret that does not count yet makes room for another.
const ENROLL: &str = "insert into access_totp as t (user_id, secret, last_step) values ($1, $2, 0) \
     on conflict (user_id) do update set secret = excluded.secret, last_step = 0 where t.confirmed_at is null";

const SECRET: &str = "select secret, confirmed_at is not null from access_totp where user_id = $1";

/// Of several that send the same code at the same time, on whatever process, one is taken.
const TAKE_STEP: &str = "update access_totp set last_step = $2 where user_id = $1 and last_step < $2";

/// Of the secret whose code was taken: another may have taken its place meanwhile.
const CONFIRM: &str =
    "update access_totp set confirmed_at = coalesce(confirmed_at, $2) where user_id = $1 and secret = $3";

const REMOVE: &str = "delete from access_totp where user_id = $1";

/// What sealed secrets are for.
const PURPOSE: &str = "totp";

/// Recovery codes do not end by time.
const RECOVERY_LIFETIME: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What is shown once to who enrols.
#[derive(Clone)]
pub struct Enrollment {
    /// `otpauth://totp/..`, for a QR code.
    pub uri: String,
    /// The secret to type in.
    pub secret: String,
    /// Each stands for the second factor once.
    pub recovery_codes: Vec<String>,
}

impl std::fmt::Debug for Enrollment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrollment")
    }
}

impl Accounts {
    /// Begins to set up a second factor; it counts when a code of it was [confirmed](Accounts::confirm_second_factor).
    ///
    /// # Errors
    ///
    /// `Conflict` for who has one; `Unauthorized` for a wrong password, and without one for who signed in a while ago: a token that was
    /// stolen must not lock its owner out.
    pub async fn enroll_second_factor(
        &self,
        (user, session): (Uuid, Uuid),
        account: &str,
        password: Option<&str>,
    ) -> Result<Enrollment> {
        match password {
            Some(password) => self.check_current_password(user, password, None).await?,
            None if self.is_recent(session).await? => {}
            None => {
                let text = "sign in again, or send the password: `{\"password\":\"..\"}`";
                return Err(Error::new(Kind::Unauthorized, text));
            }
        }
        let secret = TotpSecret::generate();
        let sealed = self.keys.seal_keys().seal(PURPOSE, secret.bytes())?;
        let codes = recovery_codes();
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        let changed = transaction.execute(ENROLL, &[&user, &sealed]).await.map_err(classify)?;
        if changed == 0 {
            return Err(Error::new(Kind::Conflict, "there is a second factor already; remove it first"));
        }
        self.withdraw_codes(&*transaction, CodeKind::Recovery, user).await?;
        for code in &codes {
            let owner = CodeOwner { user: Some(user), detail: String::new() };
            let code = normalize_code(code);
            self.issue_code(&*transaction, (CodeKind::Recovery, &code), &owner, RECOVERY_LIFETIME).await?;
        }
        transaction.commit().await.map_err(classify)?;
        Ok(Enrollment {
            uri: secret.uri(ISSUER, account),
            secret: secret.secret_text(),
            recovery_codes: codes,
        })
    }

    /// The second factor counts from now on.
    ///
    /// # Errors
    ///
    /// `Value` for a wrong code, `Conflict` when none was begun.
    pub async fn confirm_second_factor(&self, user: Uuid, code: &str, address: Option<&str>) -> Result<()> {
        let attempt = attempt(&user.to_string(), address);
        self.count_attempt(attempt.borrowed()).await?;
        let sealed = match self.take_totp(user, code).await? {
            Totp::Right(sealed) => sealed,
            Totp::Wrong => return Err(Error::value("this code is wrong, or has ended").at("code")),
            Totp::None => return Err(Error::new(Kind::Conflict, "no second factor was begun")),
        };
        self.forgive(attempt.borrowed()).await?;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&user, &self.now(), &sealed];
        let confirmed = self.client().await?.execute(CONFIRM, &values).await.map_err(classify)?;
        match confirmed {
            0 => Err(Error::new(Kind::Conflict, "another second factor was begun meanwhile")),
            _ => Ok(()),
        }
    }

    /// Takes the second factor away, for a code of it.
    ///
    /// # Errors
    ///
    /// `Unauthorized` for a wrong code, `Throttled` after too many.
    pub async fn remove_second_factor(&self, user: Uuid, code: &str, address: Option<&str>) -> Result<()> {
        self.check_second_factor(user, code, address).await?;
        self.reset_second_factor(user).await
    }

    /// Takes the second factor away from a user who has lost it, for an administrator.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn reset_second_factor(&self, user: Uuid) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        transaction.execute(REMOVE, &[&user]).await.map_err(classify)?;
        self.withdraw_codes(&*transaction, CodeKind::Recovery, user).await?;
        transaction.commit().await.map_err(classify)
    }

    /// True for a user with a second factor that counts.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn has_second_factor(&self, user: Uuid) -> Result<bool> {
        let row = self.client().await?.query_opt(SECRET, &[&user]).await.map_err(classify)?;
        Ok(row.is_some_and(|row| row.get(1)))
    }

    /// Takes a code of the second factor, or a recovery code: each counts once.
    ///
    /// # Errors
    ///
    /// `Unauthorized` for a wrong one, `Throttled` after too many.
    pub(super) async fn check_second_factor(
        &self,
        user: Uuid,
        code: &str,
        address: Option<&str>,
    ) -> Result<()> {
        let attempt = attempt(&user.to_string(), address);
        self.count_attempt(attempt.borrowed()).await?;
        let is_right = match self.take_totp(user, code).await? {
            Totp::Right(_) => true,
            Totp::None => false,
            Totp::Wrong => {
                let code = normalize_code(code);
                let owner = self.look_at_code(CodeKind::Recovery, &code).await?;
                let is_theirs = owner.is_some_and(|owner| owner.user == Some(user));
                let client = self.client().await?;
                is_theirs && self.take_code(&**client, CodeKind::Recovery, &code).await?.is_some()
            }
        };
        if !is_right {
            return Err(wrong_code());
        }
        self.forgive(attempt.borrowed()).await
    }

    async fn take_totp(&self, user: Uuid, code: &str) -> Result<Totp> {
        let client = self.client().await?;
        let row = client.query_opt(SECRET, &[&user]).await.map_err(classify)?;
        let Some(row) = row else { return Ok(Totp::None) };
        let sealed: Vec<u8> = row.get(0);
        let secret = TotpSecret::from_bytes(&self.open_sealed(PURPOSE, &sealed)?)?;
        let Some(step) = secret.step(code, self.now()) else { return Ok(Totp::Wrong) };
        let taken = client.execute(TAKE_STEP, &[&user, &step]).await.map_err(classify)?;
        Ok(if taken == 1 { Totp::Right(sealed) } else { Totp::Wrong })
    }
}

/// What an authenticator shows above the code.
const ISSUER: &str = "Cari";

enum Totp {
    /// With the sealed secret that it is of.
    Right(Vec<u8>),
    Wrong,
    None,
}

/// An attempt at a user's second factor.
struct OwnedAttempt {
    user: String,
    address: Option<String>,
}

impl OwnedAttempt {
    fn borrowed(&self) -> Attempt<'_> {
        Attempt { kind: "second-factor", name: &self.user, address: self.address.as_deref() }
    }
}

fn attempt(user: &str, address: Option<&str>) -> OwnedAttempt {
    OwnedAttempt { user: user.to_owned(), address: address.map(str::to_owned) }
}
