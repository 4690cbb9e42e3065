//! Whether an address is a user's.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use fhir_access::accounts::login_name::LoginName;
use fhir_app::envelope::{Answered, success};
use fhir_app::{App, Caller, utoipa};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::mail;
use crate::json_body::JsonBody;

/// What was sent to an address.
#[derive(Deserialize, ToSchema)]
pub(super) struct Verification {
    /// What was sent.
    token: String,
    /// The password that was chosen at the registration.
    password: String,
}

/// An address is a user's, as what was sent there came back.
#[utoipa::path(post, path = "/api/auth/verify-email", tag = "accounts", request_body = Verification, responses(
    (status = 200, description = "The address is verified."),
    (status = 410, description = "The token was used, or has expired.")))]
pub(super) async fn verify_email(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(sent): JsonBody<Verification>,
) -> Answered {
    let address = caller.network();
    app.accounts()?.verify_address(&sent.token, &sent.password, Some(&address)).await?;
    Ok(success(StatusCode::OK, &json!({ "email_verified": true })))
}

/// An address.
#[derive(Deserialize, ToSchema)]
pub(super) struct Address {
    email: String,
}

/// Sends the link again.
#[utoipa::path(post, path = "/api/auth/verify-email/resend", tag = "accounts", request_body = Address, responses(
    (status = 202, description = "If there is an account of this address that is not verified, mail was sent.")))]
pub(super) async fn resend(State(app): State<Arc<App>>, JsonBody(sent): JsonBody<Address>) -> Answered {
    let email = LoginName::email(&sent.email)?;
    let accounts = app.accounts()?.clone();
    mail::in_background(async move {
        let Some(user) = accounts.user_named(&email).await? else { return Ok(()) };
        let logins = accounts.logins(user.id).await?;
        let is_open = logins.iter().any(|login| login.name == email && !login.is_verified);
        if is_open && accounts.may_send_mail(&email.text).await? {
            let secret = accounts.ask_for_verification(user.id, &email.text).await?;
            mail::verify_address(&app, &email.text, &secret).await?;
        }
        Ok(())
    });
    Ok(success(StatusCode::ACCEPTED, &json!({ "sent": true })))
}
