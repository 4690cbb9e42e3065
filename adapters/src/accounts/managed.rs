//! Accounts that administrators make and look after, for people without e-mail.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use fhir_access::accounts::login_name::{LoginKind, LoginName};
use fhir_access::accounts::organizations::{Organization, unknown_organization};
use fhir_access::accounts::users::NewUser;
use fhir_access::{Permission, SignedIn, forbidden};
use fhir_app::envelope::{Answered, success};
use fhir_app::{App, Caller, Error, Kind, Result, utoipa};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::register::name;
use crate::json_body::JsonBody;

/// Somebody who is to get an account, without mail.
#[derive(Deserialize, ToSchema)]
pub(super) struct ManagedUser {
    /// A phone number with its country: `+254700000000`.
    phone: Option<String>,
    /// A user name.
    user_name: Option<String>,
    first_name: String,
    last_name: String,
    /// Roles in the organisation: `STAFF`.
    roles: Vec<String>,
}

/// Makes an account for a member of an organisation who has no e-mail: the answer has a code to print, which lets set a password
/// once.
#[utoipa::path(post, path = "/api/organizations/{org_id}/users", tag = "accounts", request_body = ManagedUser,
    params(("org_id" = String, Path, description = "The organisation.")),
    responses((status = 201, description = "The account, and `one_time_code`."), (status = 409, description = "The name is taken.")))]
pub(super) async fn add_user(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(organization): Path<String>,
    JsonBody(sent): JsonBody<ManagedUser>,
) -> Answered {
    let accounts = app.accounts()?;
    let by = caller.principal.user()?;
    let organization = managed(&app, by, &organization).await?;
    let roles: Vec<&str> = sent.roles.iter().map(String::as_str).collect();
    accounts.check_may_give(&by.rights, &organization, &roles).await?;
    let mut logins = Vec::new();
    for (field, text, kind) in
        [("phone", &sent.phone, LoginKind::Phone), ("user_name", &sent.user_name, LoginKind::Name)]
    {
        let Some(text) = text else { continue };
        let parsed = LoginName::parse(text).map_err(|error| error.at(field))?;
        if parsed.kind != kind {
            return Err(Error::value(format!("`{field}` cannot be read")).at(field).into());
        }
        logins.push((parsed, true));
    }
    if logins.is_empty() {
        return Err(Error::value("`phone` or `user_name` is expected").at("user_name").into());
    }
    let user = NewUser {
        id: Uuid::new_v4(),
        first_name: name("first_name", &sent.first_name)?.to_owned(),
        last_name: name("last_name", &sent.last_name)?.to_owned(),
        logins,
        roles: Vec::new(),
        fhir_user: None,
    };
    accounts.create_member(&user, organization.id, &roles).await?;
    let code = accounts.print_password_code(user.id).await?;
    let data = json!({ "user": { "id": user.id, "first_name": user.first_name, "last_name": user.last_name }, "one_time_code": code });
    Ok(success(StatusCode::CREATED, &data))
}

/// A code to print for a user who gets no mail and has forgotten the password.
#[utoipa::path(post, path = "/api/organizations/{org_id}/users/{user_id}/one-time-code", tag = "accounts",
    params(("org_id" = String, Path, description = "The organisation."), ("user_id" = String, Path, description = "Its member.")),
    responses((status = 200, description = "`one_time_code`."),
        (status = 403, description = "The user gets mail, or is of other organisations, too.")))]
pub(super) async fn print_code(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, user)): Path<(String, String)>,
) -> Answered {
    let accounts = app.accounts()?;
    let by = caller.principal.user()?;
    let organization = managed(&app, by, &organization).await?;
    let unknown = || Error::new(Kind::NotFound, "this user is not a member of this organisation");
    let user: Uuid = user.parse().map_err(|_| unknown())?;
    let rights = match accounts.rights(user).await {
        Err(error) if error.kind == Kind::Unauthorized => return Err(unknown().into()),
        rights => rights?,
    };
    let member = rights.membership(organization.tenant).ok_or_else(unknown)?;
    if !by.rights.may_give(organization.tenant, member.permissions) {
        return Err(Error::new(Kind::Forbidden, "this user may do more than you").into());
    }
    // Whoever sets a password becomes that user: wherever it is a member, and on the platform.
    let is_of_others = accounts.membership_count(user).await? > 1 || !rights.roles.is_empty();
    let gets_mail = accounts.logins(user).await?.iter().any(|login| login.name.kind == LoginKind::Email);
    if is_of_others || gets_mail {
        let text =
            "this user sets a new password by mail: it has an address, or is known beyond this organisation";
        return Err(Error::new(Kind::Forbidden, text).into());
    }
    let code = accounts.print_password_code(user).await?;
    Ok(success(StatusCode::OK, &json!({ "one_time_code": code })))
}

/// An organisation whose members the user manages.
///
/// # Errors
///
/// `NotFound` for an organisation that there is not, or that the user has nothing to do with; `Forbidden` where it does not manage members.
async fn managed(app: &App, user: &SignedIn, organization: &str) -> Result<Organization> {
    let found = app.accounts()?.organization_named(organization).await?.ok_or_else(unknown_organization)?;
    if user.rights.may_manage(found.tenant, Permission::ManageMembers) {
        return Ok(found);
    }
    match user.rights.membership(found.tenant) {
        Some(_) => Err(forbidden(Permission::ManageMembers)),
        None => Err(unknown_organization()),
    }
}
