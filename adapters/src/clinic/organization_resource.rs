//! The FHIR Organization of an organisation, in its own tenant: it follows the organisation's name and status.
//!
//! A job stores it, which is enqueued in the transaction of the change. What others have written into the resource stays.

use std::sync::Arc;

use fhir_access::accounts::organizations::Organization;
use fhir_app::{
    App, Error, JobRun, JobType, Kind, NewJob, Principal, Request, RequestBody, Result, Transaction,
    async_trait, enqueue,
};
use fhir_model::Key;
use fhir_model::interaction::Method;
use fhir_model::json::{Doc, JsonLimits};
use fhir_search::TenantId;
use serde_json::{Value, json};
use uuid::Uuid;

const JOB: &str = "clinic.organization";

/// In whose name the resource is written.
const SYSTEM: Principal = Principal::System("clinic");

/// Has the resource follow, once the transaction is committed.
///
/// # Errors
///
/// When the database does not answer.
pub(super) async fn enqueue_update(transaction: &Transaction<'_>, organization: Uuid) -> Result<()> {
    let job = NewJob::new(JOB, json!({ "organization": organization }));
    enqueue(&**transaction, &job).await.map(drop)
}

/// Stores the resource.
pub(super) struct StoreOrganization(pub(super) Arc<App>);

#[async_trait]
impl JobType for StoreOrganization {
    fn name(&self) -> &str {
        JOB
    }

    async fn perform(&self, run: &JobRun) -> Result<Value> {
        let broken = || Error::internal("a job of an organisation does not say of which");
        let id = run.payload.get("organization").and_then(Value::as_str).ok_or_else(broken)?;
        let id: Uuid = id.parse().map_err(|_| broken())?;
        let accounts = self.0.accounts()?;
        let mut organization = accounts.organization(id).await?;
        // Another process may have added it.
        if organization.tenant >= TenantId::FIRST_ADDED {
            accounts.organization_added(&organization);
        }
        // Two of these jobs may run at the same time: the one that ends last has seen the last change.
        loop {
            store(&self.0, &organization).await?;
            let now = accounts.organization(id).await?;
            if now == organization {
                return Ok(Value::Null);
            }
            organization = now;
        }
    }
}

async fn store(app: &App, organization: &Organization) -> Result<()> {
    let key = Key::new("Organization", organization.id.to_string());
    let (mut resource, version) = match read(app, organization.tenant, &key).await? {
        Some((resource, version)) => (resource, version),
        None => (fresh(organization), None),
    };
    let members = resource.as_object_mut().ok_or_else(|| Error::internal("a resource is no object"))?;
    let wanted = [("active", json!(organization.is_active)), ("name", json!(organization.name))];
    let is_same = wanted.iter().all(|(name, value)| members.get(*name) == Some(value));
    if version.is_some() && is_same {
        return Ok(());
    }
    members.extend(wanted.map(|(name, value)| (name.to_owned(), value)));
    let body = Doc::parse(resource.to_string(), JsonLimits::default()).map_err(Error::internal)?;
    let mut request = request(app, Method::Put, organization.tenant, &key)?;
    request.body = Some(RequestBody::Resource(body));
    // A change of somebody else's meanwhile is not overwritten: the job is done again.
    request.conditions.if_match = version.map(|version| format!("W/\"{version}\""));
    app.handle(request).await.map(drop)
}

/// The resource as it is, with its version.
async fn read(app: &App, tenant: TenantId, key: &Key) -> Result<Option<(Value, Option<u32>)>> {
    match app.handle(request(app, Method::Get, tenant, key)?).await {
        Ok(reply) => {
            let resource =
                serde_json::from_slice(&reply.body.unwrap_or_default()).map_err(Error::internal)?;
            Ok(Some((resource, reply.version)))
        }
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::Gone) => Ok(None),
        Err(error) => Err(error),
    }
}

fn fresh(organization: &Organization) -> Value {
    json!({
        "resourceType": "Organization",
        "id": organization.id,
        "identifier": [{ "system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{}", organization.id) }],
    })
}

fn request(app: &App, method: Method, tenant: TenantId, key: &Key) -> Result<Request> {
    let request = Request::new(method, &key.to_string(), &*app.cx().definitions)?;
    Ok(Request { tenant, principal: SYSTEM, ..request })
}
