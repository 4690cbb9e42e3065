//! The users of a demo: one of each kind of role, and a token to begin with.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use fhir_access::Accounts;
use fhir_access::accounts::login_name::LoginName;
use fhir_access::accounts::organizations::DEFAULT_SLUG;
use fhir_access::accounts::users::NewUser;
use fhir_access::role::{ORG_ADMIN, ORG_DOCTOR, ORG_STAFF, SUPER_ADMIN};
use uuid::Uuid;

/// The password of all of them.
pub(super) const PASSWORD: &str = "karibu-nakuru-2026";

/// A user of the demo.
pub(super) struct DemoUser {
    pub(super) email: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    pub(super) platform: &'static [&'static str],
    pub(super) roles: &'static [&'static str],
}

/// All of them; the first is signed in.
pub(super) const USERS: [DemoUser; 3] = [
    DemoUser {
        email: "doctor@demo.example.org",
        first_name: "Amina",
        last_name: "Odhiambo",
        platform: &[],
        // As in a small clinic, where one doctor does all.
        roles: &[ORG_ADMIN, ORG_DOCTOR],
    },
    DemoUser {
        email: "reception@demo.example.org",
        first_name: "Peter",
        last_name: "Mwangi",
        platform: &[],
        roles: &[ORG_STAFF],
    },
    DemoUser {
        email: "admin@demo.example.org",
        first_name: "Grace",
        last_name: "Mutua",
        platform: &[SUPER_ADMIN],
        roles: &[],
    },
];

/// Who registers with this address becomes a doctor of the demo's organisation: the documents' first steps work.
const INVITED: &str = "developer@example.com";

/// A token, and the organisation that it is for.
pub(super) struct SignedIn {
    pub(super) token: String,
    pub(super) organization: Uuid,
}

/// Makes the users that are not there yet, and signs the first one in. The token is also put into a file of `data_dir`.
///
/// # Errors
///
/// When the database does not answer, or the file cannot be written.
pub(super) async fn prepare(accounts: &Arc<Accounts>, data_dir: &Path) -> Result<SignedIn> {
    let organization =
        accounts.organization_named(DEFAULT_SLUG).await?.context("the demo has an organisation")?.id;
    let mut first = None;
    for user in &USERS {
        let email = LoginName::email(user.email)?;
        let id = match accounts.user_named(&email).await? {
            Some(found) => found.id,
            None => {
                let id = Uuid::new_v4();
                let (first_name, last_name) = (user.first_name.to_owned(), user.last_name.to_owned());
                let (logins, roles) = (vec![(email, true)], user.platform.to_vec());
                let new = NewUser { id, first_name, last_name, logins, roles, fhir_user: None };
                accounts.create_user(&new, Some(PASSWORD)).await?;
                if !user.roles.is_empty() {
                    accounts.set_member_user(organization, id, user.roles).await?;
                }
                id
            }
        };
        first.get_or_insert(id);
    }
    accounts.set_member(organization, &LoginName::email(INVITED)?, &[ORG_DOCTOR]).await?;
    let tokens = accounts.open_session(first.context("the demo has users")?, false).await?;
    let file = data_dir.join("token");
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&file);
    let written = opened.and_then(|mut file| file.write_all(tokens.access.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(SignedIn { token: tokens.access, organization })
}
