//! `/v1/organizations/{id}/domains`

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use fhir_access::Permission;
use fhir_access::accounts::domains::{Domain, unknown_domain};
use fhir_app::envelope::{Answered, data, data_page};
use fhir_app::{App, Caller, Error, Kind, utoipa};
use fhir_model::date::format_instant;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answers::entered;
use super::list_query::ListQuery;
use super::settings::dns_server;
use super::txt_record::texts;
use crate::json_body::V1Body;

const SORTABLE: [&str; 1] = ["domain"];

/// The domains of an organisation, each with the record that proves it.
#[utoipa::path(get, path = "/v1/organizations/{id}/domains", tag = "clinic",
    params(("id" = String, Path, description = "The organisation's number."),
        ("page" = Option<u64>, Query, description = "The page's number, from 1 on."),
        ("limit" = Option<u64>, Query, description = "Domains on a page, at most 500; 50 when it is not said."),
        ("sort" = Option<String>, Query, description = "`domain`; falling with a `-` before it.")),
    responses((status = 200, description = "A page of domains."), (status = 403, description = "The permission organizations.manage_domains is missing."),
        (status = 404, description = "One has nothing to do with such an organisation.")))]
pub(super) async fn list_domains(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageDomains)).await?;
    let query = ListQuery::read(query.as_deref(), &SORTABLE, &[])?;
    // By name as they come.
    let mut all = app.accounts()?.domains(organization.id).await?;
    if query.order().first() == Some(&"-domain") {
        all.reverse();
    }
    let (domains, page) = query.entries(all);
    let domains: Vec<Value> = domains.iter().map(domain).collect();
    Ok(data_page(&Value::from(domains), page))
}

fn domain(domain: &Domain) -> Value {
    json!({
        "id": domain.id,
        "domain": domain.domain,
        "status": if domain.verified_at.is_some() { "verified" } else { "pending" },
        "dns_record": { "type": "TXT", "name": domain.record_name(), "value": domain.record_value() },
        "created_at": format_instant(domain.created_at),
        "verified_at": domain.verified_at.map(format_instant),
    })
}

/// A domain that an organisation says is its own.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewDomain {
    /// As in the DNS, without a scheme and a path.
    #[schema(example = "clinic.example.org")]
    domain: String,
}

/// Claims a domain. The answer has the TXT record to be put into the DNS; the domain leads here once that was verified.
#[utoipa::path(post, path = "/v1/organizations/{id}/domains", tag = "clinic", request_body = NewDomain,
    params(("id" = String, Path, description = "The organisation's number."),
        ("Idempotency-Key" = Option<String>, Header, description = "4 to 128 letters, digits, `_` and `-`.")),
    responses((status = 201, description = "The domain, with `dns_record`."), (status = 403, description = "The permission organizations.manage_domains is missing."),
        (status = 404, description = "One has nothing to do with such an organisation."),
        (status = 409, description = "The organisation has claimed it already, or another has proved it."), (status = 422, description = "What is wrong, by field.")))]
pub(super) async fn add_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    V1Body(sent): V1Body<NewDomain>,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageDomains)).await?;
    let added = app.accounts()?.add_domain(organization.id, &sent.domain).await?;
    Ok(data(StatusCode::CREATED, &domain(&added)))
}

/// Removes a domain.
#[utoipa::path(delete, path = "/v1/organizations/{id}/domains/{domainId}", tag = "clinic",
    params(("id" = String, Path, description = "The organisation's number."), ("domainId" = String, Path, description = "The domain's number.")),
    responses((status = 204, description = "It leads here no longer."), (status = 403, description = "The permission organizations.manage_domains is missing."),
        (status = 404, description = "One has nothing to do with such an organisation, or it has no such domain.")))]
pub(super) async fn remove_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, domain_id)): Path<(String, String)>,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageDomains)).await?;
    let domain_id = domain_id.parse().map_err(|_| unknown_domain())?;
    app.accounts()?.remove_domain(organization.id, domain_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Looks whether the domain's TXT record is there. From then on the domain leads to the organisation.
#[utoipa::path(post, path = "/v1/organizations/{id}/domains/{domainId}/verify", tag = "clinic",
    params(("id" = String, Path, description = "The organisation's number."), ("domainId" = String, Path, description = "The domain's number.")),
    responses((status = 200, description = "It is verified."), (status = 403, description = "The permission organizations.manage_domains is missing."),
        (status = 404, description = "One has nothing to do with such an organisation, or it has no such domain."),
        (status = 409, description = "Another organisation has proved it."), (status = 422, description = "There is no such record, or it says something else."),
        (status = 504, description = "The DNS did not answer in time.")))]
pub(super) async fn verify_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, domain_id)): Path<(String, String)>,
) -> Answered {
    let user = caller.principal.user()?;
    let organization = entered(&app, user, &id, Some(Permission::ManageDomains)).await?;
    let domain_id = domain_id.parse().map_err(|_| unknown_domain())?;
    let accounts = app.accounts()?;
    let claimed = accounts.domain(organization.id, domain_id).await?;
    let wanted = claimed.record_value();
    let found = texts(dns_server(app.settings())?, &claimed.record_name()).await?;
    if !found.iter().any(|text| text.trim() == wanted) {
        let text = match found.is_empty() {
            true => format!("there is no TXT record {}", claimed.record_name()),
            false => format!("the TXT record {} does not say {wanted}", claimed.record_name()),
        };
        return Err(Error::new(Kind::Rule, text).at("domain").into());
    }
    let verified = accounts.verify_domain(organization.id, domain_id).await?;
    Ok(data(StatusCode::OK, &domain(&verified)))
}
