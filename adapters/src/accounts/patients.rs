//! `GET /api/organizations/{org_id}/patients`

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use fhir_access::accounts::organizations::unknown_organization;
use fhir_app::envelope::{Answered, Page, success_page};
use fhir_app::{App, Caller, Error, Request, Result, utoipa};
use fhir_model::interaction::Method;
use serde_json::Value;
use utoipa::IntoParams;

/// Patients on a page when nothing else is asked for, and at most.
const LIMIT: u64 = 20;
const LIMIT_MAX: u64 = 100;

/// Patients that are read at once.
const STEP_MAX: u64 = 500;

/// So many patients can be passed over: beyond, a search follows its links.
const PASSED_OVER_MAX: u64 = 10_000;

#[derive(Debug, serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The page's number, from 1 on.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// Patients on a page, 1 to 100; 20 when it is not said.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// The patients of an organisation, as FHIR has them, the latest first.
#[utoipa::path(get, path = "/api/organizations/{org_id}/patients", tag = "accounts",
    params(("org_id" = String, Path, description = "The organisation."), Wanted),
    responses((status = 200, description = "A page of patients."), (status = 403, description = "Your roles do not let you see patients."),
        (status = 404, description = "You have nothing to do with such an organisation.")))]
pub(super) async fn patients(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(organization): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Answered {
    let limit = within("limit", wanted.limit.unwrap_or(LIMIT), LIMIT_MAX)?;
    let page = within("page", wanted.page.unwrap_or(1), PASSED_OVER_MAX)?;
    let skipped = (page - 1).saturating_mul(limit);
    if skipped > PASSED_OVER_MAX {
        let text = "only the first 10,000 patients are listed by number; search for fewer";
        return Err(Error::value(text).at("page").into());
    }
    let found = app.accounts()?.organization_named(&organization).await?.ok_or_else(unknown_organization)?;
    if !caller.principal.user()?.rights.may_see(found.tenant) {
        return Err(unknown_organization().into());
    }
    let plain = Request::new(Method::Get, "Patient", &*app.cx().definitions)?;
    let step = skipped.saturating_add(limit).min(STEP_MAX);
    let ask = async |query: String| {
        let (tenant, principal, base) = (found.tenant, caller.principal.clone(), caller.base.clone());
        bundle(app.handle(Request { query, tenant, principal, base, ..plain.clone() }).await?)
    };
    let mut bundle = ask(format!("_count={step}&_sort=-_lastUpdated&_total=accurate")).await?;
    let total = bundle.get("total").and_then(Value::as_u64).unwrap_or(0);
    let (mut passed, mut resources) = (0, Vec::new());
    loop {
        let next = next(&bundle);
        for resource in entries(bundle) {
            if passed >= skipped && (resources.len() as u64) < limit {
                resources.push(resource);
            }
            passed += 1;
        }
        match next.filter(|_| passed < skipped + limit) {
            Some(next) => bundle = ask(next).await?,
            None => return Ok(success_page(&Value::from(resources), Page { page, limit, total })),
        }
    }
}

fn bundle(reply: fhir_app::Reply) -> Result<Value> {
    serde_json::from_slice(&reply.body.unwrap_or_default()).map_err(Error::internal)
}

fn entries(mut bundle: Value) -> Vec<Value> {
    let entries = bundle.get_mut("entry").map(Value::take);
    let entries = entries.and_then(|entries| match entries {
        Value::Array(entries) => Some(entries),
        _ => None,
    });
    let resource = |mut entry: Value| entry.get_mut("resource").map(Value::take);
    entries.unwrap_or_default().into_iter().filter_map(resource).collect()
}

/// The query of the link to the next page.
fn next(bundle: &Value) -> Option<String> {
    let links = bundle.get("link")?.as_array()?;
    let next = links.iter().find(|link| link.get("relation").is_some_and(|name| name == "next"))?;
    next.get("url")?.as_str()?.split_once('?').map(|(_, query)| query.to_owned())
}

fn within(name: &str, number: u64, max: u64) -> Result<u64> {
    match (1..=max).contains(&number) {
        true => Ok(number),
        false => Err(Error::value(format!("`{name}` is between 1 and {max}")).at(name)),
    }
}
