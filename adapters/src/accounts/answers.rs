//! What is answered about a user.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fhir_access::accounts::login_name::LoginKind;
use fhir_access::accounts::sessions::Tokens;
use fhir_access::accounts::users::User;
use fhir_access::role::Role;
use fhir_access::{Accounts, Rights};
use fhir_app::Result;
use fhir_app::envelope::success;
use serde_json::{Value, json};

use super::cookies;

/// `{"id","email","first_name","last_name","roles":["DOCTOR"],..}`
pub(super) async fn user(accounts: &Accounts, user: &User, rights: &Rights) -> Result<Value> {
    let logins = accounts.logins(user.id).await?;
    let named = |kind: LoginKind| logins.iter().find(|login| login.name.kind == kind);
    let email = named(LoginKind::Email);
    let members = rights.memberships.iter();
    let scoped: Vec<&str> =
        rights.roles.iter().chain(members.flat_map(|member| &member.roles)).map(|role| &**role).collect();
    let mut short: Vec<&str> = scoped.iter().map(|name| Role::short_name(name)).collect();
    short.sort_unstable();
    short.dedup();
    let organizations = rights.memberships.iter().map(|member| {
        json!({
            "id": member.organization,
            "slug": member.slug,
            "roles": member.roles,
            "patient": member.patient.as_ref().map(ToString::to_string),
        })
    });
    Ok(json!({
        "id": user.id,
        "email": email.map(|login| &login.name.text),
        "email_verified": email.is_some_and(|login| login.is_verified),
        "phone": named(LoginKind::Phone).map(|login| &login.name.text),
        "user_name": named(LoginKind::Name).map(|login| &login.name.text),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "roles": short,
        "scoped_roles": scoped,
        "fhirUser": user.fhir_user,
        "organizations": organizations.collect::<Vec<_>>(),
        "current_organization": rights.current,
        "mfa_enabled": accounts.has_second_factor(user.id).await?,
    }))
}

/// Who signed in, with tokens in the answer and in cookies.
pub(super) async fn signed_in(
    accounts: &Accounts,
    headers: &HeaderMap,
    status: StatusCode,
    tokens: &Tokens,
) -> Result<Response> {
    let found = accounts.user(tokens.user).await?.ok_or_else(fhir_access::unauthorized)?;
    let rights = accounts.rights(tokens.user).await?;
    let mut data = json!({
        "user": user(accounts, &found, &rights).await?,
        "token": tokens.access,
        "token_type": "Bearer",
        "expires_in": tokens.access_lifetime.as_secs(),
    });
    if let (false, Some(members)) = (cookies::is_page(headers), data.as_object_mut()) {
        members.insert("refresh_token".to_owned(), Value::from(&*tokens.refresh));
    }
    let mut response = success(status, &data);
    cookies::set(&mut response, tokens);
    Ok(response)
}
