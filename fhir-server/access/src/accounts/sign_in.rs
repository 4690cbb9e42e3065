//! Signing in by a password, and by a second factor where there is one.

use std::time::Duration;

use fhir_credentials::{digest, random_secret};
use fhir_database::failure::classify;
use fhir_model::{Error, Kind, Result};
use uuid::Uuid;

use super::codes::{CodeKind, CodeOwner};
use super::failures::Attempt;
use super::login_name::{LoginKind, LoginName};
use super::service::Accounts;
use super::sessions::Tokens;
use super::users::ACTIVE;

const FIND: &str = "select u.id, u.password, u.status, l.kind, l.verified_at is not null, \
       exists (select from access_totp t where t.user_id = u.id and t.confirmed_at is not null) \
     from access_login l join access_user u on u.id = l.user_id where l.name = $1";

const HASH: &str = "select u.password from access_user u where u.id = $1 and u.status = 1";

const SET_HASH: &str = "update access_user set password = $2 where id = $1 and password = $3";

/// How long the second factor may take.
const CHALLENGE_LIFETIME: Duration = Duration::from_secs(300);

/// Somebody who wants to sign in.
#[derive(Clone)]
pub struct SignIn<'s> {
    /// An e-mail address, a phone number, or a name.
    pub name: &'s str,
    /// The password.
    pub password: &'s str,
    /// From which address.
    pub address: Option<&'s str>,
    /// On a computer that others use, too.
    pub is_shared: bool,
}

impl std::fmt::Debug for SignIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn")
    }
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInOutcome {
    /// They are in.
    Tokens(Tokens),
    /// A code of the second factor is to be sent with this.
    SecondFactor {
        /// What says who it is.
        challenge: String,
        /// How long it is good for.
        lifetime: Duration,
    },
}

impl Accounts {
    /// Signs somebody in.
    ///
    /// # Errors
    ///
    /// `Unauthorized`, in the same words and after the same work for a name that nobody has and for a wrong password; `Throttled` after
    /// too many of either. An address that is not verified is nobody's.
    pub async fn sign_in(&self, sign_in: SignIn<'_>) -> Result<SignInOutcome> {
        let name = LoginName::parse(sign_in.name).map(|name| name.text);
        // What nobody can be called is tried as well: it takes as long, and is counted.
        let name = name.unwrap_or_else(|_| format!("?{}", Uuid::from_bytes(half(digest(sign_in.name)))));
        let attempt = Attempt { kind: "sign-in", name: &name, address: sign_in.address };
        self.count_attempt(attempt).await?;
        let row = self.client().await?.query_opt(FIND, &[&name]).await.map_err(classify)?;
        let hash: Option<String> = row.as_ref().and_then(|row| row.get(1));
        let verified = self.passwords.verify(sign_in.password, hash.as_deref()).await?;
        let found = row.filter(|row| verified.is_right && row.get::<_, i16>(2) == ACTIVE);
        let Some(found) = found else { return Err(wrong()) };
        self.forgive(attempt).await?;
        let (user, kind, is_verified): (Uuid, i16, bool) = (found.get(0), found.get(3), found.get(4));
        let mut hash = hash;
        if let (true, Some(old)) = (verified.wants_new_hash, &hash) {
            let better = self.passwords.hash(sign_in.password).await?;
            let changed =
                self.client().await?.execute(SET_HASH, &[&user, &better, old]).await.map_err(classify)?;
            if changed == 1 {
                hash = Some(better);
            }
        }
        // In the same words, too: who registered the address of somebody else would learn whether there is an account.
        if self.options.verify_email && LoginKind::from_number(kind)? == LoginKind::Email && !is_verified {
            return Err(wrong());
        }
        if found.get::<_, bool>(5) {
            let challenge = random_secret();
            let detail = if sign_in.is_shared { SHARED } else { "" };
            let owner = CodeOwner { user: Some(user), detail: detail.to_owned() };
            let client = self.client().await?;
            self.issue_code(&**client, (CodeKind::SecondFactor, &challenge), &owner, CHALLENGE_LIFETIME)
                .await?;
            return Ok(SignInOutcome::SecondFactor { challenge, lifetime: CHALLENGE_LIFETIME });
        }
        Ok(SignInOutcome::Tokens(self.open_session_by(user, sign_in.is_shared, hash.as_deref()).await?))
    }

    /// The second step: a code of the second factor, or a recovery code, for a challenge, which is used up by the right one.
    ///
    /// # Errors
    ///
    /// `Unauthorized` for a wrong code, one that was used before, and a challenge that has ended; `Throttled` after too many.
    pub async fn answer_challenge(
        &self,
        challenge: &str,
        code: &str,
        address: Option<&str>,
    ) -> Result<Tokens> {
        let owner = self.look_at_code(CodeKind::SecondFactor, challenge).await?;
        let user = owner.and_then(|owner| owner.user).ok_or_else(wrong_code)?;
        let row = self.client().await?.query_opt(HASH, &[&user]).await.map_err(classify)?;
        let hash: Option<String> = row.as_ref().and_then(|row| row.get(0));
        self.check_second_factor(user, code, address).await?;
        let client = self.client().await?;
        // Two right answers at the same time: one of them counts.
        let owner =
            self.take_code(&**client, CodeKind::SecondFactor, challenge).await?.ok_or_else(wrong_code)?;
        drop(client);
        self.open_session_by(user, owner.detail == SHARED, hash.as_deref()).await
    }
}

impl Accounts {
    /// Changes a password. All sessions end, and one is opened.
    ///
    /// # Errors
    ///
    /// `Unauthorized` for a wrong password, `Value` for a new one that will not do, `Throttled` after too many wrong ones.
    pub async fn change_password(
        &self,
        (user, session): (Uuid, Uuid),
        current: &str,
        new: &str,
        address: Option<&str>,
    ) -> Result<Tokens> {
        self.check_current_password(user, current, address).await?;
        let names: Vec<String> = self.logins(user).await?.into_iter().map(|login| login.name.text).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.check_password(new, &names)?;
        let is_shared = self.is_shared(session).await?;
        self.set_password(user, new).await?;
        self.open_session(user, is_shared).await
    }

    /// Refuses who does not know a user's password.
    pub(super) async fn check_current_password(
        &self,
        user: Uuid,
        password: &str,
        address: Option<&str>,
    ) -> Result<()> {
        let name = user.to_string();
        let attempt = Attempt { kind: "password", name: &name, address };
        self.count_attempt(attempt).await?;
        let row = self.client().await?.query_opt(HASH, &[&user]).await.map_err(classify)?;
        let hash: Option<String> = row.as_ref().and_then(|row| row.get(0));
        if !self.passwords.verify(password, hash.as_deref()).await?.is_right {
            return Err(wrong());
        }
        self.forgive(attempt).await
    }

    /// Takes as long as a password does, of which nothing comes.
    ///
    /// # Errors
    ///
    /// When too many wait for theirs.
    pub async fn spend_a_password(&self, password: &str) -> Result<()> {
        self.passwords.hash(password).await.map(drop)
    }
}

/// The first half of a digest.
fn half(digest: [u8; 32]) -> [u8; 16] {
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or(0))
}

/// What is kept with a challenge of a shared computer.
const SHARED: &str = "shared";

/// The one answer to a name that nobody has and a wrong password.
fn wrong() -> Error {
    Error::new(Kind::Unauthorized, "Invalid credentials")
}

/// The one answer to a wrong code, and to one that has ended.
pub(super) fn wrong_code() -> Error {
    Error::new(Kind::Unauthorized, "Invalid or expired code")
}
