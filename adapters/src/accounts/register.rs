//! `POST /api/auth/register`

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fhir_access::accounts::login_name::LoginName;
use fhir_access::accounts::sign_in::{SignIn, SignInOutcome};
use fhir_access::accounts::users::NewUser;
use fhir_access::role::{BASE_DOCTOR, BASE_PATIENT};
use fhir_app::envelope::{Answered, success};
use fhir_app::{App, Caller, Error, Kind, Result, utoipa};
use fhir_model::json::is_allowed;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::settings::{REGISTRATION, VERIFY_EMAIL};
use super::{answers, mail, resources};
use crate::json_body::JsonBody;

/// Somebody who wants an account.
#[derive(Deserialize, ToSchema)]
pub(super) struct Registration {
    #[schema(example = "developer@example.com")]
    email: String,
    /// At least 10 characters.
    #[schema(example = "SecureP@ss123")]
    password: String,
    #[schema(example = "Jane")]
    first_name: String,
    #[schema(example = "Doe")]
    last_name: String,
    /// `DOCTOR` or `PATIENT`.
    #[schema(example = "DOCTOR")]
    registration_role: String,
}

/// Makes an account for a doctor or a patient of no organisation.
#[utoipa::path(post, path = "/api/auth/register", tag = "accounts", request_body = Registration, responses(
    (status = 201, description = "The account is made; where addresses are verified, a link is sent first."),
    (status = 400, description = "What is wrong with the registration."),
    (status = 409, description = "There is an account of this address, where addresses are not verified.")))]
pub(super) async fn register(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(sent): JsonBody<Registration>,
) -> Answered {
    let accounts = app.accounts()?;
    if app.settings().text(REGISTRATION) == Some("off") {
        return Err(Error::new(Kind::Forbidden, "accounts are made by administrators here").into());
    }
    let email = LoginName::email(&sent.email)?;
    fhir_mail::check_address(&email.text).map_err(|error| error.at("email"))?;
    let (role, type_name) = role(&sent.registration_role)?;
    let (first, last) = (name("first_name", &sent.first_name)?, name("last_name", &sent.last_name)?);
    let local = email.text.split('@').next().unwrap_or("");
    accounts.check_password(&sent.password, &[&email.text, local, first, last])?;
    let verify = app.settings().is_true(VERIFY_EMAIL);
    if verify && !mail::is_configured(&app)? {
        let text = "this server sends no mail that would prove an address; an administrator makes accounts";
        return Err(Error::new(Kind::Forbidden, text).into());
    }
    let is_taken = accounts.user_named(&email).await?.is_some();
    if is_taken && verify {
        // Whoever asks learns nothing; whoever has the address does.
        accounts.spend_a_password(&sent.password).await?;
        if accounts.may_send_mail(&email.text).await? {
            mail::already_registered(&app, &email.text).await?;
        }
        return Ok(pending(Uuid::new_v4(), &email.text, &sent));
    }
    if is_taken {
        return Err(taken().into());
    }
    let hash = accounts.hash_password(&sent.password).await?;
    let id = Uuid::new_v4();
    let key = resources::create(&app, type_name, id, (first, last), &email.text).await?;
    let user = NewUser {
        id,
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        logins: vec![(email.clone(), !verify)],
        roles: vec![role],
        fhir_user: Some(key.clone()),
    };
    if let Err(error) = accounts.create_user_by(&user, Some(&hash)).await {
        resources::remove(&app, &key).await?;
        // Somebody registered the same address at the same time.
        return match error.kind {
            Kind::Conflict if verify => Ok(pending(Uuid::new_v4(), &email.text, &sent)),
            _ => Err(error.into()),
        };
    }
    if verify {
        let secret = accounts.ask_for_verification(id, &email.text).await?;
        mail::verify_address(&app, &email.text, &secret).await?;
        return Ok(pending(id, &email.text, &sent));
    }
    let address = caller.network();
    let sign_in =
        SignIn { name: &email.text, password: &sent.password, address: Some(&address), is_shared: false };
    match accounts.sign_in(sign_in).await? {
        SignInOutcome::Tokens(tokens) => {
            Ok(answers::signed_in(accounts, &headers, StatusCode::CREATED, &tokens).await?)
        }
        SignInOutcome::SecondFactor { .. } => Ok(pending(id, &email.text, &sent)),
    }
}

/// The same whether or not there was such an account.
fn pending(id: Uuid, email: &str, sent: &Registration) -> Response {
    let user = json!({
        "id": id,
        "email": email,
        "email_verified": false,
        "first_name": sent.first_name.trim(),
        "last_name": sent.last_name.trim(),
    });
    success(StatusCode::CREATED, &json!({ "user": user, "email_verification": "pending" }))
}

/// The role of the platform that somebody may give to themselves, and what they are then.
fn role(text: &str) -> Result<(&'static str, &'static str)> {
    match text {
        "DOCTOR" | BASE_DOCTOR => Ok((BASE_DOCTOR, "Practitioner")),
        "PATIENT" | BASE_PATIENT => Ok((BASE_PATIENT, "Patient")),
        _ => Err(Error::value("`registration_role` is DOCTOR or PATIENT").at("registration_role")),
    }
}

/// A part of a name.
pub(super) fn name<'t>(field: &'static str, text: &'t str) -> Result<&'t str> {
    let text = text.trim();
    match (1..=100).contains(&text.chars().count()) && text.chars().all(|c| is_allowed(c) && !c.is_control())
    {
        true => Ok(text),
        false => Err(Error::value(format!("`{field}` has 1 to 100 characters")).at(field)),
    }
}

fn taken() -> Error {
    Error::new(Kind::Conflict, "there is an account of this address already")
}
