//! `/v1/organizations/{id}/roles`

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use fhir_access::accounts::organizations::OrganizationRole;
use fhir_access::{Permission, Permissions};
use fhir_app::envelope::{Answered, data, data_page};
use fhir_app::{App, Caller, Error, Kind, Result, utoipa};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answers::{entered, unprocessable};
use super::list_query::ListQuery;
use crate::json_body::V1Body;

const SORTABLE: [&str; 1] = ["name"];

/// The roles of an organisation: its copies of the product's, then its own.
#[utoipa::path(get, path = "/v1/organizations/{id}/roles", tag = "clinic",
    params(("id" = String, Path, description = "The organisation's number."),
        ("page" = Option<u64>, Query, description = "The page's number, from 1 on."),
        ("limit" = Option<u64>, Query, description = "Roles on a page, at most 500; 50 when it is not said."),
        ("sort" = Option<String>, Query, description = "`name`; falling with a `-` before it.")),
    responses((status = 200, description = "A page of roles."), (status = 403, description = "The permission organizations.manage_members is missing."),
        (status = 404, description = "One has nothing to do with such an organisation.")))]
pub(super) async fn list_roles(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageMembers)).await?;
    let query = ListQuery::read(query.as_deref(), &SORTABLE, &[])?;
    let mut all = app.accounts()?.organization_roles(organization.id).await?;
    match query.order().first() {
        Some(&"name") => all.sort_by(|one, other| one.name.cmp(&other.name)),
        Some(_) => all.sort_by(|one, other| other.name.cmp(&one.name)),
        None => {}
    }
    let (roles, page) = query.entries(all);
    let roles: Vec<Value> = roles.iter().map(role).collect();
    Ok(data_page(&Value::from(roles), page))
}

fn role(role: &OrganizationRole) -> Value {
    json!({
        "id": role.id,
        "name": role.name,
        "is_system": role.is_system,
        "permissions": role.permissions,
    })
}

/// A role of an organisation's own.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewRole {
    /// 1 to 64 characters, without a colon.
    name: String,
    /// Codes: `patients.view_org`.
    permissions: Vec<String>,
}

/// Makes a role of an organisation's own.
#[utoipa::path(post, path = "/v1/organizations/{id}/roles", tag = "clinic", request_body = NewRole,
    params(("id" = String, Path, description = "The organisation's number."),
        ("Idempotency-Key" = Option<String>, Header, description = "4 to 128 letters, digits, `_` and `-`.")),
    responses((status = 201, description = "The role."), (status = 403, description = "The permission organizations.manage_members is missing."),
        (status = 404, description = "One has nothing to do with such an organisation."), (status = 409, description = "The name is taken."),
        (status = 422, description = "What is wrong, by field.")))]
pub(super) async fn add_role(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    V1Body(sent): V1Body<NewRole>,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageMembers)).await?;
    let codes: Vec<&str> = sent.permissions.iter().map(String::as_str).collect();
    let permissions = codes.iter().map(|code| Permission::parse(code)).collect::<Result<Vec<_>>>();
    let permissions = Permissions::new(&permissions.map_err(unprocessable)?);
    // Who could give more than it has would have all.
    if !user.rights.may_give(organization.tenant, permissions) {
        return Err(Error::new(Kind::Forbidden, "you cannot give permissions that you do not have").into());
    }
    let added = app.accounts()?.add_role(organization.id, &sent.name, &codes).await.map_err(unprocessable)?;
    Ok(data(StatusCode::CREATED, &role(&added)))
}
