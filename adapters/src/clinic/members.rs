//! `/v1/organizations/{id}/members`

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fhir_access::Permission;
use fhir_access::accounts::login_name::LoginName;
use fhir_access::accounts::members::{Member, MemberChange};
use fhir_access::accounts::organizations::OrganizationRole;
use fhir_access::role::Role;
use fhir_app::envelope::{Answered, data, data_page};
use fhir_app::{App, Caller, Error, Kind, Result, utoipa};
use fhir_model::Key;
use fhir_model::date::format_instant;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answers::{entered, unprocessable};
use super::list_query::ListQuery;
use crate::accounts::mail;
use crate::json_body::V1Body;

const SORTABLE: [&str; 3] = ["last_name", "first_name", "created_at"];

/// The members of an organisation.
#[utoipa::path(get, path = "/v1/organizations/{id}/members", tag = "clinic",
    params(("id" = String, Path, description = "The organisation's number."),
        ("page" = Option<u64>, Query, description = "The page's number, from 1 on."),
        ("limit" = Option<u64>, Query, description = "Members on a page, at most 500; 50 when it is not said."),
        ("sort" = Option<String>, Query, description = "`last_name`, `first_name`, `created_at`; falling with a `-` before it.")),
    responses((status = 200, description = "A page of members."), (status = 403, description = "The permission organizations.manage_members is missing."),
        (status = 404, description = "One has nothing to do with such an organisation."), (status = 422, description = "A parameter that this list does not know.")))]
pub(super) async fn list_members(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageMembers)).await?;
    let query = ListQuery::read(query.as_deref(), &SORTABLE, &[])?;
    let order = query.order();
    let (found, total) = app.accounts()?.list_members(organization.id, query.part(&order)).await?;
    let all: Vec<Value> = found.iter().map(member).collect();
    Ok(data_page(&Value::from(all), query.page(u64::try_from(total).unwrap_or(0))))
}

fn member(member: &Member) -> Value {
    json!({
        "user_id": member.user,
        "email": member.email,
        "first_name": member.first_name,
        "last_name": member.last_name,
        "roles": member.roles,
        "created_at": format_instant(member.created_at),
    })
}

/// Who is to be a member.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewMember {
    #[schema(example = "developer@example.com")]
    email: String,
    /// Names of roles of the organisation: `DOCTOR`, or one of its own.
    roles: Vec<String>,
    /// Which patient of the organisation the member is, by the id of the resource: what `ORG:PATIENT` sees is about that one. Of
    /// somebody who has an account.
    patient_id: Option<String>,
}

/// Makes whoever has an address a member with these roles, or gives a member these roles in place of others. Who has no account yet is
/// invited by mail.
#[utoipa::path(post, path = "/v1/organizations/{id}/members", tag = "clinic", request_body = NewMember,
    params(("id" = String, Path, description = "The organisation's number."),
        ("Idempotency-Key" = Option<String>, Header, description = "4 to 128 letters, digits, `_` and `-`.")),
    responses((status = 201, description = "A new member."), (status = 200, description = "The member has these roles now."),
        (status = 202, description = "Nobody has this address yet: its owner is invited."),
        (status = 403, description = "The permission organizations.manage_members is missing, or one that the roles give."),
        (status = 404, description = "One has nothing to do with such an organisation."),
        (status = 409, description = "The last administrator stays one."), (status = 422, description = "What is wrong, by field.")))]
pub(super) async fn set_member(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    V1Body(sent): V1Body<NewMember>,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageMembers)).await?;
    let accounts = app.accounts()?;
    let email = LoginName::email(&sent.email).map_err(unprocessable)?;
    let names: Vec<&str> = sent.roles.iter().map(String::as_str).collect();
    accounts.check_may_give(&user.rights, &organization, &names).await?;
    let patient = sent.patient_id.as_deref().map(patient_id).transpose()?;
    if patient.is_some() && accounts.user_named(&email).await?.is_none() {
        let text = "nobody has an account of this address yet, who could be a patient";
        return Err(Error::new(Kind::Rule, text).at("patient_id").into());
    }
    let changed = accounts.set_member(organization.id, &email, &names).await.map_err(unprocessable)?;
    if let (Some(patient), MemberChange::Added(user) | MemberChange::Changed(user)) = (patient, changed) {
        accounts.set_member_patient(organization.id, user, patient).await?;
    }
    let all = accounts.organization_roles(organization.id).await?;
    let roles: Vec<&str> = names.iter().map(|name| full_name(&all, name)).collect();
    let answer = |status, user: Option<Uuid>, is: &str| -> Response {
        data(status, &json!({ "user_id": user, "email": email.text, "roles": roles, "status": is }))
    };
    Ok(match changed {
        MemberChange::Added(user) => answer(StatusCode::CREATED, Some(user), "active"),
        MemberChange::Changed(user) => answer(StatusCode::OK, Some(user), "active"),
        MemberChange::Invited => {
            mail::invitation(&app, &email.text, &organization.name).await?;
            answer(StatusCode::ACCEPTED, None, "invited")
        }
    })
}

/// The id of a Patient.
fn patient_id(text: &str) -> Result<&str> {
    let wrong = || Error::new(Kind::Rule, "an id of a Patient is expected").at("patient_id");
    Key::is_id(text).then_some(text).ok_or_else(wrong)
}

/// `ORG:DOCTOR` for `DOCTOR`.
fn full_name<'r>(all: &'r [OrganizationRole], name: &'r str) -> &'r str {
    let is_it = |role: &&OrganizationRole| {
        role.name == name || (role.is_system && Role::short_name(&role.name) == name)
    };
    all.iter().find(is_it).map_or(name, |role| &role.name)
}

/// Removes a member.
#[utoipa::path(delete, path = "/v1/organizations/{id}/members/{userId}", tag = "clinic",
    params(("id" = String, Path, description = "The organisation's number."), ("userId" = String, Path, description = "The user's number.")),
    responses((status = 204, description = "It is none any more."), (status = 403, description = "The permission organizations.manage_members is missing."),
        (status = 404, description = "One has nothing to do with such an organisation, or it has no such member."),
        (status = 409, description = "The last administrator stays one.")))]
pub(super) async fn remove_member(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, user_id)): Path<(String, String)>,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageMembers)).await?;
    let unknown = |_| Error::new(Kind::NotFound, "this member is not known here");
    app.accounts()?.remove_member(organization.id, user_id.parse().map_err(unknown)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
