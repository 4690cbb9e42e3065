//! The roles of the product, as sets of permissions.
//!
//! Those of the platform are a user's own. Those of an organisation are templates: each organisation gets its own copy, beside
//! which it may make others.

use fhir_model::{Error, Result};

use crate::permission::Permission::*;
use crate::permission::Permissions;

/// A role with a name that the product gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// `ORG:DOCTOR`
    pub name: &'static str,
    /// What who has it may do.
    pub permissions: Permissions,
    /// True for a role in one organisation, false for one of the platform.
    pub is_of_organization: bool,
}

impl Role {
    /// The role without what stands before its colon: `DOCTOR`.
    pub fn short_name(name: &str) -> &str {
        name.split_once(':').map_or(name, |(_, short)| short)
    }

    /// A role of the platform by its name.
    ///
    /// # Errors
    ///
    /// `Value` when there is none.
    pub fn of_platform(name: &str) -> Result<&'static Role> {
        let found = SYSTEM_ROLES.iter().find(|role| !role.is_of_organization && role.name == name);
        found.ok_or_else(|| Error::value(format!("`{name}` is not a role of the platform")).at("roles"))
    }

    /// The roles that each organisation gets a copy of.
    pub fn of_organizations() -> impl Iterator<Item = &'static Role> {
        SYSTEM_ROLES.iter().filter(|role| role.is_of_organization)
    }
}

/// The role of who may do everything that is anybody's to do.
pub const SUPER_ADMIN: &str = "SUPER:ADMIN";
/// Who looks after the platform without seeing records.
pub const APP_ADMIN: &str = "APP:ADMIN";
/// Who manages an organisation.
pub const ORG_ADMIN: &str = "ORG:ADMIN";
/// A doctor of an organisation.
pub const ORG_DOCTOR: &str = "ORG:DOCTOR";
/// Who works in an organisation without treating anybody.
pub const ORG_STAFF: &str = "ORG:STAFF";
/// A patient of an organisation, who has an account.
pub const ORG_PATIENT: &str = "ORG:PATIENT";
/// A doctor of no organisation.
pub const BASE_DOCTOR: &str = "BASE:DOCTOR";
/// A patient of no organisation.
pub const BASE_PATIENT: &str = "BASE:PATIENT";

/// What a doctor may do, of what is doctors' alone.
const DOCTOR: Permissions =
    Permissions::new(&[Prescribe, RecordSessions, InvokeDecisionSupport, SignForms, FillForms]);

/// What nobody may do but doctors.
const DOCTORS_ALONE: Permissions = Permissions::new(&[Prescribe, RecordSessions]);

const PATIENT: Permissions = Permissions::new(&[ViewSelf, FillOwnForms]);

/// All of them.
pub const SYSTEM_ROLES: &[Role] = &[
    Role {
        name: SUPER_ADMIN,
        // Who may see all is no doctor by that.
        permissions: Permissions::all().without(DOCTORS_ALONE),
        is_of_organization: false,
    },
    Role {
        name: APP_ADMIN,
        permissions: Permissions::new(&[
            UpdateOrganization,
            ManageMembers,
            ManageDomains,
            ReadDirectory,
            WriteDefinitions,
            ManageKnowledge,
            ManageMpi,
            ManagePublicHealth,
            ManageAccounts,
            Administer,
        ]),
        is_of_organization: false,
    },
    Role { name: BASE_DOCTOR, permissions: DOCTOR, is_of_organization: false },
    Role { name: BASE_PATIENT, permissions: PATIENT, is_of_organization: false },
    Role {
        name: ORG_ADMIN,
        permissions: Permissions::new(&[
            UpdateOrganization,
            ManageMembers,
            ManageDomains,
            ViewPatients,
            OnboardPatients,
            DeletePatients,
            ImpersonatePatients,
            ViewSpecialists,
            CreateSpecialists,
            DeleteSpecialists,
            ViewServices,
            ManageServices,
            FillForms,
            ViewAuditLog,
            ExportData,
            EraseData,
            RestrictProcessing,
            ReadRecords,
            WriteRecords,
            ReadAdministration,
            WriteAdministration,
            ReadDirectory,
            WriteDirectory,
            InvokeDecisionSupport,
        ]),
        is_of_organization: true,
    },
    Role {
        name: ORG_DOCTOR,
        permissions: DOCTOR.and(Permissions::new(&[
            ViewPatients,
            OnboardPatients,
            ViewSpecialists,
            ViewServices,
            ReadRecords,
            WriteRecords,
            ReadAdministration,
            WriteAdministration,
            ReadDirectory,
        ])),
        is_of_organization: true,
    },
    Role {
        name: ORG_STAFF,
        permissions: Permissions::new(&[
            ViewPatients,
            OnboardPatients,
            ViewSpecialists,
            ViewServices,
            FillForms,
            ReadAdministration,
            WriteAdministration,
            ReadDirectory,
        ]),
        is_of_organization: true,
    },
    Role { name: ORG_PATIENT, permissions: PATIENT, is_of_organization: true },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::Permission;

    fn has(name: &str, permission: Permission) -> bool {
        SYSTEM_ROLES.iter().find(|role| role.name == name).unwrap().permissions.has(permission)
    }

    /// The path rules of the product: who may do what is behind them.
    #[test]
    fn path_rules() {
        let all = [
            SUPER_ADMIN,
            APP_ADMIN,
            ORG_ADMIN,
            ORG_DOCTOR,
            ORG_STAFF,
            ORG_PATIENT,
            BASE_DOCTOR,
            BASE_PATIENT,
        ];
        let rows: [(&str, Permission, &[&str]); 9] = [
            ("R01", ManageMpi, &[SUPER_ADMIN, APP_ADMIN]),
            ("R02", RecordSessions, &[ORG_DOCTOR, BASE_DOCTOR]),
            ("R03", Prescribe, &[ORG_DOCTOR, BASE_DOCTOR]),
            ("R04, R05", ManagePublicHealth, &[SUPER_ADMIN, APP_ADMIN]),
            ("R06", InvokeDecisionSupport, &[SUPER_ADMIN, ORG_ADMIN, ORG_DOCTOR, BASE_DOCTOR]),
            ("R07", ManageKnowledge, &[SUPER_ADMIN, APP_ADMIN]),
            ("require_org_admin", UpdateOrganization, &[SUPER_ADMIN, APP_ADMIN, ORG_ADMIN]),
            ("RequireSuperadmin", ManageOrganizations, &[SUPER_ADMIN]),
            ("records", ReadRecords, &[SUPER_ADMIN, ORG_ADMIN, ORG_DOCTOR]),
        ];
        for (rule, permission, wanted) in rows {
            for name in all {
                assert_eq!(has(name, permission), wanted.contains(&name), "{rule}: {name}");
            }
        }
    }

    #[test]
    fn names() {
        assert_eq!(Role::short_name("ORG:DOCTOR"), "DOCTOR");
        assert_eq!(Role::short_name("Head nurse"), "Head nurse");
        assert!(Role::of_platform(ORG_ADMIN).is_err() && Role::of_platform(APP_ADMIN).is_ok());
        assert_eq!(Role::of_organizations().count(), 4);
    }
}
