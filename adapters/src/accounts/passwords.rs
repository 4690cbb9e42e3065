//! Passwords: changed, forgotten, set anew.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use fhir_access::accounts::login_name::LoginName;
use fhir_app::envelope::{Answered, success};
use fhir_app::{App, Caller, utoipa};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{answers, cookies, mail};
use crate::json_body::JsonBody;

/// The password, and the one that is to take its place.
#[derive(Deserialize, ToSchema)]
pub(super) struct Change {
    current_password: String,
    new_password: String,
}

/// Changes the password. All sign-ins end; this one begins anew.
#[utoipa::path(post, path = "/api/auth/password", tag = "accounts", request_body = Change, responses(
    (status = 200, description = "New tokens, also as cookies."),
    (status = 400, description = "The new password will not do."),
    (status = 401, description = "The current password is wrong.")))]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(sent): JsonBody<Change>,
) -> Answered {
    let accounts = app.accounts()?;
    let signed_in = caller.principal.user()?;
    let address = caller.network();
    let (current, new) = (&*sent.current_password, &*sent.new_password);
    let tokens =
        accounts.change_password((signed_in.id(), signed_in.session), current, new, Some(&address)).await?;
    Ok(answers::signed_in(accounts, &headers, StatusCode::OK, &tokens).await?)
}

/// Whose password is forgotten.
#[derive(Deserialize, ToSchema)]
pub(super) struct Forgotten {
    email: String,
}

/// Sends a link by which a password can be set.
#[utoipa::path(post, path = "/api/auth/password/forgot", tag = "accounts", request_body = Forgotten, responses(
    (status = 202, description = "If there is an account of this address, mail was sent.")))]
pub(super) async fn forgot(State(app): State<Arc<App>>, JsonBody(sent): JsonBody<Forgotten>) -> Answered {
    let email = LoginName::email(&sent.email)?;
    // In the same time whether or not there is such an account.
    let accounts = app.accounts()?.clone();
    mail::in_background(async move {
        if accounts.may_send_mail(&email.text).await?
            && let Some(secret) = accounts.ask_for_password(&email).await?
        {
            mail::set_password(&app, &email.text, &secret).await?;
        }
        Ok(())
    });
    Ok(success(StatusCode::ACCEPTED, &json!({ "sent": true })))
}

/// A new password, with what was sent or printed.
#[derive(Deserialize, ToSchema)]
pub(super) struct Reset {
    /// What was sent, or the printed code.
    token: String,
    password: String,
}

/// Sets a password. All sign-ins end.
#[utoipa::path(post, path = "/api/auth/password/reset", tag = "accounts", request_body = Reset, responses(
    (status = 200, description = "The password is set."),
    (status = 400, description = "The password will not do; the token is still good."),
    (status = 410, description = "The token was used, or has expired.")))]
pub(super) async fn reset(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(sent): JsonBody<Reset>,
) -> Answered {
    let address = caller.network();
    app.accounts()?.reset_password(&sent.token, &sent.password, Some(&address)).await?;
    let mut response = success(StatusCode::OK, &json!({ "password_set": true }));
    cookies::clear(&mut response);
    Ok(response)
}
