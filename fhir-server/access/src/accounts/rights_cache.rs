//! What users may do, kept in memory; and how a process learns that others have changed it.
//!
//! Each change after which somebody may do less, or other things, raises the *access epoch*, a number in the database, in its own
//! transaction. A process looks at it several times a second, and in a request itself when it has not for a second: so what was
//! revoked ends at once on the process that did it, and within a second on all others. When the number cannot be read nobody is let in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fhir_database::Transaction;
use fhir_database::failure::classify;
use fhir_model::{Error, Key, Result};
use fhir_search::TenantId;
use tokio::sync::MutexGuard;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::known_rights::{Epoch, read, write};
use super::organizations::OF_PLATFORM_ALONE;
use super::service::{Accounts, micros};
use super::users::ACTIVE;
use crate::permission::{Permission, Permissions};
use crate::principal::unauthorized;
use crate::rights::{Membership, Rights};
use crate::role::Role;

const EPOCH: &str = "select rights, ended from access_epoch where id = 1";
const RAISE: &str =
    "update access_epoch set rights = rights + $1, ended = ended + $2 where id = 1 returning rights, ended";
const REVOKED: &str = "select id from access_revoked where until > $1";
const REVOKE: &str =
    "insert into access_revoked (id, until) select unnest($1::uuid[]), $2::int8 on conflict (id) do nothing";
const SWEEP: &str = "delete from access_revoked where until < $1";

const USER: &str =
    "select u.roles, u.fhir_user, u.organization from access_user u where u.id = $1 and u.status = $2";

/// One row for each role of each membership in an organisation that is active.
const MEMBERSHIPS: &str = "select m.organization_id, o.tenant, o.slug, m.patient, r.name, r.permissions from access_member m \
     join access_organization o on o.id = m.organization_id left join access_role r on r.organization_id = m.organization_id \
       and r.id = any(m.roles) \
     where m.user_id = $1 and o.status = $2 order by m.created_at, m.organization_id, r.name";

/// How often a process looks.
const INTERVAL: Duration = Duration::from_millis(300);

/// How old what it knows may be when a request relies on it.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Most users whose rights are kept.
const USERS_MAX: usize = 20_000;

impl Accounts {
    /// What a user may do.
    ///
    /// # Errors
    ///
    /// `Unauthorized` for a user who may not sign in any more.
    pub async fn rights(&self, user: Uuid) -> Result<Arc<Rights>> {
        self.ensure_fresh().await?;
        let version = {
            let known = read(&self.rights.known);
            if let Some(rights) = known.rights.get(&user) {
                return Ok(rights.clone());
            }
            known.version
        };
        let rights = Arc::new(self.load_rights(user).await?);
        let mut known = write(&self.rights.known);
        // What was read before a change is not kept for after it.
        if known.version == version {
            if known.rights.len() >= USERS_MAX {
                known.rights.clear();
            }
            known.rights.insert(user, rights.clone());
        }
        Ok(rights)
    }

    /// True for a token, or a session, that ended before its time.
    pub(super) fn is_revoked(&self, id: Uuid) -> bool {
        read(&self.rights.known).revoked.contains(&id)
    }

    async fn load_rights(&self, user: Uuid) -> Result<Rights> {
        let client = self.client().await?;
        let found = client.query_opt(USER, &[&user, &ACTIVE]).await.map_err(classify)?;
        let found = found.ok_or_else(unauthorized)?;
        let members = client.query(MEMBERSHIPS, &[&user, &ACTIVE]).await.map_err(classify)?;
        let (roles, fhir_user): (Vec<String>, Option<String>) = (found.get(0), found.get(1));
        // A role that this build does not know allows nothing.
        let known = roles.iter().filter_map(|name| Role::of_platform(name).ok());
        let permissions = known.fold(Permissions::NONE, |all, role| all.and(role.permissions));
        let memberships = memberships(&members)?;
        // Another process may have added them.
        memberships.iter().for_each(|member| self.store.learn_tenant(member.tenant, &member.slug));
        Ok(Rights {
            user,
            permissions,
            roles: roles.into_iter().map(String::into_boxed_str).collect(),
            fhir_user: fhir_user.and_then(|reference| key(&reference)),
            memberships,
            current: found.get(2),
        })
    }

    /// Looks at the database when that was not done for a second.
    async fn ensure_fresh(&self) -> Result<()> {
        let is_fresh = || read(&self.rights.fresh_until).is_some_and(|until| Instant::now() < until);
        if is_fresh() {
            return Ok(());
        }
        let looking = self.rights.looking.lock().await;
        // Somebody else has, while this one waited.
        if is_fresh() {
            return Ok(());
        }
        self.look(looking).await
    }

    /// Looks at the epoch, and forgets what was known of another one.
    async fn look(&self, looking: MutexGuard<'_, ()>) -> Result<()> {
        let client = self.client().await?;
        loop {
            let (began, version) = (Instant::now(), read(&self.rights.known).version);
            let row = client.query_one(EPOCH, &[]).await.map_err(classify)?;
            let epoch: Epoch = (row.get(0), row.get(1));
            let before = read(&self.rights.known).epoch;
            if before != Some(epoch) {
                let rows = client.query(REVOKED, &[&self.now()]).await.map_err(classify)?;
                let revoked = rows.iter().map(|row| row.get(0)).collect();
                let mut known = write(&self.rights.known);
                // This process changed something meanwhile, which may not be in what was read.
                if known.version != version {
                    continue;
                }
                // That somebody signed out is nothing to all others.
                if before.is_none_or(|(rights, _)| rights != epoch.0) {
                    known.rights.clear();
                }
                (known.version, known.epoch, known.revoked) = (version + 1, Some(epoch), revoked);
            }
            *write(&self.rights.fresh_until) = Some(began + AGE_MAX);
            drop(looking);
            return Ok(());
        }
    }

    /// Commits a change after which somebody may do less or other things, and ends these tokens and sessions: at once here, within a
    /// second elsewhere.
    pub(super) async fn commit_revocation(&self, transaction: Transaction<'_>, ended: &[Uuid]) -> Result<()> {
        self.commit_change(transaction, 1, ended).await
    }

    /// The same where sessions end, and nobody's rights are others.
    pub(super) async fn commit_endings(&self, transaction: Transaction<'_>, ended: &[Uuid]) -> Result<()> {
        self.commit_change(transaction, 0, ended).await
    }

    async fn commit_change(&self, transaction: Transaction<'_>, rights: i64, ended: &[Uuid]) -> Result<()> {
        if !ended.is_empty() {
            let lifetime = micros(TOKEN_LIFETIME_MAX) + micros(LEEWAY);
            transaction.execute(REVOKE, &[&ended, &(self.now() + lifetime)]).await.map_err(classify)?;
        }
        // Who changes the next thing waits here until this is committed: numbers are in the order of commits.
        let endings = i64::from(!ended.is_empty());
        let row = transaction.query_one(RAISE, &[&rights, &endings]).await.map_err(classify)?;
        let epoch: Epoch = (row.get(0), row.get(1));
        let committed = transaction.commit().await;
        let mut known = write(&self.rights.known);
        // Whether a commit took place may be unknown: it is taken for one, and the database asked.
        let follows = committed.is_ok() && known.epoch == Some((epoch.0 - rights, epoch.1 - endings));
        known.version += 1;
        if rights > 0 || !follows {
            known.rights.clear();
        }
        known.epoch = follows.then_some(epoch);
        known.revoked.extend(ended);
        if !follows {
            *write(&self.rights.fresh_until) = None;
        }
        committed.map_err(classify)
    }

    /// Looks at the epoch until `stop`, so that requests need not.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look_at_keys();
            let looking = self.rights.looking.lock().await;
            // Requests say so when it fails for a second.
            if let Err(error) = self.look(looking).await {
                tracing::debug!("the access epoch cannot be read: {error}");
            }
        }
    }

    pub(super) async fn sweep_revoked(&self) -> Result<()> {
        self.client().await?.execute(SWEEP, &[&self.now()]).await.map(drop).map_err(classify)
    }
}

/// The longest that a token may be good for, whatever the setting was when it was given.
const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(3600);

/// Tokens are taken for a while after they have ended, as clocks differ.
const LEEWAY: Duration = Duration::from_secs(120);

fn memberships(rows: &[Row]) -> Result<Vec<Membership>> {
    let mut all: Vec<Membership> = Vec::new();
    for row in rows {
        let organization: Uuid = row.get(0);
        let (role, codes): (Option<String>, Option<Vec<String>>) = (row.get(4), row.get(5));
        // A permission that this build does not know is none.
        let codes = codes.unwrap_or_default();
        let permissions: Vec<Permission> =
            codes.iter().filter_map(|code| Permission::parse(code).ok()).collect();
        let permissions = Permissions::new(&permissions).without(OF_PLATFORM_ALONE);
        match all.last_mut().filter(|last| last.organization == organization) {
            Some(last) => {
                last.permissions = last.permissions.and(permissions);
                last.roles.extend(role.map(String::into_boxed_str));
            }
            None => all.push(Membership {
                organization,
                tenant: TenantId::new(u16::try_from(row.get::<_, i32>(1)).map_err(Error::internal)?)?,
                slug: row.get::<_, String>(2).into(),
                roles: role.map(String::into_boxed_str).into_iter().collect(),
                permissions,
                patient: row.get::<_, Option<String>>(3).map(|id| Key::new("Patient", &*id)),
            }),
        }
    }
    Ok(all)
}

/// `Practitioner/1` as a key.
fn key(reference: &str) -> Option<Key> {
    reference.split_once('/').map(|(type_name, id)| Key::new(type_name, id))
}
