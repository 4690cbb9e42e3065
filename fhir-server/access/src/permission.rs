//! Permissions: what somebody may do, as codes. A role is a set of them.

use std::fmt;

use fhir_model::{Error, Result};

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What somebody may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[$doc])* $name,)*
        }

        impl Permission {
            /// All of them.
            pub const ALL: &'static [Permission] = &[$(Permission::$name,)*];

            /// Its code, as roles and `/v1/me` have it.
            pub fn code(self) -> &'static str {
                match self {
                    $(Permission::$name => $code,)*
                }
            }
        }
    };
}

permissions! {
    /// Change an organisation's own data.
    UpdateOrganization = "organizations.update",
    /// Add and remove members, and say what roles they have.
    ManageMembers = "organizations.manage_members",
    /// Claim domains.
    ManageDomains = "organizations.manage_domains",
    /// Make, suspend and remove organisations, and act in any of them.
    ManageOrganizations = "organizations.manage_all",
    /// See the organisation's patients.
    ViewPatients = "patients.view_org",
    /// See one's own record.
    ViewSelf = "patients.view_self",
    /// Register patients.
    OnboardPatients = "patients.onboard",
    /// Remove patients.
    DeletePatients = "patients.delete",
    /// See the server as a patient does.
    ImpersonatePatients = "patients.impersonate",
    /// See specialists.
    ViewSpecialists = "specialists.view",
    /// Add specialists.
    CreateSpecialists = "specialists.create",
    /// Remove specialists.
    DeleteSpecialists = "specialists.delete",
    /// See services.
    ViewServices = "services.view_org",
    /// Add, change and remove services.
    ManageServices = "services.manage",
    /// Sign forms.
    SignForms = "forms.sign",
    /// Fill in the organisation's forms.
    FillForms = "forms.fill_org",
    /// Fill in one's own forms.
    FillOwnForms = "forms.fill_self",
    /// See who saw what.
    ViewAuditLog = "audit_log.view_org",
    /// Export a patient's data.
    ExportData = "gdpr.export_data",
    /// Erase a patient's data.
    EraseData = "gdpr.erase_data",
    /// Restrict what is done with a patient's data.
    RestrictProcessing = "gdpr.restrict_processing",
    /// Read clinical resources.
    ReadRecords = "records.read",
    /// Write clinical resources.
    WriteRecords = "records.write",
    /// Read administrative resources: patients, appointments, coverage, bills.
    ReadAdministration = "administration.read",
    /// Write administrative resources.
    WriteAdministration = "administration.write",
    /// Read who and what there is: organisations, practitioners, places, services.
    ReadDirectory = "directory.read",
    /// Write them.
    WriteDirectory = "directory.write",
    /// Write definitions: search parameters, profiles, terminology.
    WriteDefinitions = "definitions.write",
    /// Prescribe.
    Prescribe = "prescriptions.write",
    /// Record sessions, and have them transcribed.
    RecordSessions = "sessions.record",
    /// Ask for decision support.
    InvokeDecisionSupport = "cds.invoke",
    /// Change what decision support knows.
    ManageKnowledge = "cds.manage",
    /// Match, link and merge persons over organisations.
    ManageMpi = "mpi.manage",
    /// Evaluate and send reports on public health.
    ManagePublicHealth = "public_health.manage",
    /// See and change accounts of others.
    ManageAccounts = "accounts.manage",
    /// Look after the server: what failed in the background, how searches are answered, indexing anew.
    Administer = "server.administer",
}

impl Permission {
    /// The permission of a code.
    ///
    /// # Errors
    ///
    /// `Value` when there is none.
    pub fn parse(code: &str) -> Result<Permission> {
        let found = Permission::ALL.iter().find(|permission| permission.code() == code);
        found.copied().ok_or_else(|| Error::value(format!("`{code}` is not a permission")).at("permissions"))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u64);

impl Permissions {
    /// None.
    pub const NONE: Permissions = Permissions(0);

    /// Those of a list.
    pub const fn new(list: &[Permission]) -> Permissions {
        let (mut bits, mut rest) = (0, list);
        while let [first, further @ ..] = rest {
            bits |= 1 << *first as u64;
            rest = further;
        }
        Permissions(bits)
    }

    /// All that there are.
    pub const fn all() -> Permissions {
        Permissions::new(Permission::ALL)
    }

    /// True when it has this one.
    pub fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u64) != 0
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }

    /// Those that `other` has not.
    #[must_use]
    pub const fn without(self, other: Permissions) -> Permissions {
        Permissions(self.0 & !other.0)
    }

    /// True when `other` has all of them.
    pub fn is_within(self, other: Permissions) -> bool {
        self.0 & !other.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.has(*permission))
    }

    /// Their codes.
    pub fn codes(self) -> Vec<&'static str> {
        self.iter().map(Permission::code).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_has_a_code_and_a_bit_of_its_own() {
        assert!(Permission::ALL.len() <= 64);
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.code()).unwrap(), *permission);
            assert_eq!(Permissions::new(&[*permission]).codes(), [permission.code()]);
        }
        assert_eq!(Permissions::all().iter().count(), Permission::ALL.len());
        assert!(Permission::parse("patients.view_all").is_err() && Permission::parse("").is_err());
        let two = Permissions::new(&[Permission::Prescribe, Permission::SignForms]);
        assert!(two.is_within(Permissions::all()) && !Permissions::all().is_within(two));
        assert_eq!(two.without(Permissions::new(&[Permission::SignForms])).codes(), ["prescriptions.write"]);
    }
}
