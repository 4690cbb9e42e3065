//! Users: made, found, changed.

use fhir_database::Transaction;
use fhir_database::failure::{classify, is_duplicate};
use fhir_model::{Error, Key, Kind, Result};
use tokio_postgres::Row;
use uuid::Uuid;

use super::codes::CodeKind;
use super::login_name::{LoginKind, LoginName};
use super::service::Accounts;
use crate::role::Role;

const CREATE: &str = "insert into access_user (id, first_name, last_name, password, roles, fhir_user, status, created_at) \
     values ($1, $2, $3, $4, $5, $6, 1, $7)";

const ADD_LOGIN: &str = "insert into access_login (name, kind, user_id, verified_at) values ($1, $2, $3, $4)";

const BY_ID: &str = "select u.id, u.first_name, u.last_name, u.roles, u.fhir_user, u.status, u.created_at \
     from access_user u where u.id = $1";

const BY_LOGIN: &str = "select u.id, u.first_name, u.last_name, u.roles, u.fhir_user, u.status, u.created_at \
     from access_user u join access_login l on l.user_id = u.id where l.name = $1";

const LOGINS: &str =
    "select l.name, l.kind, l.verified_at from access_login l where l.user_id = $1 order by l.kind, l.name";

const LIST: &str = "select u.id, u.first_name, u.last_name, u.roles, u.fhir_user, u.status, u.created_at \
     from access_user u order by u.created_at, u.id limit $1 offset $2";

const MEMBERSHIPS: &str = "select count(*) from access_member m where m.user_id = $1";

const SET_PASSWORD: &str = "update access_user set password = $2 where id = $1";
const SET_ROLES: &str = "update access_user set roles = $2 where id = $1";
const SET_STATUS: &str = "update access_user set status = $2 where id = $1";
const SET_ORGANIZATION: &str = "update access_user set organization = $2 where id = $1";

/// Somebody who is to get an account.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The number that the account gets.
    pub id: Uuid,
    /// `Jane`
    pub first_name: String,
    /// `Doe`
    pub last_name: String,
    /// By what it signs in, and whether that is known to be theirs.
    pub logins: Vec<(LoginName, bool)>,
    /// Roles of the platform.
    pub roles: Vec<&'static str>,
    /// The resource of the platform that it is.
    pub fhir_user: Option<Key>,
}

/// Somebody who has an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: Uuid,
    /// `Jane`
    pub first_name: String,
    /// `Doe`
    pub last_name: String,
    /// Roles of the platform.
    pub roles: Vec<String>,
    /// The resource of the platform that it is, as a reference.
    pub fhir_user: Option<String>,
    /// False for one that may not sign in.
    pub is_active: bool,
    /// When it got its account, in microseconds since 1970.
    pub created_at: i64,
}

/// A name that a user signs in by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub name: LoginName,
    /// Whether it is known to be theirs.
    pub is_verified: bool,
}

impl User {
    fn new(row: &Row) -> User {
        User {
            id: row.get(0),
            first_name: row.get(1),
            last_name: row.get(2),
            roles: row.get(3),
            fhir_user: row.get(4),
            is_active: row.get::<_, i16>(5) == ACTIVE,
            created_at: row.get(6),
        }
    }
}

/// Of a user or an organisation.
pub(super) const ACTIVE: i16 = 1;
pub(super) const SUSPENDED: i16 = 2;

impl Accounts {
    /// Makes an account, with a password where one is given, which has been checked.
    ///
    /// # Errors
    ///
    /// `Conflict` when one of the names is somebody else's.
    pub async fn create_user(&self, user: &NewUser, password: Option<&str>) -> Result<()> {
        let hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        self.create_user_by(user, hash.as_deref()).await
    }

    /// The same, with a password that is hashed.
    ///
    /// # Errors
    ///
    /// `Conflict` when one of the names is somebody else's.
    pub async fn create_user_by(&self, user: &NewUser, hash: Option<&str>) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        self.insert_user(&transaction, user, hash).await?;
        transaction.commit().await.map_err(classify)
    }

    /// Makes the rows of an account, in a transaction of the caller's.
    pub(super) async fn insert_user(
        &self,
        transaction: &Transaction<'_>,
        user: &NewUser,
        hash: Option<&str>,
    ) -> Result<()> {
        let now = self.now();
        let fhir_user = user.fhir_user.as_ref().map(ToString::to_string);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&user.id, &user.first_name, &user.last_name, &hash, &user.roles, &fhir_user, &now];
        transaction.execute(CREATE, &values).await.map_err(classify)?;
        for (login, is_verified) in &user.logins {
            let verified_at = is_verified.then_some(now);
            let added = transaction
                .execute(ADD_LOGIN, &[&login.text, &login.kind.number(), &user.id, &verified_at])
                .await;
            added.map_err(|error| match is_duplicate(&error) {
                true => Error::new(Kind::Conflict, "there is an account of this name already"),
                false => classify(error),
            })?;
            if *is_verified && login.kind == LoginKind::Email {
                self.accept_invitations(transaction, user.id, &login.text).await?;
            }
        }
        Ok(())
    }

    /// Makes an account for a new member of an organisation, without a password.
    ///
    /// # Errors
    ///
    /// `Conflict` when one of the names is somebody else's, `Rule` for a role that the organisation does not have.
    pub async fn create_member(&self, user: &NewUser, organization: Uuid, roles: &[&str]) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        self.insert_user(&transaction, user, None).await?;
        self.set_user(&transaction, organization, user.id, roles).await?;
        self.commit_revocation(transaction, &[]).await
    }

    /// Refuses a password that is too short, too long, or known to others. `personal`: what is easily guessed of this user.
    ///
    /// # Errors
    ///
    /// `Value`, at `password`.
    pub fn check_password(&self, password: &str, personal: &[&str]) -> Result<()> {
        self.passwords.check(password, personal)
    }

    /// A user by its number.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn user(&self, id: Uuid) -> Result<Option<User>> {
        let row = self.client().await?.query_opt(BY_ID, &[&id]).await.map_err(classify)?;
        Ok(row.as_ref().map(User::new))
    }

    /// A user by a name that it signs in by.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn user_named(&self, name: &LoginName) -> Result<Option<User>> {
        let row = self.client().await?.query_opt(BY_LOGIN, &[&name.text]).await.map_err(classify)?;
        Ok(row.as_ref().map(User::new))
    }

    /// The names that a user signs in by.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn logins(&self, user: Uuid) -> Result<Vec<Login>> {
        let rows = self.client().await?.query(LOGINS, &[&user]).await.map_err(classify)?;
        let login = |row: &Row| {
            let kind = LoginKind::from_number(row.get(1))?;
            let is_verified = row.get::<_, Option<i64>>(2).is_some();
            Ok(Login { name: LoginName { kind, text: row.get(0) }, is_verified })
        };
        rows.iter().map(login).collect()
    }

    /// Users in the order in which they came.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn users(&self, limit: i64, offset: i64) -> Result<Vec<User>> {
        let rows = self.client().await?.query(LIST, &[&limit, &offset]).await.map_err(classify)?;
        Ok(rows.iter().map(User::new).collect())
    }

    /// Gives a user a password, which has been checked, and ends all its sessions.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn set_password(&self, user: Uuid, password: &str) -> Result<()> {
        let hash = self.passwords.hash(password).await?;
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        self.put_password(transaction, user, &hash).await
    }

    /// Puts a hash in the place of the former one: all sessions end, and all codes that a former password, or a forgotten one, gave.
    pub(super) async fn put_password(
        &self,
        transaction: Transaction<'_>,
        user: Uuid,
        hash: &str,
    ) -> Result<()> {
        transaction.execute(SET_PASSWORD, &[&user, &hash]).await.map_err(classify)?;
        for kind in [CodeKind::SecondFactor, CodeKind::SetPassword] {
            self.withdraw_codes(&*transaction, kind, user).await?;
        }
        let ended = self.end_sessions(&transaction, user, None).await?;
        self.commit_revocation(transaction, &ended).await
    }

    /// Hashes a password, which has been checked.
    ///
    /// # Errors
    ///
    /// `Throttled` when too many wait for theirs.
    pub async fn hash_password(&self, password: &str) -> Result<String> {
        self.passwords.hash(password).await
    }

    /// In how many organisations a user is a member, also where nobody acts for now.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn membership_count(&self, user: Uuid) -> Result<i64> {
        let row = self.client().await?.query_one(MEMBERSHIPS, &[&user]).await.map_err(classify)?;
        Ok(row.get(0))
    }

    /// Says what a user is on the platform. Takes effect at once.
    ///
    /// # Errors
    ///
    /// `Value` for a role that is none of the platform, `NotFound` for no user.
    pub async fn set_roles(&self, user: Uuid, roles: &[&str]) -> Result<()> {
        let roles = roles.iter().map(|name| Role::of_platform(name)).collect::<Result<Vec<_>>>()?;
        let roles: Vec<&str> = roles.iter().map(|role| role.name).collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        let changed = transaction.execute(SET_ROLES, &[&user, &roles]).await.map_err(classify)?;
        found(changed, "this user")?;
        self.commit_revocation(transaction, &[]).await
    }

    /// Lets a user sign in, or no longer: its sessions end then.
    ///
    /// # Errors
    ///
    /// `NotFound` for no user.
    pub async fn set_active(&self, user: Uuid, is_active: bool) -> Result<()> {
        let status = if is_active { ACTIVE } else { SUSPENDED };
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        let changed = transaction.execute(SET_STATUS, &[&user, &status]).await.map_err(classify)?;
        found(changed, "this user")?;
        let ended = if is_active { Vec::new() } else { self.end_sessions(&transaction, user, None).await? };
        self.commit_revocation(transaction, &ended).await
    }

    /// Says which organisation a user works for from now on, in all its sessions.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn set_current(&self, user: Uuid, organization: Uuid) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        transaction.execute(SET_ORGANIZATION, &[&user, &organization]).await.map_err(classify)?;
        self.commit_revocation(transaction, &[]).await
    }
}

/// `NotFound` when nothing was changed.
pub(super) fn found(changed: u64, what: &str) -> Result<()> {
    if changed == 0 { Err(Error::new(Kind::NotFound, format!("{what} is not known here"))) } else { Ok(()) }
}
