//! What everybody may ask: what this server is, and which organisation a name in urls or a domain leads to.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use fhir_access::accounts::organizations::unknown_organization;
use fhir_app::envelope::{Answered, data};
use fhir_app::{App, Caller, Error, Kind, utoipa};
use serde_json::json;
use uuid::Uuid;

use super::{answers, settings};

/// What this server is, as its label says it as a medical device.
#[utoipa::path(get, path = "/v1/public/system-info", tag = "clinic",
    responses((status = 200, description = "Name, version, manufacturer and UDI; null for what is not set.")))]
pub(super) async fn system_info(State(app): State<Arc<App>>) -> Answered {
    let set = |key: &str| app.settings().text(key);
    let about = &app.cx().settings;
    let said = json!({
        "name": about.software,
        "version": about.software_version,
        "manufacturer": {
            "name": set(settings::MANUFACTURER),
            "address": set(settings::MANUFACTURER_ADDRESS),
        },
        "udi": { "di": set(settings::UDI_DI), "pi": set(settings::UDI_PI) },
        "mdr_class": set(settings::MDR_CLASS),
    });
    Ok(data(StatusCode::OK, &said))
}

/// The organisation of a name in urls, or of a domain that it has proved to be its own.
#[utoipa::path(get, path = "/v1/public/organizations/resolve", tag = "clinic",
    params(("slug" = Option<String>, Query, description = "The name in urls."), ("domain" = Option<String>, Query, description = "The domain; one of the two is given.")),
    responses((status = 200, description = "The organisation."), (status = 404, description = "There is none."),
        (status = 422, description = "Neither is given, or both are.")))]
pub(super) async fn resolve(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answered {
    let accounts = app.accounts()?;
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.as_deref().unwrap_or(""))
        .map_err(|_| Error::invalid("the query cannot be read"))?;
    let given = |name: &str| {
        let value = pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    };
    let found = match (given("slug"), given("domain")) {
        // Numbers are not told to everybody.
        (Some(slug), None) if slug.parse::<Uuid>().is_ok() => None,
        (Some(slug), None) => accounts.organization_named(slug).await?,
        (None, Some(domain)) => accounts.organization_of_domain(domain).await?,
        _ => {
            let text = "one of `slug` and `domain` is expected";
            return Err(Error::new(Kind::Rule, text).at("slug").into());
        }
    };
    let found = found.filter(|found| found.is_active).ok_or_else(unknown_organization)?;
    let said = json!({
        "id": found.id,
        "slug": found.slug,
        "name": found.name,
        "fhir_base": answers::fhir_base(&found.slug, &caller.base),
    });
    Ok(data(StatusCode::OK, &said))
}
