//! `/admin/dlq`: the dead letters, for administrators to look at, have tried again, or discard.
//!
//! In Cari's envelope, as all of `/admin`. A letter names what failed and why; payloads are not shown.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use fhir_app::envelope::{Answered, Page, success, success_page};
use fhir_app::{
    Access, App, Error, Kind, Module, ModuleSetting, Permission, Result, Routes, SettingKind, async_trait,
    routes, utoipa,
};
use fhir_model::date::format_instant;
use fhir_work::{DeadLetter, DeadLetters};
use serde_json::{Value, json};
use utoipa::IntoParams;

/// Letters on a page when nothing else is asked for, and at most.
const LIMIT: u64 = 20;
const LIMIT_MAX: u64 = 100;

const ALERT_DEPTH: &str = "dlq.alert_depth";

/// The dead letters.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetterQueue;

#[async_trait]
impl Module for DeadLetterQueue {
    fn name(&self) -> &'static str {
        "dlq"
    }

    fn settings(&self) -> &'static [ModuleSetting] {
        const SETTINGS: &[ModuleSetting] = &[ModuleSetting::new(
            ALERT_DEPTH,
            SettingKind::Number(1, 1_000_000),
            "10",
            "So many jobs and changes that failed too often, and that nobody has dealt with, are an alert at \
             `/admin/dlq/depth`.",
        )];
        SETTINGS
    }

    fn routes(&self, app: &Arc<App>) -> Routes {
        Routes::new()
            .add(Access::Holder(Permission::Administer), routes!(list))
            .add(Access::Holder(Permission::Administer), routes!(depth))
            .add(Access::Holder(Permission::Administer), routes!(retry))
            .add(Access::Holder(Permission::Administer), routes!(discard))
            .with_state(app.clone())
    }
}

#[derive(Debug, serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// The page's number, from 1 on.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// Letters on a page, 1 to 100; 20 when it is not said.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// The dead letters, oldest first.
#[utoipa::path(get, path = "/admin/dlq", tag = "dlq", params(Wanted), responses((status = 200, description = "A page of letters.")))]
async fn list(State(app): State<Arc<App>>, Query(wanted): Query<Wanted>) -> Answered {
    let limit = within("limit", wanted.limit.unwrap_or(LIMIT), LIMIT_MAX)?;
    let page = within("page", wanted.page.unwrap_or(1), u64::MAX)?;
    let (found, total) = letters(&app).list((page - 1).saturating_mul(limit), limit).await?;
    let data: Vec<Value> = found.iter().map(letter).collect();
    Ok(success_page(&Value::from(data), Page { page, limit, total }))
}

/// How many dead letters there are, and whether that is an alert.
#[utoipa::path(get, path = "/admin/dlq/depth", tag = "dlq", responses((status = 200, description = "Their number.")))]
async fn depth(State(app): State<Arc<App>>) -> Answered {
    let depth = letters(&app).depth().await?;
    let alert_at = app.settings().number(ALERT_DEPTH);
    let data = json!({
        "depth": depth.letters,
        "alert": depth.letters >= alert_at,
        "alert_at": alert_at,
        "oldest_at": depth.oldest_at.map(format_instant),
    });
    Ok(success(StatusCode::OK, &data))
}

/// Has a letter tried again.
#[utoipa::path(post, path = "/admin/dlq/{id}/retry", tag = "dlq", params(("id" = String, Path, description = "The letter's id.")),
    responses((status = 202, description = "It will be tried again."), (status = 404, description = "There is no such letter.")))]
async fn retry(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answered {
    match number(&id) {
        Some(number) if letters(&app).retry(number).await? => {
            Ok(success(StatusCode::ACCEPTED, &done(&id, "retrying")))
        }
        _ => Err(unknown(&id).into()),
    }
}

/// Discards a letter.
#[utoipa::path(delete, path = "/admin/dlq/{id}", tag = "dlq", params(("id" = String, Path, description = "The letter's id.")),
    responses((status = 200, description = "It is gone."), (status = 404, description = "There is no such letter.")))]
async fn discard(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answered {
    match number(&id) {
        Some(number) if letters(&app).discard(number).await? => {
            Ok(success(StatusCode::OK, &done(&id, "discarded")))
        }
        _ => Err(unknown(&id).into()),
    }
}

fn within(name: &str, number: u64, max: u64) -> Result<u64> {
    match (1..=max).contains(&number) {
        true => Ok(number),
        false => Err(Error::value(format!("`{name}` is between 1 and {max}")).at(name)),
    }
}

fn letters(app: &App) -> DeadLetters<'_> {
    DeadLetters(app.connections())
}

fn letter(letter: &DeadLetter) -> Value {
    json!({
        "id": format!("{:016x}", letter.id),
        "kind": letter.kind.as_str(),
        "name": letter.name,
        "key": letter.key,
        "payload": "masked",
        "attempts": letter.attempts,
        "reason": letter.reason,
        "failed_at": format_instant(letter.failed_at),
        "status": if letter.is_retried { "retrying" } else { "dead" },
    })
}

fn done(id: &str, status: &str) -> Value {
    json!({ "id": id, "status": status })
}

/// The number that the id of a letter writes; `None` when it is no id.
fn number(id: &str) -> Option<i64> {
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    i64::from_str_radix(id, 16).ok().filter(|_| is_id)
}

fn unknown(id: &str) -> Error {
    // What was sent is repeated only where it can be an id.
    match number(id) {
        Some(_) => Error::new(Kind::NotFound, format!("there is no dead letter {id}")),
        None => Error::new(Kind::NotFound, "there is no such dead letter"),
    }
}
