//! Who asks.

use std::sync::Arc;

use fhir_model::{Error, Kind, Result};
use fhir_search::TenantId;
use uuid::Uuid;

use crate::permission::Permission;
use crate::rights::Rights;

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Principal {
    /// Nobody we know by name.
    #[default]
    Anonymous,
    /// The server itself, by the name of the part of it that acts.
    System(&'static str),
    /// Somebody who signed in.
    User(Arc<SignedIn>),
}

impl Principal {
    /// A name that no other principal has: what is given out to one, a page link, is bound to it.
    pub fn name(&self) -> &str {
        match self {
            Principal::Anonymous => "",
            Principal::System(name) => name,
            Principal::User(user) => &user.name,
        }
    }

    /// The user who signed in.
    ///
    /// # Errors
    ///
    /// `Unauthorized` for anybody else.
    pub fn user(&self) -> Result<&Arc<SignedIn>> {
        match self {
            Principal::User(user) => Ok(user),
            _ => Err(unauthorized()),
        }
    }
}

/// A user who signed in, with what a request may do for it: one state of its rights, whatever changes meanwhile.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// `user:550e8400-e29b-41d4-a716-446655440000`
    name: Box<str>,
    /// The token's own number.
    pub token: Uuid,
    /// The session that it belongs to.
    pub session: Uuid,
    /// When the token ends, in microseconds since 1970.
    pub expires_at: i64,
    /// What the user may do.
    pub rights: Arc<Rights>,
}

impl SignedIn {
    /// Somebody with these rights.
    pub fn new(token: Uuid, session: Uuid, expires_at: i64, rights: Arc<Rights>) -> SignedIn {
        SignedIn { name: format!("user:{}", rights.user).into(), token, session, expires_at, rights }
    }

    /// The user's number.
    pub fn id(&self) -> Uuid {
        self.rights.user
    }

    /// Refuses who does not have a permission in an organisation.
    ///
    /// # Errors
    ///
    /// `Forbidden`.
    pub fn require(&self, tenant: TenantId, permission: Permission) -> Result<()> {
        match self.rights.permissions_in(tenant).has(permission) {
            true => Ok(()),
            false => Err(forbidden(permission)),
        }
    }
}

/// The one answer to whoever does not prove who it is.
pub fn unauthorized() -> Error {
    Error::new(Kind::Unauthorized, "Invalid or expired token")
}

/// The answer to who may not do something.
pub fn forbidden(permission: Permission) -> Error {
    Error::new(Kind::Forbidden, format!("this needs the permission {permission}"))
}
