//! `/sign-in`: the page by which somebody signs in to see the server's pages. Plain HTML, without scripts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use fhir_access::accounts::sessions::Tokens;
use fhir_access::accounts::sign_in::{SignIn, SignInOutcome};
use fhir_app::envelope::Answered;
use fhir_app::{App, Caller, Error, Kind, Principal, utoipa};
use maud::{Markup, html};
use serde::Deserialize;
use utoipa::ToSchema;

use super::cookies;
use super::page::{frame, shown};

/// The form.
#[utoipa::path(get, path = "/sign-in", tag = "accounts", responses((status = 200, description = "The form, as HTML.")))]
pub(super) async fn page(State(app): State<Arc<App>>, caller: Caller) -> Answered {
    app.accounts()?;
    Ok(shown(StatusCode::OK, &form(&caller.principal, None)))
}

/// What the forms send.
#[derive(Deserialize, ToSchema)]
pub(super) struct Sent {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    /// Of the second step.
    challenge: Option<String>,
    code: Option<String>,
    /// On a computer that others use, too.
    shared_device: Option<String>,
    /// Signs out instead.
    sign_out: Option<String>,
}

/// Signs in, or out.
#[utoipa::path(post, path = "/sign-in", tag = "accounts", request_body(content = Sent, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "To the first page, with cookies."), (status = 200, description = "The form of the second factor."),
        (status = 401, description = "The form again."), (status = 429, description = "The form again: too many attempts failed.")))]
pub(super) async fn submit(State(app): State<Arc<App>>, caller: Caller, body: axum::body::Bytes) -> Answered {
    let sent: Sent =
        serde_urlencoded::from_bytes(&body).map_err(|_| Error::value("the form cannot be read"))?;
    let accounts = app.accounts()?;
    let address = caller.network();
    if sent.sign_out.is_some() {
        if let Principal::User(user) = &caller.principal {
            accounts.end_session(user.session).await?;
        }
        let mut response = to_first_page();
        cookies::clear(&mut response);
        return Ok(response);
    }
    let done = match (&sent.challenge, &sent.code) {
        (Some(challenge), Some(code)) => {
            accounts.answer_challenge(challenge, code, Some(&address)).await.map(SignInOutcome::Tokens)
        }
        _ => {
            let (name, password) = (&*sent.name, &*sent.password);
            let is_shared = sent.shared_device.is_some();
            accounts.sign_in(SignIn { name, password, address: Some(&address), is_shared }).await
        }
    };
    match done {
        Ok(SignInOutcome::Tokens(tokens)) => Ok(signed_in(&tokens)),
        Ok(SignInOutcome::SecondFactor { challenge, .. }) => {
            Ok(shown(StatusCode::OK, &second_step(&challenge)))
        }
        Err(error) if matches!(error.kind, Kind::Unauthorized | Kind::Throttled) => {
            let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::UNAUTHORIZED);
            Ok(shown(status, &form(&Principal::Anonymous, Some(&error.text))))
        }
        Err(error) => Err(error.into()),
    }
}

fn signed_in(tokens: &Tokens) -> Response {
    let mut response = to_first_page();
    cookies::set(&mut response, tokens);
    response
}

fn to_first_page() -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_static("/"))]).into_response()
}

fn form(who: &Principal, wrong: Option<&str>) -> Markup {
    let content = html! {
        @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
        @if let Principal::User(_) = who {
            p { "You are signed in." }
            form method="post" action="/sign-in" {
                input type="hidden" name="sign_out" value="1";
                button type="submit" { "Sign out" }
            }
        }
        form method="post" action="/sign-in" {
            label { "E-mail address, phone number or user name" input name="name" required autocomplete="username"; }
            label { "Password" input name="password" type="password" required autocomplete="current-password"; }
            label { input name="shared_device" type="checkbox" value="1" style="display:inline;width:auto"; " Others use this computer, too" }
            button type="submit" { "Sign in" }
        }
    };
    frame("Sign in", &content)
}

fn second_step(challenge: &str) -> Markup {
    let content = html! {
        form method="post" action="/sign-in" {
            input type="hidden" name="challenge" value=(challenge);
            label { "The code of your authenticator, or a recovery code" input name="code" required autocomplete="one-time-code"; }
            button type="submit" { "Go on" }
        }
    };
    frame("Second factor", &content)
}
