//! What one user may do, on the platform and in each of its organisations.

use fhir_model::{Error, Key, Kind, Result};
use fhir_search::TenantId;
use uuid::Uuid;

use crate::permission::Permission::{Administer, ManageOrganizations};
use crate::permission::{Permission, Permissions};

/// What one user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The user's number.
    pub user: Uuid,
    /// Its roles on the platform, such as `BASE:DOCTOR`.
    pub roles: Vec<Box<str>>,
    /// What these allow.
    pub permissions: Permissions,
    /// The user as a resource of the platform: `Practitioner/..` or `Patient/..`.
    pub fhir_user: Option<Key>,
    /// Its organisations, in the order in which it came to them.
    pub memberships: Vec<Membership>,
    /// The organisation that it chose to work for.
    pub current: Option<Uuid>,
}

/// What a user is in one organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The organisation's number.
    pub organization: Uuid,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name in urls.
    pub slug: Box<str>,
    /// The names of the user's roles there.
    pub roles: Vec<Box<str>>,
    /// What these allow.
    pub permissions: Permissions,
    /// The user as a patient of the organisation.
    pub patient: Option<Key>,
}

impl Rights {
    /// True for who may act in every organisation.
    pub fn is_superadmin(&self) -> bool {
        self.permissions.has(ManageOrganizations)
    }

    /// The membership in a tenant.
    pub fn membership(&self, tenant: TenantId) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.tenant == tenant)
    }

    /// What may be done in a tenant. What a role of the platform allows counts on the platform: a doctor of none is no doctor of
    /// an organisation.
    pub fn permissions_in(&self, tenant: TenantId) -> Permissions {
        let here = self.membership(tenant).map_or(Permissions::NONE, |member| member.permissions);
        match self.is_superadmin() || tenant == TenantId::PLATFORM || self.looks_after(tenant) {
            true => here.and(self.permissions),
            false => here,
        }
    }

    /// True for the default organisation, where definitions take effect for all, of who looks after the server.
    fn looks_after(&self, tenant: TenantId) -> bool {
        tenant == TenantId::DEFAULT && self.permissions.has(Administer)
    }

    /// True when a permission is there in some organisation, or on the platform.
    pub fn holds(&self, permission: Permission) -> bool {
        let in_organization = |membership: &Membership| membership.permissions.has(permission);
        self.permissions.has(permission) || self.memberships.iter().any(in_organization)
    }

    /// True for who has a permission over an organisation: as a member, or by a role of the platform, which counts in all of them.
    pub fn may_manage(&self, tenant: TenantId, permission: Permission) -> bool {
        self.permissions.has(permission) || self.permissions_in(tenant).has(permission)
    }

    /// True for who may give somebody these permissions in an organisation: whoever manages it and sees its records gives all roles; all
    /// others what they have themselves.
    pub fn may_give(&self, tenant: TenantId, permissions: Permissions) -> bool {
        let own = self.permissions_in(tenant);
        let manages_all = own.has(Permission::ManageMembers) && own.has(Permission::WriteRecords);
        manages_all || permissions.is_within(own)
    }

    /// True for who may know that there is an organisation.
    pub fn may_see(&self, tenant: TenantId) -> bool {
        self.may_enter(tenant) || self.permissions.has(Permission::UpdateOrganization)
    }

    /// The tenant of a request: the one of its base or header, else the user's current organisation while it is a member, else its
    /// first. Who is in none is on the platform, where it sees what is its own.
    ///
    /// # Errors
    ///
    /// `Forbidden` for an organisation that the user is not a member of, and when base and header name two.
    pub fn tenant(&self, base: Option<TenantId>, header: Option<TenantId>) -> Result<TenantId> {
        let named = match (base, header) {
            (Some(base), Some(header)) if base != header => {
                let text = "the base url and the header X-Organization-ID name two organisations";
                return Err(Error::new(Kind::Forbidden, text).at("http.x-organization-id"));
            }
            (base, header) => base.or(header),
        };
        let current = self.memberships.iter().find(|member| Some(member.organization) == self.current);
        let default = || match current.or(self.memberships.first()) {
            Some(member) => member.tenant,
            None if self.looks_after(TenantId::DEFAULT) => TenantId::DEFAULT,
            None => TenantId::PLATFORM,
        };
        match named {
            None => Ok(default()),
            Some(tenant) if self.may_enter(tenant) => Ok(tenant),
            Some(_) => Err(not_a_member()),
        }
    }

    fn may_enter(&self, tenant: TenantId) -> bool {
        let is_own = tenant == TenantId::PLATFORM && self.fhir_user.is_some();
        self.is_superadmin() || is_own || self.membership(tenant).is_some() || self.looks_after(tenant)
    }
}

/// The answer to who asks an organisation that it is not a member of, or one that there is not.
pub fn not_a_member() -> Error {
    Error::new(Kind::Forbidden, "you are not a member of this organisation")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::{APP_ADMIN, BASE_DOCTOR, ORG_STAFF, SUPER_ADMIN, SYSTEM_ROLES};

    fn permissions(name: &str) -> Permissions {
        SYSTEM_ROLES.iter().find(|role| role.name == name).unwrap().permissions
    }

    fn tenant(number: u16) -> TenantId {
        TenantId::new(number).unwrap()
    }

    fn rights(role: Option<&str>, tenants: &[u16]) -> Rights {
        let member = |number: &u16| Membership {
            organization: Uuid::from_u128(u128::from(*number)),
            tenant: tenant(*number),
            slug: "".into(),
            roles: vec![ORG_STAFF.into()],
            permissions: permissions(ORG_STAFF),
            patient: None,
        };
        Rights {
            user: Uuid::nil(),
            roles: role.map(Box::from).into_iter().collect(),
            permissions: role.map_or(Permissions::NONE, permissions),
            fhir_user: None,
            memberships: tenants.iter().map(member).collect(),
            current: None,
        }
    }

    #[test]
    fn which_organisation_is_asked() {
        let (ours, other) = (Some(tenant(16)), Some(tenant(17)));
        let member = rights(None, &[16, 18]);
        let chosen = Rights { current: Some(Uuid::from_u128(18)), ..member.clone() };
        let left = Rights { current: Some(Uuid::from_u128(17)), ..member.clone() };
        let admin = rights(Some(SUPER_ADMIN), &[]);
        let app = rights(Some(APP_ADMIN), &[]);
        let doctor = rights(Some(BASE_DOCTOR), &[]);
        // Who, the base, the header, and the tenant; `None`: forbidden.
        let rows = [
            (&member, None, None, Some(16)),
            (&chosen, None, None, Some(18)),
            (&left, None, None, Some(16)),
            (&member, ours, None, Some(16)),
            (&member, None, ours, Some(16)),
            (&chosen, None, ours, Some(16)),
            (&member, other, None, None),
            (&member, None, other, None),
            (&member, ours, other, None),
            (&member, other, ours, None),
            (&member, Some(TenantId::DEFAULT), None, None),
            (&admin, None, None, Some(0)),
            (&admin, other, None, Some(17)),
            (&admin, other, ours, None),
            (&app, None, None, Some(0)),
            (&app, other, None, None),
            (&doctor, None, None, Some(2)),
            (&doctor, ours, None, None),
            (&doctor, Some(TenantId::DEFAULT), None, None),
        ];
        for (at, (who, base, header, wanted)) in rows.into_iter().enumerate() {
            let found = who.tenant(base, header).ok().map(TenantId::number);
            assert_eq!(found, wanted, "row {at}");
        }
    }

    #[test]
    fn a_doctor_of_none_is_no_doctor_of_an_organisation() {
        let rights = rights(Some(BASE_DOCTOR), &[16]);
        assert!(rights.permissions_in(TenantId::PLATFORM).has(Permission::Prescribe));
        assert!(!rights.permissions_in(tenant(16)).has(Permission::Prescribe));
        assert!(rights.permissions_in(tenant(16)).has(Permission::WriteAdministration));
        assert_eq!(rights.permissions_in(tenant(17)), Permissions::NONE);
        assert!(rights.holds(Permission::Prescribe) && !rights.holds(Permission::ManageMpi));
    }
}
