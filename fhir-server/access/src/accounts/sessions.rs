//! Sessions: a sign-in, and the tokens that follow from it.
//!
//! A refresh token is used once. Its second use within [`GRACE`] is that of a client that asked twice, and is refused; later, it
//! is that of a thief or of a victim, and the session ends for both.

use std::sync::Arc;
use std::time::Duration;

use fhir_credentials::{Claims, digest, random_secret};
use fhir_database::Transaction;
use fhir_database::failure::classify;
use fhir_model::Result;
use tokio_postgres::GenericClient;
use uuid::Uuid;

use super::token_cache::VerifiedToken;
use super::users::ACTIVE;
use super::{Accounts, micros};
use crate::principal::{SignedIn, unauthorized};

const OPEN: &str =
    "insert into access_session (id, user_id, created_at, expires_at, idle_max) values ($1, $2, $3, $4, $5)";

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
        let (id, now) = (Uuid::new_v4(), self.now());
        let expires_at = now.saturating_add(micros(self.options.session_lifetime));
        let idle_max = is_shared.then(|| micros(self.options.shared_idle_max));
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
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
        client.execute(ISSUE, &[&digest(&refresh).as_slice(), &session.id, &now]).await.map_err(classify)?;
        let lifetime = self.options.token_lifetime;
        let issuer = &self.options.issuer;
        let subject = session.user.to_string();
        let claims = Claims::new(issuer, &subject, issuer, now, now.saturating_add(micros(lifetime)));
        let access = self.keys.token_keys().sign(&Claims { session: Some(session.id), ..claims })?;
        let left = session.idle_max.map_or(session.expires_at, |idle| session.expires_at.min(now + idle));
        Ok(Tokens {
            access,
            refresh,
            user: session.user,
            session: session.id,
            access_lifetime: lifetime,
            refresh_lifetime: Duration::from_micros(u64::try_from(left - now).unwrap_or(0)),
        })
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
            Some(_) => self.commit_revocation(transaction, &[session]).await,
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
            Err(_) if self.keys.reload()? => {
                self.tokens.clear();
                self.keys.token_keys().verify(token, issuer, issuer, now)?
            }
            Err(error) => return Err(error),
        };
        let user = claims.subject.parse().map_err(|_| unauthorized())?;
        let session = claims.session.ok_or_else(unauthorized)?;
        let Claims { id, not_before, expires_at, .. } = claims;
        let verified = Arc::new(VerifiedToken { user, token: id, session, not_before, expires_at });
        self.tokens.insert(token, verified.clone(), now);
        Ok(verified)
    }

    /// Reads the directory of keys again: one may have been added, or taken away.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn reload_keys(&self) -> Result<()> {
        if self.keys.reload()? {
            self.tokens.clear();
        }
        Ok(())
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
