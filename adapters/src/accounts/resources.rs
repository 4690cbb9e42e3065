//! The resource of the platform that somebody is who registers.

use fhir_app::{App, Principal, Request, Result};
use fhir_model::interaction::Method;
use fhir_model::json::{Doc, JsonLimits};
use fhir_model::{Error, Key};
use fhir_search::TenantId;
use serde_json::{Value, json};
use uuid::Uuid;

/// In whose name resources of accounts are written.
const SYSTEM: Principal = Principal::System("accounts");

/// Stores a Practitioner or a Patient for somebody who gets an account.
///
/// # Errors
///
/// When it cannot be written.
pub(super) async fn create(
    app: &App,
    type_name: &str,
    id: Uuid,
    (first, last): (&str, &str),
    email: &str,
) -> Result<Key> {
    let key = Key::new(type_name, id.to_string());
    let resource = json!({
        "resourceType": type_name,
        "id": &*key.id,
        "active": true,
        "name": [{ "family": last, "given": [first] }],
        "telecom": [{ "system": "email", "value": email }],
    });
    send(app, Method::Put, &key, Some(&resource)).await?;
    Ok(key)
}

/// Takes it back, as there is no account.
///
/// # Errors
///
/// When it cannot be deleted.
pub(super) async fn remove(app: &App, key: &Key) -> Result<()> {
    send(app, Method::Delete, key, None).await
}

async fn send(app: &App, method: Method, key: &Key, resource: Option<&Value>) -> Result<()> {
    let parse =
        |resource: &Value| Doc::parse(resource.to_string(), JsonLimits::default()).map_err(Error::internal);
    let body = resource.map(parse).transpose()?.map(fhir_app::RequestBody::Resource);
    let request = Request::new(method, &key.to_string(), &*app.cx().definitions)?;
    app.handle(Request { body, tenant: TenantId::PLATFORM, principal: SYSTEM, ..request }).await.map(drop)
}
