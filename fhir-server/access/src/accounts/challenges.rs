//! What somebody is asked to prove: that an address is theirs, that a password may be set anew, that nobody administers the server yet.

use std::time::Duration;

use fhir_credentials::{code, normalize_code, random_secret};
use fhir_database::failure::classify;
use fhir_model::{Error, Kind, Result};
use uuid::Uuid;

use super::codes::{CodeKind, CodeOwner};
use super::failures::Attempt;
use super::login_name::LoginName;
use super::service::Accounts;
use super::users::NewUser;
use crate::role::SUPER_ADMIN;

const VERIFY: &str =
    "update access_login set verified_at = coalesce(verified_at, $3) where name = $1 and user_id = $2";

/// Held until the end of the transaction, so that of two first administrators one is made.
const LOCK: &str = "select id from access_epoch where id = 1 for update";

const ANY_ADMIN: &str = "select exists (select from access_user u where u.roles @> array[$1::text])";

/// So many mails one after the other; then one has to wait, as attempts that fail.
const MAILS_MAX: i32 = 3;

/// How long a letter may be under way.
const VERIFY_LIFETIME: Duration = Duration::from_secs(86_400);
const RESET_LIFETIME: Duration = Duration::from_secs(3600);
/// How long a printed code may take to reach its user.
const PRINTED_LIFETIME: Duration = Duration::from_secs(86_400);
/// How long whoever installs the server may take.
const SETUP_LIFETIME: Duration = Duration::from_secs(86_400);

impl Accounts {
    /// A secret to send to an address, which proves that it is a user's.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn ask_for_verification(&self, user: Uuid, email: &str) -> Result<String> {
        let secret = random_secret();
        let owner = CodeOwner { user: Some(user), detail: email.to_owned() };
        let client = self.client().await?;
        self.issue_code(&**client, (CodeKind::VerifyAddress, &secret), &owner, VERIFY_LIFETIME).await?;
        Ok(secret)
    }

    /// An address is a user's, as what was sent there came back: it becomes a member wherever it was invited. The password is that of
    /// who registered: whoever owns the address must not let somebody in who registered it for them.
    ///
    /// # Errors
    ///
    /// `Gone` for a secret that was used, has expired, or never was; `Unauthorized` for a wrong password; `Throttled` after too many.
    pub async fn verify_address(&self, secret: &str, password: &str, address: Option<&str>) -> Result<Uuid> {
        let owner = self.look_at_code(CodeKind::VerifyAddress, secret).await?.ok_or_else(ended)?;
        self.check_current_password(owner.user.ok_or_else(ended)?, password, address).await?;
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        let owner =
            self.take_code(&*transaction, CodeKind::VerifyAddress, secret).await?.ok_or_else(ended)?;
        let user = owner.user.ok_or_else(ended)?;
        transaction.execute(VERIFY, &[&owner.detail, &user, &self.now()]).await.map_err(classify)?;
        self.accept_invitations(&transaction, user, &owner.detail).await?;
        self.commit_revocation(transaction, &[]).await?;
        Ok(user)
    }

    /// Whether one more mail may go to an address for now.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn may_send_mail(&self, email: &str) -> Result<bool> {
        self.may_ask("mail", email, MAILS_MAX).await
    }

    /// A secret to send to an address whose user has forgotten the password. Returns `None` for an address that nobody has.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn ask_for_password(&self, email: &LoginName) -> Result<Option<String>> {
        let Some(user) = self.user_named(email).await?.filter(|user| user.is_active) else { return Ok(None) };
        let secret = random_secret();
        self.issue_password_code(user.id, &secret, &email.text, RESET_LIFETIME).await?;
        Ok(Some(secret))
    }

    /// A code to print for a user who gets no mail: it lets set a password once.
    ///
    /// # Errors
    ///
    /// `NotFound` for no user.
    pub async fn print_password_code(&self, user: Uuid) -> Result<String> {
        self.user(user).await?.ok_or_else(|| Error::new(Kind::NotFound, "this user is not known here"))?;
        let printed = code(4, 4);
        self.issue_password_code(user, &normalize_code(&printed), "", PRINTED_LIFETIME).await?;
        Ok(printed)
    }

    async fn issue_password_code(
        &self,
        user: Uuid,
        secret: &str,
        email: &str,
        lifetime: Duration,
    ) -> Result<()> {
        let owner = CodeOwner { user: Some(user), detail: email.to_owned() };
        let client = self.client().await?;
        self.issue_code(&**client, (CodeKind::SetPassword, secret), &owner, lifetime).await
    }

    /// Sets a password by a secret that was sent or printed, and ends all sessions. What was sent to an address proves it.
    ///
    /// # Errors
    ///
    /// `Gone` for a secret that was used, has expired, or never was; `Throttled` after too many of these; `Value` for a password that will
    /// not do.
    pub async fn reset_password(&self, secret: &str, password: &str, address: Option<&str>) -> Result<Uuid> {
        let attempt = Attempt { kind: "password-code", name: "", address };
        if address.is_some() {
            self.count_attempt(attempt).await?;
        }
        let printed = normalize_code(secret);
        let mut owner = None;
        for code in [secret, &printed] {
            if owner.is_none() {
                owner = self.look_at_code(CodeKind::SetPassword, code).await?.map(|owner| (code, owner));
            }
        }
        let (code, owner) = owner.ok_or_else(ended)?;
        let user = owner.user.ok_or_else(ended)?;
        // Before the code is used up: who chose a bad one may choose another.
        let names: Vec<String> = self.logins(user).await?.into_iter().map(|login| login.name.text).collect();
        let found = self.user(user).await?.ok_or_else(ended)?;
        let personal: Vec<&str> =
            names.iter().map(String::as_str).chain([&*found.first_name, &*found.last_name]).collect();
        self.check_password(password, &personal)?;
        let hash = self.hash_password(password).await?;
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        self.take_code(&*transaction, CodeKind::SetPassword, code).await?.ok_or_else(ended)?;
        if !owner.detail.is_empty() {
            transaction.execute(VERIFY, &[&owner.detail, &user, &self.now()]).await.map_err(classify)?;
            self.accept_invitations(&transaction, user, &owner.detail).await?;
        }
        self.put_password(transaction, user, &hash).await?;
        drop(client);
        self.forgive(attempt).await?;
        Ok(user)
    }

    /// A secret by which the first administrator is made. Returns `None` when there is an administrator.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn ask_for_first_administrator(&self) -> Result<Option<String>> {
        let client = self.client().await?;
        let row = client.query_one(ANY_ADMIN, &[&SUPER_ADMIN]).await.map_err(classify)?;
        if row.get(0) {
            return Ok(None);
        }
        let secret = random_secret();
        let owner = CodeOwner { user: None, detail: String::new() };
        self.issue_code(&**client, (CodeKind::FirstAdministrator, &secret), &owner, SETUP_LIFETIME).await?;
        Ok(Some(secret))
    }

    /// True when a secret still makes the first administrator.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn is_first_administrator(&self, secret: &str) -> Result<bool> {
        Ok(self.look_at_code(CodeKind::FirstAdministrator, secret).await?.is_some())
    }

    /// Makes the first administrator, with a password that has been checked.
    ///
    /// # Errors
    ///
    /// `Gone` for a secret that was used, has expired, or never was, and when there is an administrator by now.
    pub async fn make_first_administrator(&self, secret: &str, user: &NewUser, password: &str) -> Result<()> {
        // Before a password is hashed for whoever asks.
        if !self.is_first_administrator(secret).await? {
            return Err(ended());
        }
        let hash = self.passwords.hash(password).await?;
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        transaction.query_one(LOCK, &[]).await.map_err(classify)?;
        let is_there = transaction.query_one(ANY_ADMIN, &[&SUPER_ADMIN]).await.map_err(classify)?;
        self.take_code(&*transaction, CodeKind::FirstAdministrator, secret).await?.ok_or_else(ended)?;
        if is_there.get(0) {
            return Err(ended());
        }
        let user = NewUser { roles: vec![SUPER_ADMIN], ..user.clone() };
        self.insert_user(&transaction, &user, Some(&hash)).await?;
        transaction.commit().await.map_err(classify)
    }
}

fn ended() -> Error {
    Error::new(Kind::Gone, "this link or code was used, or has expired")
}
