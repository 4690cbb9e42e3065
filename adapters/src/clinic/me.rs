//! `/v1/me`: who one is, where one is a member, and for which organisation one works.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use fhir_access::accounts::login_name::LoginKind;
use fhir_access::accounts::organization_list::{ListPage, OrganizationFilter};
use fhir_access::{Membership, Rights, not_a_member};
use fhir_app::envelope::{Answered, data};
use fhir_app::{App, Caller, Result, utoipa};
use fhir_search::TenantId;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answers::fhir_base;
use crate::json_body::V1Body;

/// Organisations that one user is a member of, of which names are read.
const MEMBERSHIPS_MAX: i64 = 10_000;

/// Who one is, with all memberships, the organisation that this request is for, and what one may do there.
#[utoipa::path(get, path = "/v1/me", tag = "clinic",
    responses((status = 200, description = "`user`, `memberships`, `current_organization`, `permissions`."), (status = 401, description = "Nobody signed in.")))]
pub(super) async fn me(State(app): State<Arc<App>>, caller: Caller) -> Answered {
    let user = caller.principal.user()?;
    Ok(data(StatusCode::OK, &about(&app, &user.rights, caller.tenant, &caller.base).await?))
}

/// The organisation to work for.
#[derive(Deserialize, ToSchema)]
pub(super) struct Switch {
    /// Its number.
    organization_id: String,
}

/// Says which organisation one works for from now on, where a request names none.
#[utoipa::path(put, path = "/v1/me/switch-organization", tag = "clinic", request_body = Switch,
    responses((status = 200, description = "As `GET /v1/me`."), (status = 403, description = "One is no member of such an organisation."),
        (status = 422, description = "`organization_id` is missing.")))]
pub(super) async fn switch_organization(
    State(app): State<Arc<App>>,
    caller: Caller,
    V1Body(sent): V1Body<Switch>,
) -> Answered {
    let accounts = app.accounts()?;
    let user = caller.principal.user()?;
    let wanted: Uuid = sent.organization_id.parse().map_err(|_| not_a_member())?;
    // One that there is not is refused in the words for one that is another's.
    if !user.rights.memberships.iter().any(|member| member.organization == wanted) {
        return Err(not_a_member().into());
    }
    accounts.set_current(user.id(), wanted).await?;
    let rights = accounts.rights(user.id()).await?;
    let tenant = rights.tenant(None, None)?;
    Ok(data(StatusCode::OK, &about(&app, &rights, tenant, &caller.base).await?))
}

async fn about(app: &App, rights: &Rights, tenant: TenantId, base: &str) -> Result<Value> {
    let accounts = app.accounts()?;
    let found = accounts.user(rights.user).await?.ok_or_else(fhir_access::unauthorized)?;
    let logins = accounts.logins(rights.user).await?;
    let named = |kind: LoginKind| logins.iter().find(|login| login.name.kind == kind);
    let email = named(LoginKind::Email);
    let filter = OrganizationFilter { of_user: Some(rights.user), ..OrganizationFilter::default() };
    let page = ListPage { limit: MEMBERSHIPS_MAX, offset: 0, order: &[] };
    let (organizations, _) = accounts.list_organizations(&filter, page).await?;
    let names: HashMap<Uuid, String> =
        organizations.into_iter().map(|organization| (organization.id, organization.name)).collect();
    let organization = |member: &Membership| {
        json!({
            "id": member.organization,
            "slug": member.slug,
            "name": names.get(&member.organization),
            "fhir_base": fhir_base(&member.slug, base),
        })
    };
    let membership = |member: &Membership| {
        json!({
            "organization": organization(member),
            "roles": member.roles,
            "permissions": member.permissions.codes(),
            "patient": member.patient.as_ref().map(ToString::to_string),
        })
    };
    Ok(json!({
        "user": {
            "id": found.id,
            "email": email.map(|login| &login.name.text),
            "email_verified": email.is_some_and(|login| login.is_verified),
            "phone": named(LoginKind::Phone).map(|login| &login.name.text),
            "user_name": named(LoginKind::Name).map(|login| &login.name.text),
            "first_name": found.first_name,
            "last_name": found.last_name,
            "roles": rights.roles,
            "fhir_user": found.fhir_user,
            "is_superadmin": rights.is_superadmin(),
        },
        "memberships": rights.memberships.iter().map(membership).collect::<Vec<_>>(),
        "current_organization": rights.membership(tenant).map(organization),
        // Those that count where this request is for.
        "permissions": rights.permissions_in(tenant).codes(),
    }))
}
