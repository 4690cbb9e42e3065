//! Signing in, going on, and signing out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use fhir_access::accounts::sign_in::{SignIn, SignInOutcome};
use fhir_access::{Principal, unauthorized};
use fhir_app::envelope::{Answered, success};
use fhir_app::{App, Caller, Error, utoipa};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{answers, cookies};
use crate::json_body::JsonBody;

/// Somebody who wants to sign in.
#[derive(Deserialize, ToSchema)]
pub(super) struct Login {
    /// An e-mail address; or a phone number or user name.
    #[schema(example = "developer@example.com")]
    email: Option<String>,
    /// A phone number with its country: `+254700000000`.
    phone: Option<String>,
    /// A user name.
    user_name: Option<String>,
    #[schema(example = "SecureP@ss123")]
    password: String,
    /// On a computer that others use, too: the sign-in ends soon when it is not used.
    #[serde(default)]
    shared_device: bool,
}

/// Signs in. On a computer where somebody else is signed in, that one is signed out.
#[utoipa::path(post, path = "/api/auth/login", tag = "accounts", request_body = Login, responses(
    (status = 200, description = "Tokens, also as cookies; or `mfa_required` with a challenge."),
    (status = 401, description = "There is no such user with this password."),
    (status = 429, description = "Too many attempts failed.")))]
pub(super) async fn login(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(sent): JsonBody<Login>,
) -> Answered {
    let accounts = app.accounts()?;
    let names: Vec<&str> =
        [&sent.email, &sent.phone, &sent.user_name].into_iter().flatten().map(|name| &**name).collect();
    let [name] = names[..] else {
        return Err(Error::value("one of `email`, `phone` and `user_name` is expected").at("email").into());
    };
    let address = caller.network();
    let sign_in =
        SignIn { name, password: &sent.password, address: Some(&address), is_shared: sent.shared_device };
    let outcome = accounts.sign_in(sign_in).await?;
    // Who signs in takes the place of who was: a ward has one computer.
    if let Some(refresh) = cookies::refresh_token(&headers) {
        accounts.end_session_of(refresh).await?;
    }
    match outcome {
        SignInOutcome::Tokens(tokens) => {
            Ok(answers::signed_in(accounts, &headers, StatusCode::OK, &tokens).await?)
        }
        SignInOutcome::SecondFactor { challenge, lifetime } => {
            let data =
                json!({ "mfa_required": true, "challenge_id": challenge, "expires_in": lifetime.as_secs() });
            Ok(success(StatusCode::OK, &data))
        }
    }
}

/// A refresh token, where it is not in its cookie.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct Refresh {
    refresh_token: Option<String>,
}

/// New tokens for a refresh token, which is used up by that.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "accounts", request_body = Refresh, responses(
    (status = 200, description = "New tokens, also as cookies."),
    (status = 401, description = "The refresh token is not known, was used, or has ended.")))]
pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Answered {
    let accounts = app.accounts()?;
    let sent = sent(&headers, &body)?;
    let tokens = accounts.refresh(&sent.ok_or_else(unauthorized)?).await?;
    Ok(answers::signed_in(accounts, &headers, StatusCode::OK, &tokens).await?)
}

/// Signs out: all tokens of the sign-in end.
#[utoipa::path(post, path = "/api/auth/logout", tag = "accounts", request_body = Refresh, responses(
    (status = 200, description = "Nobody is signed in any more.")))]
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Answered {
    let accounts = app.accounts()?;
    if let Principal::User(user) = &caller.principal {
        accounts.end_session(user.session).await?;
    }
    if let Some(refresh) = sent(&headers, &body)? {
        accounts.end_session_of(&refresh).await?;
    }
    let mut response = success(StatusCode::OK, &json!({ "signed_out": true }));
    cookies::clear(&mut response);
    Ok(response)
}

/// The refresh token of the body, else that of the cookie.
fn sent(headers: &HeaderMap, body: &[u8]) -> fhir_app::Result<Option<String>> {
    let wrong = |_| Error::value("a body in JSON is expected, or none");
    let sent: Refresh =
        if body.is_empty() { Refresh::default() } else { serde_json::from_slice(body).map_err(wrong)? };
    Ok(sent.refresh_token.or_else(|| cookies::refresh_token(headers).map(str::to_owned)))
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/auth/me", tag = "accounts", responses(
    (status = 200, description = "The user."), (status = 401, description = "Nobody is signed in.")))]
pub(super) async fn me(State(app): State<Arc<App>>, caller: Caller) -> Answered {
    let accounts = app.accounts()?;
    let signed_in = caller.principal.user()?;
    let user = accounts.user(signed_in.id()).await?.ok_or_else(unauthorized)?;
    Ok(success(StatusCode::OK, &answers::user(accounts, &user, &signed_in.rights).await?))
}
