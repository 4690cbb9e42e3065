//! `/setup`: the page that makes the first administrator, by the link that the server prints at its first start. Plain HTML, without
//! scripts.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use fhir_access::accounts::login_name::LoginName;
use fhir_access::accounts::users::NewUser;
use fhir_app::envelope::Answered;
use fhir_app::{App, Error, Kind, Result, utoipa};
use maud::{Markup, html};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::page::{frame, shown};
use super::register::name;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Link {
    /// The secret of the link.
    #[serde(default)]
    code: String,
}

/// The form.
#[utoipa::path(get, path = "/setup", tag = "accounts", params(Link), responses(
    (status = 200, description = "The form, as HTML."), (status = 410, description = "There is an administrator, or the link has ended.")))]
pub(super) async fn page(State(app): State<Arc<App>>, Query(link): Query<Link>) -> Answered {
    match app.accounts()?.is_first_administrator(&link.code).await? {
        true => Ok(shown(StatusCode::OK, &form(&link.code, None))),
        false => Ok(shown(StatusCode::GONE, &ended())),
    }
}

/// What the form sends.
#[derive(Deserialize, ToSchema)]
pub(super) struct Sent {
    code: String,
    email: String,
    first_name: String,
    last_name: String,
    password: String,
}

/// Makes the first administrator.
#[utoipa::path(post, path = "/setup", tag = "accounts", request_body(content = Sent, content_type = "application/x-www-form-urlencoded"),
    responses((status = 201, description = "The administrator is made."), (status = 400, description = "The form again, with what is wrong."),
        (status = 410, description = "There is an administrator, or the link has ended.")))]
pub(super) async fn make(State(app): State<Arc<App>>, body: axum::body::Bytes) -> Answered {
    let sent: Sent =
        serde_urlencoded::from_bytes(&body).map_err(|_| Error::value("the form cannot be read"))?;
    match administrator(&app, &sent).await {
        Ok(()) => Ok(shown(StatusCode::CREATED, &done(&sent.email))),
        Err(error) if error.kind == Kind::Gone => Ok(shown(StatusCode::GONE, &ended())),
        Err(error) if error.kind.status() < 500 => {
            Ok(shown(StatusCode::BAD_REQUEST, &form(&sent.code, Some((&sent, &error.text)))))
        }
        Err(error) => Err(error.into()),
    }
}

async fn administrator(app: &App, sent: &Sent) -> Result<()> {
    let accounts = app.accounts()?;
    let email = LoginName::email(&sent.email)?;
    let (first, last) = (name("first_name", &sent.first_name)?, name("last_name", &sent.last_name)?);
    accounts.check_password(&sent.password, &[&email.text, first, last])?;
    let user = NewUser {
        id: Uuid::new_v4(),
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        // Who holds the link is who runs the server.
        logins: vec![(email, true)],
        roles: Vec::new(),
        fhir_user: None,
    };
    accounts.make_first_administrator(&sent.code, &user, &sent.password).await
}

fn form(code: &str, again: Option<(&Sent, &str)>) -> Markup {
    let value = |of: fn(&Sent) -> &str| again.map_or("", |(sent, _)| of(sent));
    let content = html! {
        p { "This account may do everything on this server. The link works once." }
        @if let Some((_, wrong)) = again { p.wrong role="alert" { (wrong) } }
        form method="post" action="/setup" {
            input type="hidden" name="code" value=(code);
            label { "E-mail address" input name="email" type="email" required autocomplete="username" value=(value(|sent| &sent.email)); }
            label { "First name" input name="first_name" required autocomplete="given-name" value=(value(|sent| &sent.first_name)); }
            label { "Last name" input name="last_name" required autocomplete="family-name" value=(value(|sent| &sent.last_name)); }
            label { "Password, 10 characters or more" input name="password" type="password" required minlength="10" autocomplete="new-password"; }
            button type="submit" { "Make the administrator" }
        }
    };
    frame("The first administrator", &content)
}

fn done(email: &str) -> Markup {
    let content = html! {
        p { "The administrator " strong { (email) } " is made." }
        p { "Sign in with " code { "POST /api/auth/login" } "." }
    };
    frame("Done", &content)
}

fn ended() -> Markup {
    frame(
        "This link has ended",
        &html! { p { "It was used, or there is an administrator. The server prints another link at its start as long as there is none." } },
    )
}
