//! What is said of organisations, and who may ask for one.

use fhir_access::accounts::organizations::{DEFAULT_SLUG, Organization, unknown_organization};
use fhir_access::{Permission, SignedIn, forbidden};
use fhir_app::{App, Error, Kind, Result};
use fhir_model::date::format_instant;
use fhir_model::interaction::MOUNTS;
use serde_json::{Value, json};
use uuid::Uuid;

/// An organisation that the user has something to do with, and in which it has a permission, where one is needed. This is checked
/// here, whatever the route lets through.
///
/// # Errors
///
/// `NotFound` for an organisation that there is not, and for one that the user has nothing to do with; `Forbidden` without the permission.
pub(super) async fn entered(
    app: &App,
    user: &SignedIn,
    id: &str,
    permission: Option<Permission>,
) -> Result<Organization> {
    let id: Uuid = id.parse().map_err(|_| unknown_organization())?;
    let found = app.accounts()?.organization(id).await?;
    let is_seen = user.rights.may_see(found.tenant);
    match permission {
        None if is_seen => Ok(found),
        Some(permission) if user.rights.may_manage(found.tenant, permission) => Ok(found),
        Some(permission) if is_seen => Err(forbidden(permission)),
        _ => Err(unknown_organization()),
    }
}

/// `base`: the FHIR base url as the caller knows it.
pub(super) fn organization(organization: &Organization, base: &str) -> Value {
    json!({
        "id": organization.id,
        "slug": organization.slug,
        "name": organization.name,
        "status": status(organization),
        "created_at": format_instant(organization.created_at),
        "fhir_base": fhir_base(&organization.slug, base),
    })
}

pub(super) fn status(organization: &Organization) -> &'static str {
    if organization.is_active { ACTIVE } else { SUSPENDED }
}

pub(super) const ACTIVE: &str = "active";
pub(super) const SUSPENDED: &str = "suspended";

/// The FHIR base url of an organisation.
pub(super) fn fhir_base(slug: &str, base: &str) -> String {
    let root = base.strip_suffix(MOUNTS[0]).unwrap_or(base);
    match slug {
        DEFAULT_SLUG => format!("{root}{}", MOUNTS[0]),
        slug => format!("{root}/o/{slug}{}", MOUNTS[0]),
    }
}

/// An error about what was sent, as 422: below `/v1` a value that is not understood and one that is not allowed are one thing.
pub(super) fn unprocessable(error: Error) -> Error {
    match error.kind {
        Kind::Value => error.map_issues(|mut issue| {
            issue.kind = Kind::Rule;
            issue
        }),
        _ => error,
    }
}

/// A name for people, in the form in which it is kept.
///
/// # Errors
///
/// `Rule`, at `name`.
pub(super) fn name(text: &str) -> Result<&str> {
    let text = text.trim();
    match (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        true => Ok(text),
        false => Err(Error::new(Kind::Rule, "a name has 1 to 200 characters").at("name")),
    }
}
