//! `/v1/organizations`

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use fhir_access::accounts::organization_list::OrganizationFilter;
use fhir_access::accounts::organizations::Organization;
use fhir_access::{Permission, forbidden};
use fhir_app::envelope::{Answered, data, data_page};
use fhir_app::{App, Caller, Error, Kind, Result, utoipa};
use fhir_database::failure::classify;
use fhir_model::date::DateTime;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answers::{self, ACTIVE, SUSPENDED, entered};
use super::list_query::ListQuery;
use super::organization_resource;
use crate::json_body::V1Body;

const SORTABLE: [&str; 3] = ["name", "slug", "created_at"];
const FILTERABLE: [&str; 5] = ["name", "slug", "status", "created_after", "created_before"];

/// Times that an organisation is tried to be added while others are.
const TRIES: usize = 3;

/// The organisations that one is a member of; all, for who may act in all.
#[utoipa::path(get, path = "/v1/organizations", tag = "clinic",
    params(("page" = Option<u64>, Query, description = "The page's number, from 1 on."),
        ("limit" = Option<u64>, Query, description = "Organisations on a page, at most 500; 50 when it is not said."),
        ("sort" = Option<String>, Query, description = "`name`, `slug`, `created_at`; falling with a `-` before it; several with commas."),
        ("name" = Option<String>, Query, description = "Of this name."), ("slug" = Option<String>, Query, description = "Of this name in urls."),
        ("status" = Option<String>, Query, description = "`active` or `suspended`."),
        ("created_after" = Option<String>, Query, description = "Made after this date or time."),
        ("created_before" = Option<String>, Query, description = "Made before it.")),
    responses((status = 200, description = "A page of organisations."), (status = 422, description = "A parameter that this list does not know.")))]
pub(super) async fn list_organizations(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answered {
    let accounts = app.accounts()?;
    let user = caller.principal.user()?;
    let query = ListQuery::read(query.as_deref(), &SORTABLE, &FILTERABLE)?;
    let filter = OrganizationFilter {
        of_user: (!user.rights.is_superadmin()).then(|| user.id()),
        name: query.filter("name"),
        slug: query.filter("slug"),
        is_active: query.filter("status").map(is_active).transpose()?,
        // After a day is after its end, before it is before its beginning.
        created_after: time(&query, "created_after")?.map(|(_, end)| end.saturating_sub(1)),
        created_before: time(&query, "created_before")?.map(|(begin, _)| begin),
    };
    let order = query.order();
    let (found, total) = accounts.list_organizations(&filter, query.part(&order)).await?;
    let all: Vec<Value> = found.iter().map(|found| answers::organization(found, &caller.base)).collect();
    Ok(data_page(&Value::from(all), query.page(u64::try_from(total).unwrap_or(0))))
}

/// An organisation that is to be.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewOrganization {
    /// Its name.
    name: String,
    /// Its name in urls: small letters, digits and hyphens.
    slug: String,
}

/// Makes an organisation, with the roles that each has, and its FHIR Organization.
#[utoipa::path(post, path = "/v1/organizations", tag = "clinic", request_body = NewOrganization,
    params(("Idempotency-Key" = Option<String>, Header, description = "4 to 128 letters, digits, `_` and `-`: sent again within a day, the request has one effect.")),
    responses((status = 201, description = "The organisation."), (status = 403, description = "Superadmins alone make organisations."),
        (status = 409, description = "The name in urls is taken."), (status = 422, description = "What is wrong, by field.")))]
pub(super) async fn add_organization(
    State(app): State<Arc<App>>,
    caller: Caller,
    V1Body(sent): V1Body<NewOrganization>,
) -> Answered {
    // Asked here, too, whatever the route lets through.
    if !caller.principal.user()?.rights.is_superadmin() {
        return Err(forbidden(Permission::ManageOrganizations).into());
    }
    let name = answers::name(&sent.name)?;
    let mut tries = 0;
    let added = loop {
        tries += 1;
        match add(&app, name, &sent.slug).await {
            Err(error) if error.kind == Kind::Unavailable && tries < TRIES => {}
            added => break added?,
        }
    };
    app.accounts()?.organization_added(&added);
    let mut answer = data(StatusCode::CREATED, &answers::organization(&added, &caller.base));
    let location = HeaderValue::try_from(format!("/v1/organizations/{}", added.id)).ok();
    answer.headers_mut().extend(location.map(|location| (LOCATION, location)));
    Ok(answer)
}

/// All of it or nothing: tenant, roles, and the job that stores its resource.
async fn add(app: &App, name: &str, slug: &str) -> Result<Organization> {
    let mut client = app.client().await?;
    let transaction = client.transaction().await.map_err(classify)?;
    let added = app.accounts()?.add_organization(&transaction, name, slug).await?;
    organization_resource::enqueue_update(&transaction, added.id).await?;
    transaction.commit().await.map_err(classify)?;
    Ok(added)
}

/// An organisation.
#[utoipa::path(get, path = "/v1/organizations/{id}", tag = "clinic", params(("id" = String, Path, description = "Its number.")),
    responses((status = 200, description = "The organisation."), (status = 404, description = "One has nothing to do with such an organisation.")))]
pub(super) async fn organization(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answered {
    let found = entered(&app, caller.principal.user()?, &id, None).await?;
    Ok(data(StatusCode::OK, &answers::organization(&found, &caller.base)))
}

/// What is to be another way.
#[derive(Deserialize, ToSchema)]
pub(super) struct Change {
    /// Another name. That in urls stays.
    name: Option<String>,
    /// `active` or `suspended`: for superadmins.
    status: Option<String>,
}

/// Changes an organisation; its FHIR Organization follows.
#[utoipa::path(patch, path = "/v1/organizations/{id}", tag = "clinic", request_body = Change,
    params(("id" = String, Path, description = "Its number.")),
    responses((status = 200, description = "The organisation as it is now."), (status = 403, description = "The permission organizations.update is missing, or `status` is sent by somebody who is no superadmin."),
        (status = 404, description = "One has nothing to do with such an organisation."), (status = 422, description = "What is wrong, by field.")))]
pub(super) async fn change_organization(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    V1Body(sent): V1Body<Change>,
) -> Answered {
    let user = caller.principal.user()?;
    let found = entered(&app, user, &id, Some(Permission::UpdateOrganization)).await?;
    if sent.status.is_some() && !user.rights.is_superadmin() {
        return Err(forbidden(Permission::ManageOrganizations).into());
    }
    let name = sent.name.as_deref().map(answers::name).transpose()?;
    let status = sent.status.as_deref().map(is_active).transpose()?;
    let accounts = app.accounts()?;
    if name.is_some() || status.is_some() {
        let mut client = app.client().await?;
        let transaction = client.transaction().await.map_err(classify)?;
        organization_resource::enqueue_update(&transaction, found.id).await?;
        accounts.commit_organization_change(transaction, found.id, name, status).await?;
    }
    let changed = accounts.organization(found.id).await?;
    Ok(data(StatusCode::OK, &answers::organization(&changed, &caller.base)))
}

fn is_active(status: &str) -> Result<bool> {
    match status {
        ACTIVE => Ok(true),
        SUSPENDED => Ok(false),
        _ => Err(Error::new(Kind::Rule, "`status` is active or suspended").at("status")),
    }
}

/// The microseconds that a date or a time of a filter stands for.
fn time(query: &ListQuery, name: &str) -> Result<Option<(i64, i64)>> {
    let Some(text) = query.filter(name) else { return Ok(None) };
    let read = DateTime::date_time(text).map(|time| time.range_micros());
    let wrong = || Error::new(Kind::Rule, "a date or a time is expected: 2026-05-01T08:00:00Z").at(name);
    read.map(Some).ok_or_else(wrong)
}
