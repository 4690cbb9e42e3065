//! Codes that are sent or printed, and count once, whichever process is asked first.

use std::time::Duration;

use fhir_credentials::digest;
use fhir_database::failure::classify;
use fhir_model::Result;
use tokio_postgres::GenericClient;
use uuid::Uuid;

use super::service::{Accounts, micros};

const ISSUE: &str =
    "insert into access_code (digest, kind, user_id, detail, expires_at) values ($1, $2, $3, $4, $5)";

const WITHDRAW: &str =
    "delete from access_code where kind = $1 and user_id is not distinct from $2 and used_at is null";

const TAKE: &str = "update access_code set used_at = $3 where digest = $1 and kind = $2 and used_at is null and expires_at > $3 \
     returning user_id, detail";

const LOOK: &str = "select user_id, detail from access_code where digest = $1 and kind = $2 and used_at is null and expires_at > $3";

const SWEEP: &str = "delete from access_code where expires_at < $1";

/// What a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeKind {
    /// Says that what is sent to an address is received.
    VerifyAddress,
    /// Lets set a password.
    SetPassword,
    /// The second factor is still to come.
    SecondFactor,
    /// Makes the first administrator.
    FirstAdministrator,
    /// Stands for a second factor that was lost.
    Recovery,
}

impl CodeKind {
    fn number(self) -> i16 {
        match self {
            CodeKind::VerifyAddress => 1,
            CodeKind::SetPassword => 2,
            CodeKind::SecondFactor => 3,
            CodeKind::FirstAdministrator => 4,
            CodeKind::Recovery => 5,
        }
    }
}

/// What was said when a code was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeOwner {
    /// Whose it is.
    pub user: Option<Uuid>,
    /// What it is about: the address to verify.
    pub detail: String,
}

impl Accounts {
    /// Makes a code known. Those that a user has already stay good: who asks for one must not take away another's.
    pub(super) async fn issue_code(
        &self,
        client: &(impl GenericClient + Sync),
        (kind, code): (CodeKind, &str),
        owner: &CodeOwner,
        lifetime: Duration,
    ) -> Result<()> {
        let expires_at = self.now().saturating_add(micros(lifetime));
        let digest = digest(code);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&digest.as_slice(), &kind.number(), &owner.user, &owner.detail, &expires_at];
        client.execute(ISSUE, &values).await.map(drop).map_err(classify)
    }

    /// Takes all codes of a kind away from a user.
    pub(super) async fn withdraw_codes(
        &self,
        client: &(impl GenericClient + Sync),
        kind: CodeKind,
        user: Uuid,
    ) -> Result<()> {
        client.execute(WITHDRAW, &[&kind.number(), &Some(user)]).await.map(drop).map_err(classify)
    }

    /// Uses a code up. Returns `None` for one that there is not, that was used, or that has expired.
    pub(super) async fn take_code(
        &self,
        client: &(impl GenericClient + Sync),
        kind: CodeKind,
        code: &str,
    ) -> Result<Option<CodeOwner>> {
        let digest = digest(code);
        let row = client.query_opt(TAKE, &[&digest.as_slice(), &kind.number(), &self.now()]).await;
        Ok(row.map_err(classify)?.map(|row| CodeOwner { user: row.get(0), detail: row.get(1) }))
    }

    /// Whose a code is, without using it.
    pub(super) async fn look_at_code(&self, kind: CodeKind, code: &str) -> Result<Option<CodeOwner>> {
        let digest = digest(code);
        let client = self.client().await?;
        let row = client.query_opt(LOOK, &[&digest.as_slice(), &kind.number(), &self.now()]).await;
        Ok(row.map_err(classify)?.map(|row| CodeOwner { user: row.get(0), detail: row.get(1) }))
    }

    pub(super) async fn sweep_codes(&self) -> Result<()> {
        self.client().await?.execute(SWEEP, &[&self.now()]).await.map(drop).map_err(classify)
    }
}
