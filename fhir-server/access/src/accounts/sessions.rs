//! Sessions: a sign-in, and the tokens that follow from it.
//!
//! A refresh token is used once. Its second use within [`GRACE`] is that of a client that asked twice, and is refused; later, it
//! is that of a thief or of a victim, and the session ends for both.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use fhir_credentials::{Claims, digest, random_secret};
use fhir_database::Transaction;
use fhir_database::failure::classify;
use fhir_model::Result;
use tokio_postgres::GenericClient;
use uuid::Uuid;

use super::service::{Accounts, micros};
use super::token_cache::VerifiedToken;
use super::users::ACTIVE;
use crate::principal::{SignedIn, unauthorized};

const OPEN: &str =
    "insert into access_session (id, user_id, created_at, expires_at, idle_max) values ($1, $2, $3, $4, $5)";

const HASH: &str = "select u.password from access_user u where u.id = $1 and u.status = 1";

/// Held until the session is there: who changes the password ends it with all others.
const STILL: &str = "select u.id from access_user u \
     where u.id = $1 and u.status = 1 and u.password is not distinct from $2 for share";

const IS_SHARED: &str = "select s.idle_max is not null from access_session s where s.id = $1";

const OPENED: &str = "select s.created_at from access_session s where s.id = $1";

const ISSUE: &str = "insert into access_refresh_token (digest, session_id, issued_at) values ($1, $2, $3)";

/// Of several that use it at the same time, on whatever process, one does.
const USE: &str = "update access_refresh_token set used_at = $2 where digest = $1 and used_at is null returning session_id, issued_at";

const USED: &str = "select t.session_id, t.used_at, s.user_id from access_refresh_token t join access_session s on s.id = t.session_id \
     where t.digest = $1";

/// A session that still is one, of a user who may still sign in.
const ALIVE: &str = "select s.user_id, s.expires_at, s.idle_max from access_session s join access_user u on u.id = s.user_id \
     where s.id = $1 and s.ended_at is null and s.expires_at > $2 and u.status = $3";

const END: &str = "update access_session set ended_at = $2 where id = $1 and ended_at is null returning id";

const END_ALL: &str = "update access_session set ended_at = $2 where user_id = $1 and ended_at is null and id is distinct from $3 \
     returning id";

const SWEEP_TOKENS: &str = "delete from access_refresh_token t using access_session s where s.id = t.session_id and s.expires_at < $1";
const SWEEP: &str = "delete from access_session where expires_at < $1";

/// How long the second use of a refresh token is taken for a client's that asked twice.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long a sign-in counts as a proof of who it is.
const RECENT: Duration = Duration::from_secs(600);

/// How long sessions are kept after they have ended, so that a token of theirs is known for what it is.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What a client gets who signed in, or refreshed.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    /// For the header `Authorization`.
    pub access: String,
    /// For the next tokens.
    pub refresh: String,
    /// Whose they are.
    pub user: Uuid,
    /// The session that they belong to.
    pub session: Uuid,
    /// How long the first is good for.
    pub access_lifetime: Duration,
    /// How long the second is.
    pub refresh_lifetime: Duration,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Opens a session. `is_shared`: on a computer that others use, too, where it ends soon when nobody uses it.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn open_session(&self, user: Uuid, is_shared: bool) -> Result<Tokens> {
        let row = self.client().await?.query_opt(HASH, &[&user]).await.map_err(classify)?;
        let hash: Option<String> = row.ok_or_else(unauthorized)?.get(0);
        self.open_session_by(user, is_shared, hash.as_deref()).await
    }

    /// The same for who has proved a password, of which this is the hash: when it was changed meanwhile, there is no session.
    pub(super) async fn open_session_by(
        &self,
        user: Uuid,
        is_shared: bool,
        hash: Option<&str>,
    ) -> Result<Tokens> {
        let (id, now) = (Uuid::new_v4(), self.now());
        let expires_at = now.saturating_add(micros(self.options.session_lifetime));
        let idle_max = is_shared.then(|| micros(self.options.shared_idle_max));
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        let still = transaction.query_opt(STILL, &[&user, &hash]).await.map_err(classify)?;
        still.ok_or_else(unauthorized)?;
        transaction.execute(OPEN, &[&id, &user, &now, &expires_at, &idle_max]).await.map_err(classify)?;
        let tokens = self.issue(&*transaction, Session { id, user, expires_at, idle_max }).await?;
        transaction.commit().await.map_err(classify)?;
        Ok(tokens)
    }

    /// New tokens for a refresh token, which is used up by that.
    ///
    /// # Errors
    ///
    /// `Unauthorized` for one that is not known, was used, or is of a session that has ended.
    pub async fn refresh(&self, refresh: &str) -> Result<Tokens> {
        let (digest, now) = (digest(refresh), self.now());
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        let used = transaction.query_opt(USE, &[&digest.as_slice(), &now]).await.map_err(classify)?;
        let Some(used) = used else {
            return self.refused(transaction, &digest).await;
        };
        let (id, issued_at): (Uuid, i64) = (used.get(0), used.get(1));
        let alive = transaction.query_opt(ALIVE, &[&id, &now, &ACTIVE]).await.map_err(classify)?;
        let alive = alive.ok_or_else(unauthorized)?;
        let session = Session { id, user: alive.get(0), expires_at: alive.get(1), idle_max: alive.get(2) };
        if session.idle_max.is_some_and(|idle| issued_at.saturating_add(idle) < now) {
            self.end(transaction, id).await?;
            return Err(unauthorized());
        }
        let tokens = self.issue(&*transaction, session).await?;
        transaction.commit().await.map_err(classify)?;
        Ok(tokens)
    }

    /// A refresh token that is not there, or was used before.
    async fn refused(&self, transaction: Transaction<'_>, digest: &[u8; 32]) -> Result<Tokens> {
        let used = transaction.query_opt(USED, &[&digest.as_slice()]).await.map_err(classify)?;
        let Some(used) = used else { return Err(unauthorized()) };
        let (session, used_at): (Uuid, Option<i64>) = (used.get(0), used.get(1));
        if used_at.is_some_and(|at| at.saturating_add(micros(GRACE)) < self.now()) {
            let user: Uuid = used.get(2);
            tracing::warn!(%user, %session, "a refresh token was used again: the session ends");
            self.end(transaction, session).await?;
        }
        Err(unauthorized())
    }

    async fn issue(&self, client: &(impl GenericClient + Sync), session: Session) -> Result<Tokens> {
        let (refresh, now) = (random_secret(), self.now());
        let left = session.idle_max.map_or(session.expires_at, |idle| session.expires_at.min(now + idle));
        client.execute(ISSUE, &[&digest(&refresh).as_slice(), &session.id, &now]).await.map_err(classify)?;
        // On a shared computer a token ends before the session does, so that who uses it refreshes in time.
        let lifetime = match session.idle_max {
            Some(idle) => {
                self.options.token_lifetime.min(Duration::from_micros(u64::try_from(idle / 2).unwrap_or(0)))
            }
            None => self.options.token_lifetime,
        };
        let issuer = &self.options.issuer;
        let subject = session.user.to_string();
        let claims = Claims::new(issuer, &subject, issuer, now, now.saturating_add(micros(lifetime)));
        let access = self.keys.token_keys().sign(&Claims { session: Some(session.id), ..claims })?;
        Ok(Tokens {
            access,
            refresh,
            user: session.user,
            session: session.id,
            access_lifetime: lifetime,
            refresh_lifetime: Duration::from_micros(u64::try_from(left - now).unwrap_or(0)),
        })
    }

    /// True for a session on a computer that others use, too.
    pub(super) async fn is_shared(&self, session: Uuid) -> Result<bool> {
        let row = self.client().await?.query_opt(IS_SHARED, &[&session]).await.map_err(classify)?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    /// True for a session that was opened a short while ago: whoever it is has just proved it.
    pub(super) async fn is_recent(&self, session: Uuid) -> Result<bool> {
        let row = self.client().await?.query_opt(OPENED, &[&session]).await.map_err(classify)?;
        Ok(row.is_some_and(|row| row.get::<_, i64>(0) > self.now() - micros(RECENT)))
    }

    /// Ends a session: none of its tokens is good any more.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn end_session(&self, session: Uuid) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        self.end(transaction, session).await
    }

    /// Ends the session of a refresh token; of one that is not known none.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn end_session_of(&self, refresh: &str) -> Result<()> {
        let row =
            self.client().await?.query_opt(USED, &[&digest(refresh).as_slice()]).await.map_err(classify)?;
        match row {
            Some(row) => self.end_session(row.get(0)).await,
            None => Ok(()),
        }
    }

    async fn end(&self, transaction: Transaction<'_>, session: Uuid) -> Result<()> {
        let ended = transaction.query_opt(END, &[&session, &self.now()]).await.map_err(classify)?;
        match ended {
            Some(_) => self.commit_endings(transaction, &[session]).await,
            None => Ok(()),
        }
    }

    /// Ends all sessions of a user but one, in a transaction that [`commit_revocation`](Accounts::commit_revocation) ends.
    pub(super) async fn end_sessions(
        &self,
        transaction: &Transaction<'_>,
        user: Uuid,
        but: Option<Uuid>,
    ) -> Result<Vec<Uuid>> {
        let rows = transaction.query(END_ALL, &[&user, &self.now(), &but]).await.map_err(classify)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Who a token says it is.
    ///
    /// # Errors
    ///
    /// `Unauthorized`, in the same words whatever is wrong with it.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<SignedIn>> {
        let now = self.now();
        let verified = match self.tokens.get(token) {
            Some(verified) => verified,
            None => self.verify(token, now)?,
        };
        if verified.expires_at + micros(CLOCK_LEEWAY) <= now
            || verified.not_before - micros(CLOCK_LEEWAY) > now
        {
            return Err(unauthorized());
        }
        let rights = self.rights(verified.user).await?;
        if self.is_revoked(verified.token) || self.is_revoked(verified.session) {
            return Err(unauthorized());
        }
        let VerifiedToken { token, session, expires_at, .. } = *verified;
        Ok(Arc::new(SignedIn::new(token, session, expires_at, rights)))
    }

    fn verify(&self, token: &str, now: i64) -> Result<Arc<VerifiedToken>> {
        let issuer = &self.options.issuer;
        let claims = match self.keys.token_keys().verify(token, issuer, issuer, now) {
            Ok(claims) => claims,
            // By a key, perhaps, that was made since.
            Err(_) if self.look_at_keys() => self.keys.token_keys().verify(token, issuer, issuer, now)?,
            Err(error) => return Err(error),
        };
        let user = claims.subject.parse().map_err(|_| unauthorized())?;
        let session = claims.session.ok_or_else(unauthorized)?;
        let Claims { id, not_before, expires_at, .. } = claims;
        let verified = Arc::new(VerifiedToken { user, token: id, session, not_before, expires_at });
        self.tokens.insert(token, verified.clone(), now);
        Ok(verified)
    }

    /// Reads the directory of keys again, at most once a second: one may have been added, or taken away. Returns `true` when the keys
    /// are others.
    pub(super) fn look_at_keys(&self) -> bool {
        let mut looked_at = self.keys_looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if looked_at.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
            return false;
        }
        *looked_at = Some(Instant::now());
        match self.keys.reload() {
            Ok(true) => {
                self.tokens.clear();
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::error!("the keys cannot be read again: {error}");
                false
            }
        }
    }

    /// Opens what was sealed, perhaps with a key that was made since.
    ///
    /// # Errors
    ///
    /// When it cannot be opened with the keys of this server.
    pub fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let open = || self.keys.seal_keys().open(purpose, sealed).map(|plain| plain.to_vec());
        match open() {
            Err(_) if self.look_at_keys() => open(),
            opened => opened,
        }
    }

    /// Removes what has ended long ago.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn sweep(&self) -> Result<()> {
        let before = self.now().saturating_sub(micros(KEPT));
        let client = self.client().await?;
        client.execute(SWEEP_TOKENS, &[&before]).await.map_err(classify)?;
        client.execute(SWEEP, &[&before]).await.map_err(classify)?;
        drop(client);
        self.sweep_revoked().await?;
        self.sweep_codes().await?;
        self.sweep_failures().await
    }
}

/// By so much clocks may differ.
const CLOCK_LEEWAY: Duration = Duration::from_secs(60);

struct Session {
    id: Uuid,
    user: Uuid,
    expires_at: i64,
    idle_max: Option<i64>,
}
