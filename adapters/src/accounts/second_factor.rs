//! The second factor: <https://www.rfc-editor.org/rfc/rfc6238>

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use fhir_app::envelope::{Answered, success};
use fhir_app::{App, Caller, Error, utoipa};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::answers;
use crate::json_body::JsonBody;

/// A code of the second factor.
#[derive(Deserialize, ToSchema)]
pub(super) struct Code {
    #[schema(example = "123456")]
    code: String,
}

/// The password, where somebody signed in more than ten minutes ago.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct Proof {
    password: Option<String>,
}

/// Begins to set up a second factor: the secret and the recovery codes are shown this once.
#[utoipa::path(post, path = "/api/auth/mfa/enroll", tag = "accounts", request_body = Proof, responses(
    (status = 200, description = "`otpauth_uri`, `secret`, `recovery_codes`."),
    (status = 409, description = "There is a second factor already.")))]
pub(super) async fn enroll(State(app): State<Arc<App>>, caller: Caller, body: axum::body::Bytes) -> Answered {
    let accounts = app.accounts()?;
    let wrong = |_| Error::value("a body in JSON is expected, or none");
    let sent: Proof =
        if body.is_empty() { Proof::default() } else { serde_json::from_slice(&body).map_err(wrong)? };
    let signed_in = caller.principal.user()?;
    let user = signed_in.id();
    let logins = accounts.logins(user).await?;
    let account = logins.first().map_or_else(|| user.to_string(), |login| login.name.text.clone());
    let enrollment =
        accounts.enroll_second_factor((user, signed_in.session), &account, sent.password.as_deref()).await?;
    let data = json!({
        "otpauth_uri": enrollment.uri,
        "secret": enrollment.secret,
        "recovery_codes": enrollment.recovery_codes,
    });
    Ok(success(StatusCode::OK, &data))
}

/// The second factor counts from now on.
#[utoipa::path(post, path = "/api/auth/mfa/verify", tag = "accounts", request_body = Code, responses(
    (status = 200, description = "It counts."), (status = 400, description = "The code is wrong, or was used.")))]
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(sent): JsonBody<Code>,
) -> Answered {
    let user = caller.principal.user()?.id();
    let address = caller.network();
    app.accounts()?.confirm_second_factor(user, &sent.code, Some(&address)).await?;
    Ok(success(StatusCode::OK, &json!({ "mfa_enabled": true })))
}

/// Takes the second factor away.
#[utoipa::path(post, path = "/api/auth/mfa/remove", tag = "accounts", request_body = Code, responses(
    (status = 200, description = "A password is enough from now on."), (status = 401, description = "The code is wrong, or was used.")))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(sent): JsonBody<Code>,
) -> Answered {
    let user = caller.principal.user()?.id();
    let address = caller.network();
    app.accounts()?.remove_second_factor(user, &sent.code, Some(&address)).await?;
    Ok(success(StatusCode::OK, &json!({ "mfa_enabled": false })))
}

/// A code for a challenge of a sign-in.
#[derive(Deserialize, ToSchema)]
pub(super) struct Answer {
    challenge_id: String,
    /// A code of the second factor, or a recovery code.
    #[schema(example = "123456")]
    code: String,
}

/// The second step of a sign-in.
#[utoipa::path(post, path = "/api/auth/mfa/challenge", tag = "accounts", request_body = Answer, responses(
    (status = 200, description = "Tokens, also as cookies."),
    (status = 401, description = "The code is wrong, was used, or the challenge has ended."),
    (status = 429, description = "Too many attempts failed.")))]
pub(super) async fn challenge(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(sent): JsonBody<Answer>,
) -> Answered {
    let accounts = app.accounts()?;
    let address = caller.network();
    let tokens = accounts.answer_challenge(&sent.challenge_id, &sent.code, Some(&address)).await?;
    Ok(answers::signed_in(accounts, &headers, StatusCode::OK, &tokens).await?)
}
